package signature

import (
	"bytes"

	"github.com/hookbastion/hookbastion/authz"
)

// Words of the language for what some senders do otherwise: a plain hash with the key in
// the content, a signature in the query, several sets of items in one header.

// extensible reports whether the signature is a plain hash of which a longer one can be
// made by whoever has it: one that does not end with the secret.
func (c *Config) extensible() bool {
	return c.SecretFirst || c.PlainHash && c.Content[len(c.Content)-1].Kind != Secret
}

// sum computes the MAC of the content. The result is that of the scratch.
func (h *Content) sum(req *authz.Request, k *key, s *scratch, form urlForm, digest *authz.Fingerprinting) []byte {
	if h.config.PlainHash {
		s.secret = k.material()
	}
	mac := k.begin()
	h.write(req, s, form, mac, digest)
	sum := mac.Sum(s.sum[:0])
	k.end(mac)
	s.secret = nil
	return sum
}

// inQuery reports whether the query has the parameter of the signature.
func (h *Content) inQuery(req *authz.Request) bool {
	_, query, _ := bytes.Cut(req.Path, []byte{'?'})
	return find(query, func(name []byte) bool { return string(name) == h.config.Query }) != nil
}

// parseQuery reads the signature in the query. It returns false where there are two, or
// where it has another form.
func (h *Content) parseQuery(req *authz.Request, s *scratch) bool {
	all, err := queryOf(req)
	if err != nil {
		return false
	}
	value, ok := only(all, h.config.Query)
	return ok && h.parse([]byte(value), s)
}

// setQuery gives the query the parameter, in place of one that it has.
func setQuery(req *authz.Request, name, value string) {
	path, query, _ := bytes.Cut(req.Path, []byte{'?'})
	var kept [][]byte
	for _, item := range bytes.Split(query, []byte{'&'}) {
		if of, _, _ := bytes.Cut(item, []byte{'='}); len(item) > 0 && string(of) != name {
			kept = append(kept, item)
		}
	}
	req.Path = bytes.Clone(path)
	if len(kept) > 0 {
		req.Path = append(append(req.Path, '?'), bytes.Join(kept, []byte{'&'})...)
	}
	addQuery(req, name, value)
}

// maxSets bounds the sets of one header, of which each is verified by itself.
const maxSets = 4

// verifySets verifies one set of items after the other. Each is judged as if it stood
// there alone, so that no time of one counts for a signature of another.
func (h *Content) verifySets(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	whole := call.Request
	at := -1
	for i := range whole.Headers {
		if h.nameOf(whole.Headers[i].Name) == h.first(whole.Headers) {
			at = i
			break
		}
	}
	if at < 0 || twice(whole.Headers, at) {
		return h.verify(call, f)
	}
	sets := bytes.Fields(whole.Headers[at].Value)
	if len(sets) < 2 || len(sets) > maxSets {
		return h.verify(call, f)
	}
	defer func() { call.Request = whole }()
	var reason authz.Reason
	for _, set := range sets {
		one := *whole
		one.Headers = append(authz.Headers(nil), whole.Headers...)
		one.Headers[at].Value = set
		call.Request = &one
		if reason = h.verify(call, f); reason == authz.OK {
			break
		}
	}
	return reason
}
