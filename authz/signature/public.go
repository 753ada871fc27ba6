package signature

import (
	"fmt"
	"hash"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// signed is the content in one form of the URL as public keys verify it: its digest,
// or for Ed25519 all of it.
type signed struct {
	made   bool
	hash   hash.Hash
	joined joined
	text   []byte
}

// joined is content in one piece.
type joined []byte

func (j *joined) Write(b []byte) (int, error) {
	*j = append(*j, b...)
	return len(b), nil
}

// keptJoined is how much memory for content is kept for the next request.
const keptJoined = 64 << 10

func (c *signed) forget() {
	c.made = false
	if cap(c.joined) > keptJoined {
		c.joined = nil
	}
	clear(c.joined)
	c.joined = c.joined[:0]
}

// findKeyIDs finds what the request says of its keys, for each candidate.
func (h *Content) findKeyIDs(call *authz.Call, s *scratch) authz.Reason {
	id := &h.config.KeyID
	s.unavailable, s.tries = 0, 0
	switch {
	case !id.exists():
		return authz.OK
	case len(id.Headers) > 1:
		return h.findEachKeyID(call, s)
	}
	value, count := h.keyID(call.Request)
	if count != 1 || !isKeyID(value) {
		if call.Explanation != nil {
			call.Explain("one key's id "+id.place(), fmt.Sprintf("%d, %.60q", count, value))
		}
		return missingOrMalformed(count)
	}
	for i := range s.candidates {
		s.candidates[i].id = value
	}
	return authz.OK
}

// keyID returns the one id of all candidates, and how many there are.
func (h *Content) keyID(req *authz.Request) (authz.View, int) {
	id := &h.config.KeyID
	switch {
	case id.JSON != "":
		texts, err := req.Body.JSON(id.JSON)
		if err != nil || len(texts) > 1 {
			return nil, 2
		}
		if len(texts) == 1 {
			return authz.View(texts[0]), 1
		}
		return nil, 0
	case id.Item != "" && h.config.Grammar == Base64JSON:
		value, _ := req.Headers.Lookup(h.config.Headers[0])
		text, ok := headerText(value, id.Item)
		if !ok {
			return nil, 0
		}
		return authz.View(text), 1
	case id.Item != "":
		text, ok := h.item(req, &Part{Text: id.Item})
		if !ok {
			return nil, 0
		}
		return text, 1
	default:
		return req.Headers.Lookup(id.Headers[0])
	}
}

// findEachKeyID finds an id for each candidate, in the header that belongs to its own.
// A signature without one counts for nothing.
func (h *Content) findEachKeyID(call *authz.Call, s *scratch) authz.Reason {
	kept := s.candidates[:0]
	for _, c := range s.candidates {
		value, count := call.Request.Headers.Lookup(h.config.KeyID.Headers[c.place])
		if count > 1 || count == 1 && !isKeyID(value) {
			if call.Explanation != nil {
				call.Explain("one key's id "+h.config.KeyID.place(), fmt.Sprintf("%d, %.60q", count, value))
			}
			return authz.SignatureMalformed
		}
		if c.id = value; count == 1 {
			kept = append(kept, c)
		}
	}
	if s.candidates = kept; len(kept) == 0 {
		call.Explain("one key's id "+h.config.KeyID.place(), "none")
		return authz.SignatureMissing
	}
	return authz.OK
}

const maxKeyID = 256

func isKeyID(id authz.View) bool {
	for _, c := range id {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxKeyID
}

// allows reports whether the candidate names the key, or none.
func (c *candidate) allows(k *key, public *publickey.Key) bool {
	return c.id == nil || secret.Equal(c.id, []byte(k.name(public)))
}

// asks reports whether some candidate may be by the key.
func (s *scratch) asks(k *key) bool {
	if k.Reader != nil || k.Source != nil {
		return true
	}
	for i := range s.candidates {
		if s.candidates[i].allows(k, nil) {
			return true
		}
	}
	return false
}

// maxVerifications is how many verifications a request can cause: candidates, keys and forms of
// the URL multiply, and each costs some 50 µs.
const maxVerifications = 64

// verifies reports whether one of the public keys made one of the candidates, over the
// content with the URL in its i-th form.
func (h *Content) verifies(call *authz.Call, k *key, s *scratch, i int, digest *authz.Fingerprinting) bool {
	content := h.signedContent(call.Request, s, i, digest)
	for n := range s.candidates {
		c := &s.candidates[n]
		public := k.public
		if k.Source != nil {
			var reason authz.Reason
			if public, reason = k.Source.Find(call, c.id); reason == authz.KeysUnavailable {
				s.unavailable = reason
			}
		}
		for m := range public {
			if k.Source == nil && !c.allows(k, &public[m]) {
				continue
			}
			if s.tries++; s.tries > maxVerifications {
				return false
			}
			if h.config.Algorithm.Verify(&public[m], content, c.bytes) {
				if prover, ok := k.Source.(Prover); ok {
					prover.Proved(c.id, call.Now)
				}
				return true
			}
		}
	}
	return false
}

// signedContent returns what a signature is over. It is made once for all keys.
func (h *Content) signedContent(req *authz.Request, s *scratch, i int, digest *authz.Fingerprinting) []byte {
	c := &s.signed[i]
	if c.made {
		return c.text
	}
	c.made = true
	algorithm := &h.config.Algorithm
	first := h.config.DigestFirst
	if algorithm.Hash != 0 && c.hash == nil {
		c.hash = algorithm.Hash.New()
	}
	if c.hash != nil {
		c.hash.Reset()
	}
	switch {
	case first != nil:
		sum := first.begin()
		h.write(req, s, h.forms[i], sum, digest)
		c.text = first.end(sum)
		if c.hash != nil {
			_, _ = c.hash.Write(c.text) // hashes never fail
		}
	case c.hash != nil:
		h.write(req, s, h.forms[i], c.hash, digest)
	default:
		h.write(req, s, h.forms[i], &c.joined, digest)
		c.text = c.joined
	}
	if c.hash != nil {
		c.text = c.hash.Sum(c.joined[:0])
		c.joined = c.text
	}
	return c.text
}

// place says where the id stands.
func (k *KeyID) place() string {
	switch {
	case k.JSON != "":
		return "as " + k.JSON + " in the JSON body"
	case k.Item != "":
		return "as " + k.Item + " in the signature header"
	default:
		return "in " + strings.Join(k.Headers, " or ")
	}
}
