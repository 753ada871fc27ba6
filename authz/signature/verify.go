package signature

import (
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Check asks for a valid signature by one of several schemes: the first one
// whose signature is present decides. It is safe for concurrent use.
type Check struct {
	Schemes []Scheme
	// Pinned, by the place of a scheme, are texts that a body must have whose signature
	// held; none if it is shorter.
	Pinned [][]OneOf
	// When, by the place of a scheme, are what its deliveries must have beside a
	// signature to be its own; nothing if it is shorter.
	When [][]Condition
	// Fingerprinter makes the replay key; nil if there is no replay check.
	Fingerprinter *authz.Fingerprinter
}

// Stage returns StageSignature.
func (c *Check) Stage() authz.Stage { return authz.StageSignature }

// Run verifies the signature.
func (c *Check) Run(call *authz.Call) authz.Reason {
	for i, scheme := range c.Schemes {
		if scheme.Present(call.Request) && c.meets(i, call.Request) {
			if reason := scheme.Verify(call, c.Fingerprinter); reason != authz.OK {
				return reason
			}
			if reason := readOneWay(call, scheme); reason != authz.OK {
				return reason
			}
			return addressed(call, c.pinned(i))
		}
	}
	if call.Explanation != nil {
		call.Explain("a signature in "+c.places(), "none")
	}
	if token, ok := c.Schemes[0].(*JWS); ok && token.config.Detached == nil {
		return authz.TokenMissing
	}
	return authz.SignatureMissing
}

// Sign makes the request a valid delivery by the first scheme.
func (c *Check) Sign(req *authz.Request, s authz.Signing) bool {
	for _, text := range c.pinned(0) {
		if !text.sign(req) {
			return false
		}
	}
	c.signWhen(req)
	return c.Schemes[0].Sign(req, s) && c.Schemes[0].parameters(req).ambiguous(req) == ""
}

// WantsForm reports whether the first scheme can sign a form only.
func (c *Check) WantsForm() bool { return c.Schemes[0].WantsForm() }

func (c *Check) places() string {
	var places []string
	for _, scheme := range c.Schemes {
		places = append(places, scheme.Place())
	}
	return strings.Join(places, " or ")
}

// Present reports whether any of the scheme's signature headers is there, or a
// body that can hold the signature.
func (h *Content) Present(req *authz.Request) bool {
	switch {
	case h.config.JSON != "":
		return req.Body.Len() > 0 && !isForm(req) && !isMultipart(req)
	case h.config.Field != "":
		return req.Body.Len() > 0 && (isForm(req) || isMultipart(req))
	case h.config.Query != "":
		return h.inQuery(req)
	}
	return h.first(req.Headers) >= 0
}

// Verify verifies the signature.
func (h *Content) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	if h.config.Sets {
		return h.verifySets(call, f)
	}
	return h.verify(call, f)
}

func (h *Content) verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	s, _ := h.scratch.Get().(*scratch)
	defer func() {
		s.forget()
		h.scratch.Put(s)
	}()
	if reason := h.collect(call.Request, s); reason != authz.OK {
		if call.Explanation != nil {
			call.Explain(h.config.form(), h.foundInstead(call.Request.Headers, s))
		}
		return reason
	}
	if reason := h.checkHeaders(call); reason != authz.OK {
		return reason
	}
	if reason := h.findKeyIDs(call, s); reason != authz.OK {
		return reason
	}
	signed, reason := h.findTime(call, s)
	if reason != authz.OK {
		return reason
	}
	if h.asksHost && !plainHost(call.Request.Host) {
		explainHost(call)
		return authz.SignatureMalformed
	}
	if h.prepares {
		if reason, part := h.prepare(call.Request, s); reason != authz.OK {
			call.Explain("a request that has the signed "+part, "one that has not")
			return reason
		}
	}
	if h.config.extensible() && h.extended(call.Request, s) {
		call.Explain("content that nobody has made longer", "a NUL byte, which stands in all content that was")
		return authz.SignatureInvalid
	}
	if reason := h.compare(call, s, f); reason != authz.OK {
		return reason
	}
	if !h.guarded(call) {
		call.Fingerprint, call.Alternate = authz.Fingerprint{}, authz.Fingerprint{}
		return authz.SignatureMalformed
	}
	if h.config.Time.JSON != "" && !h.config.timeFirst() {
		if signed, reason = h.timeInBody(call); reason != authz.OK {
			return reason
		}
	}
	if h.config.SignsTime() {
		call.SignedTime = signed
	}
	call.Proof = authz.ProofSignature
	if !h.config.SignsBody() || h.open || !h.signsAll(call.Request) {
		call.Proof = authz.ProofPartial
	}
	return authz.OK
}

// checkHeaders looks for the headers that are signed, must be constant or name
// the key.
func (h *Content) checkHeaders(call *authz.Call) authz.Reason {
	headers := call.Request.Headers
	for i := range h.config.Constants {
		constant := &h.config.Constants[i]
		value, count := headers.Lookup(constant.Name)
		if count != 1 || string(value) != constant.Value {
			if call.Explanation != nil {
				call.Explain(fmt.Sprintf("one header %s: %s", constant.Name, constant.Value), fmt.Sprintf("%d, %.60q", count, value))
			}
			return missingOrMalformed(count)
		}
	}
	one := func(name, what string, fits func(authz.View) bool) authz.Reason {
		value, count := headers.Lookup(name)
		if count == 1 && fits(value) {
			return authz.OK
		}
		if call.Explanation != nil {
			call.Explain("one "+what+" header "+name, fmt.Sprintf("%d, %.60q", count, value))
		}
		return missingOrMalformed(count)
	}
	for i := range h.config.Content {
		if part := &h.config.Content[i]; part.Kind == HeaderValue {
			if reason := one(part.Text, "signed", part.Charset.fits); reason != authz.OK {
				return reason
			}
		}
	}
	return authz.OK
}

