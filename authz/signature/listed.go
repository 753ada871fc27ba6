package signature

import (
	"bytes"
	"slices"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// maxListedNames bounds the headers that a delivery lists.
const maxListedNames = 16

// listed is the names of the listed headers, a dot, and their values with dots between. It
// returns false where a name is no name, is there twice or is not listed but must be; where a header
// is missing or there twice; and where a value could be read as another or as the body.
func (h *Content) listed(req *authz.Request, part *Part) ([]byte, bool) {
	names, ok := h.item(req, part)
	if !ok {
		return nil, false
	}
	all := bytes.Split(names, []byte{' '})
	if len(all) > maxListedNames {
		return nil, false
	}
	text := append(bytes.Clone(names), '.')
	for i, name := range all {
		if len(name) == 0 || slices.ContainsFunc(name, func(c byte) bool { return !isHeaderByte(c) }) ||
			slices.ContainsFunc(all[:i], func(other []byte) bool { return secret.Equal(other, name) }) {
			return nil, false
		}
		value, count := req.Headers.Lookup(string(name))
		last := i == len(all)-1
		if count != 1 || !AnyChars.fits(value) || bytes.ContainsAny(value, "{}[]") || !last && bytes.IndexByte(value, '.') >= 0 {
			return nil, false
		}
		if text = append(text, value...); !last {
			text = append(text, '.')
		}
	}
	for _, name := range part.Names {
		if !slices.ContainsFunc(all, func(n []byte) bool { return string(n) == name }) {
			return nil, false
		}
	}
	return text, true
}

// isHeaderByte reports whether the name of a header has the character, in lower case.
func isHeaderByte(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' }

// endsBeforeBody reports whether the listed headers at that place end visibly: none of their
// values has a bracket, so that the first one is the body's, and fixed text stands before it.
func (c *Config) endsBeforeBody(at int) bool {
	return c.Content[at].Kind == Listed && at+3 == len(c.Content) && c.Content[at+1].Kind == Literal &&
		c.Content[at+2].Kind == Body && c.Content[at+2].WantsJSON
}
