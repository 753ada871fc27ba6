package signature

import "github.com/hookbastion/hookbastion/authz"

// Disproves reports whether nothing in the request could be used as a signature of this
// webhook: its signatures stand in headers, cover one content as a whole, and do not hold
// with any key, also one that is not valid now. Where a part of what is asked for could
// hold while another does not, as in a JSON Web Token or a signature of an HTTP message,
// nobody can tell, and it is false.
func (c *Check) Disproves(call *authz.Call) bool {
	present := false
	for i, scheme := range c.Schemes {
		content, ok := scheme.(*Content)
		if !ok || !content.wholly() || len(c.pinned(i)) > 0 || i < len(c.When) && len(c.When[i]) > 0 {
			return false
		}
		if !content.Present(call.Request) {
			continue
		}
		present = true
		if content.Verify(call, nil) != authz.SignatureInvalid {
			return false
		}
	}
	return present
}

// wholly reports whether SignatureInvalid can only mean that the signatures in the headers
// are none of the whole content.
func (h *Content) wholly() bool {
	c := &h.config
	return c.JSON == "" && c.Field == "" && c.Query == "" && len(c.Constants) == 0 && c.BodyDigest.Query == "" && !c.extensible()
}