func missingOrMalformed(count int) authz.Reason {
	if count == 0 {
		return authz.SignatureMissing
	}
	return authz.SignatureMalformed
}

// findTime reads the time of the scheme, if it has one that is signed by
// itself, and keeps its text in the scratch.
func (h *Content) findTime(call *authz.Call, s *scratch) (time.Time, authz.Reason) {
	t := &h.config.Time
	switch {
	case !t.exists(), t.JSON != "" && !h.config.timeFirst():
		return time.Time{}, authz.OK
	case t.JSON != "":
		s.time, _ = jsonText(call.Request, t.JSON)
	case t.Field != "":
		s.time, _ = fieldText(call.Request, t.Field)
	case t.Header != "":
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
	if n := t.digits(); ok && h.exactTime && n > 0 && len(s.time) != n {
		if call.Explanation != nil {
			call.Explain(fmt.Sprintf("a time of %d digits, since nothing divides it from what is signed beside it", n), fmt.Sprintf("%.60q", s.time))
		}
		return time.Time{}, authz.TimestampMalformed
	}
	if !ok {
		if call.Explanation != nil {
			call.Explain("a time "+t.place()+" in "+t.Unit.String(), fmt.Sprintf("%.60q", s.time))
		}
		return time.Time{}, authz.TimestampMalformed
	}
	return signed, authz.OK
}

// timeInBody reads the time from a body whose signature held.
func (h *Content) timeInBody(call *authz.Call) (time.Time, authz.Reason) {
	t := &h.config.Time
	texts, err := call.Request.Body.JSON(t.JSON)
	if err == nil && (len(texts) == 0 || texts[0] == "") {
		call.Explain("a time "+t.place(), "none")
		return time.Time{}, authz.TimestampMissing
	}
	if err == nil && len(texts) == 1 {
		if signed, ok := parseTime(authz.View(texts[0]), t.Unit); ok {
			return signed, authz.OK
		}
	}
	call.Explain("a time "+t.place()+" in "+t.Unit.String(), "a body without one")
	return time.Time{}, authz.TimestampMalformed
}

// compare computes the MAC with one key after the other, over one form of the
// URL after the other, and then looks whether the body is covered.
func (h *Content) compare(call *authz.Call, s *scratch, f *authz.Fingerprinter) authz.Reason {
	match, valid := h.match(call, s, f)
	if call.Explanation != nil {
		found := h.found(s, match, valid)
		if match == nil && h.config.SignsPath() {
			found += fmt.Sprintf("; the signed URL is taken to be %.200q", h.shownURL(call.Request))
		}
		call.Explain(fmt.Sprintf("%s over %s with one of the keys %s", h.config.macName(), h.config.contentText(), h.keys.names(call.Now)), found)
	}
	reason := h.keys.verdict(call, match, valid)
	if match == nil && s.unavailable != 0 {
		reason = s.unavailable
	}
	if reason == authz.OK && !h.bound(call.Request) {
		call.Explain("a body that the signature covers", "a body of another kind, or another digest in the URL")
		call.Fingerprint, call.Alternate = authz.Fingerprint{}, authz.Fingerprint{}
		return authz.SignatureInvalid
	}
	return reason
}

// match takes the fingerprint in the walk of the first MAC. Where the URL may
// have been signed in several forms, the content of the form that matched
// counts, which needs a walk of its own.
func (h *Content) match(call *authz.Call, s *scratch, f *authz.Fingerprinter) (*key, bool) {
	var digest *authz.Fingerprinting
	if f != nil && h.oneForm(call.Request) {
		digest = f.Begin(call.Identity, call.Tenant)
	}
	feed, matched := digest, 0
	match, valid := h.keys.match(call, nil, func(k *key) bool {
		if !s.asks(k) {
			return false
		}
		for i, form := range h.forms {
			if form.same(call.Request) {
				continue
			}
			var ok bool
			if h.config.public() {
				ok = h.verifies(call, k, s, i, feed)
			} else {
				ok = h.matches(call.Request, k, s, form, feed)
			}
			feed = nil // the content is the same for every key
			if ok {
				matched = i
				return true
			}
		}
		return false
	})
	if digest == nil && f != nil && match != nil && valid {
		digest = f.Begin(call.Identity, call.Tenant)
		h.write(call.Request, s, h.forms[matched], digest, nil)
	}
	if digest != nil {
		if fingerprint, alternate := f.End(digest); match != nil && valid {
			call.Fingerprint, call.Alternate = fingerprint, alternate
		}
	}
	return match, valid
}

// oneForm reports whether the URL of the request is written in one way.
func (h *Content) oneForm(req *authz.Request) bool {
	for i := 1; i < len(h.forms); i++ {
		if !h.forms[i].same(req) {
			return false
		}
	}
	return true
}

// matches compares the MAC of the content with every candidate, without an
// early exit.
func (h *Content) matches(req *authz.Request, k *key, s *scratch, form urlForm, digest *authz.Fingerprinting) bool {
	sum := h.sum(req, k, s, form, digest)
	match := false
	for i := range s.candidates {
		if secret.Equal(sum, s.candidates[i].bytes) && s.candidates[i].allows(k, nil) {
			match = true
		}
	}
	return match
}
