package signature

import (
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// chunk is how much of a body is hashed at once, so that the second hash finds
// it in the processor's cache.
const chunk = 16 << 10

// Check asks for a valid signature by one of several schemes: the first one
// whose header is present decides. It is safe for concurrent use.
type Check struct {
	Schemes []*HMAC
	// Fingerprinter makes the replay key; nil if there is no replay check.
	Fingerprinter *authz.Fingerprinter
}

// Stage returns StageSignature.
func (c *Check) Stage() authz.Stage { return authz.StageSignature }

// Run verifies the signature.
func (c *Check) Run(call *authz.Call) authz.Reason {
	for _, scheme := range c.Schemes {
		if scheme.present(call.Request.Headers) {
			return scheme.verify(call, c.Fingerprinter)
		}
	}
	if call.Explanation != nil {
		call.Explain("a signature in "+c.headerNames(), "no such header")
	}
	return authz.SignatureMissing
}

func (c *Check) headerNames() string {
	var names []string
	for _, scheme := range c.Schemes {
		names = append(names, scheme.config.Headers...)
	}
	return strings.Join(names, " or ")
}

func (h *HMAC) verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	s, _ := h.scratch.Get().(*scratch)
	defer func() {
		s.time = nil // it aliases the request
		h.scratch.Put(s)
	}()
	if reason := h.collect(call.Request.Headers, s); reason != authz.OK {
		if call.Explanation != nil {
			call.Explain(h.config.form(), h.foundInstead(call.Request.Headers, s))
		}
		return reason
	}
	if reason := h.checkHeaders(call); reason != authz.OK {
		return reason
	}
	signed, reason := h.findTime(call, s)
	if reason != authz.OK {
		return reason
	}
	if reason := h.compare(call, s, f); reason != authz.OK {
		return reason
	}
	if h.config.Time.JSON != "" {
		if signed, reason = h.timeInBody(call); reason != authz.OK {
			return reason
		}
	}
	if h.config.SignsTime() {
		call.SignedTime = signed
	}
	call.Proof = authz.ProofSignature
	return authz.OK
}

// checkHeaders looks for the headers that are signed or must be constant.
func (h *HMAC) checkHeaders(call *authz.Call) authz.Reason {
	for i := range h.config.Constants {
		constant := &h.config.Constants[i]
		value, count := call.Request.Headers.Lookup(constant.Name)
		if count != 1 || string(value) != constant.Value {
			if call.Explanation != nil {
				call.Explain(fmt.Sprintf("one header %s: %s", constant.Name, constant.Value), fmt.Sprintf("%d, %.60q", count, value))
			}
			if count == 0 {
				return authz.SignatureMissing
			}
			return authz.SignatureMalformed
		}
	}
	for i := range h.config.Content {
		part := &h.config.Content[i]
		if part.Kind != HeaderValue {
			continue
		}
		value, count := call.Request.Headers.Lookup(part.Text)
		if count == 1 && (!part.Token || isToken(value)) {
			continue
		}
		if call.Explanation != nil {
			call.Explain("one signed header "+part.Text, fmt.Sprintf("%d, %.60q", count, value))
		}
		if count == 0 {
			return authz.SignatureMissing
		}
		return authz.SignatureMalformed
	}
	return authz.OK
}

func isToken(value authz.View) bool {
	if len(value) == 0 || len(value) > 128 {
		return false
	}
	for _, c := range value {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// findTime reads the time of the scheme, if it has one, and keeps its text in
// the scratch.
func (h *HMAC) findTime(call *authz.Call, s *scratch) (time.Time, authz.Reason) {
	t := &h.config.Time
	if !t.exists() || t.JSON != "" {
		return time.Time{}, authz.OK
	}
	if t.Header != "" {
		value, count := call.Request.Headers.Lookup(t.Header)
		if count > 1 {
			if call.Explanation != nil {
				call.Explain("one "+t.Header+" header", fmt.Sprintf("%d of them", count))
			}
			return time.Time{}, authz.TimestampMalformed
		}
		s.time = value
	}
	if len(s.time) == 0 {
		call.Explain("a time "+t.place(), "none")
		return time.Time{}, authz.TimestampMissing
	}
	signed, ok := parseTime(s.time, t.Unit)
	if !ok {
		if call.Explanation != nil {
			call.Explain("a time "+t.place()+" in "+t.Unit.String(), fmt.Sprintf("%.60q", s.time))
		}
		return time.Time{}, authz.TimestampMalformed
	}
	return signed, authz.OK
}

// timeInBody reads the time from a body whose signature held.
func (h *HMAC) timeInBody(call *authz.Call) (time.Time, authz.Reason) {
	t := &h.config.Time
	text, err := jsonText(&call.Request.Body, t.JSON)
	if err == nil && text == "" {
		call.Explain("a time "+t.place(), "none")
		return time.Time{}, authz.TimestampMissing
	}
	signed, ok := parseTime(authz.View(text), t.Unit)
	if err != nil || !ok {
		call.Explain("a time "+t.place()+" in "+t.Unit.String(), "a body without one")
		return time.Time{}, authz.TimestampMalformed
	}
	return signed, authz.OK
}

// compare computes the MAC with one key after the other. Keys that are not
// valid now are tried last, only to say so.
func (h *HMAC) compare(call *authz.Call, s *scratch, f *authz.Fingerprinter) authz.Reason {
	var digest *authz.Fingerprinting
	if f != nil {
		digest = f.Begin(call.Webhook, call.Tenant)
	}
	match, valid := h.match(call, s, digest)
	if f != nil {
		call.Fingerprint = f.End(digest)
	}
	if call.Explanation != nil {
		call.Explain(fmt.Sprintf("%s over %s with one of the keys %s", h.config.Hash, h.config.contentText(), h.keyNames(call.Now)),
			foundText(match, valid, len(s.candidates)))
	}
	switch {
	case match == nil:
		return authz.SignatureInvalid
	case !valid:
		call.KeyID = match.ID
		return authz.KeyNotValidNow
	}
	call.KeyID = match.ID
	return authz.OK
}

func (h *HMAC) match(call *authz.Call, s *scratch, digest *authz.Fingerprinting) (match *key, valid bool) {
	for _, valid := range [2]bool{true, false} {
		for _, k := range h.keys {
			if k.validAt(call.Now) != valid {
				continue
			}
			if h.matches(call, k, s, digest) {
				return k, valid
			}
			digest = nil // the content is the same for every key
		}
	}
	return nil, false
}

// matches compares the MAC of the content with every candidate, without an
// early exit.
func (h *HMAC) matches(call *authz.Call, k *key, s *scratch, digest *authz.Fingerprinting) bool {
	mac, _ := k.macs.Get().(hash.Hash)
	mac.Reset()
	h.write(call, s, mac, digest)
	sum := mac.Sum(s.sum[:0])
	k.macs.Put(mac)
	match := false
	for i := range s.candidates {
		if secret.Equal(sum, s.candidates[i][:len(sum)]) {
			match = true
		}
	}
	return match
}

// write feeds the signed content to the MAC and, where there is one, to the
// fingerprint.
func (h *HMAC) write(call *authz.Call, s *scratch, mac hash.Hash, digest *authz.Fingerprinting) {
	feed := func(b []byte) {
		_, _ = mac.Write(b) // hashes never fail
		if digest != nil {
			_, _ = digest.Write(b)
		}
	}
	req := call.Request
	for i := range h.config.Content {
		part := &h.config.Content[i]
		switch part.Kind {
		case Body:
			for _, segment := range req.Body.Segments {
				for len(segment) > chunk {
					feed(segment[:chunk])
					segment = segment[chunk:]
				}
				feed(segment)
			}
		case Timestamp:
			feed(s.time)
		case Literal:
			feed(part.bytes)
		case HeaderValue:
			value, _ := req.Headers.Lookup(part.Text)
			feed(value)
		case Method:
			feed(req.Method)
		case URL:
			if h.publicURL != nil {
				feed(h.publicURL)
			} else {
				feed(httpsPrefix)
				feed(req.Host)
			}
			feed(req.Path)
		case Path:
			feed(req.Path)
		}
	}
}

var httpsPrefix = []byte("https://")
