package page

import (
	"slices"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func describeHTTP(h *policyv1.HttpSignature) Description {
	var algorithms []string
	for _, a := range h.GetAlgorithms() {
		algorithms = append(algorithms, strings.ToLower(strings.ReplaceAll(a.String(), "_", "-")))
	}
	form, digest := "an HTTP Message Signature (RFC 9421)", "Content-Digest"
	if h.GetForm() == policyv1.HttpSignature_CAVAGE {
		form, digest = "a signature of draft-cavage-http-signatures", "Digest"
	}
	switch h.GetDigest() {
	case policyv1.HttpSignature_DIGEST:
		digest = "Digest"
	case policyv1.HttpSignature_CONTENT_DIGEST:
		digest = "Content-Digest"
	default:
	}
	d := Description{
		Where: form + " in the headers Signature-Input and Signature", Key: "the key that keyid names, a public one",
		What: strings.Join(algorithms, ", ") + " over what the signature says it covers",
	}
	switch {
	case h.GetAuthorization():
		d.Where = form + " in Authorization, behind the word Signature"
	case h.GetForm() == policyv1.HttpSignature_CAVAGE:
		d.Where = form + " in the header Signature"
	}
	if len(h.GetAlgorithms()) == 1 && h.GetAlgorithms()[0] == policyv1.HttpSignature_HMAC_SHA256 {
		d.Key = keyWords(h.GetKeyEncoding(), nil)
	}
	if len(h.GetRequired()) > 0 {
		d.What += ", which must have " + strings.Join(h.GetRequired(), ", ")
	}
	if len(h.GetRequiredIfPresent()) > 0 {
		d.What += ", and, where they are there, " + strings.Join(h.GetRequiredIfPresent(), ", ")
	}
	if !h.GetBodyUnsigned() {
		d.What += "; the body is bound by " + digest + ", which must be covered where there is one"
	}
	if h.GetTag() != "" {
		d.What += "; the tag must be " + h.GetTag()
	}
	if h.GetNonce() {
		d.What += "; there must be a nonce"
	}
	if h.GetExpires() {
		d.What += "; expires must be there and not be over"
	}
	if stamp, signed := (&policyv1.Scheme{Kind: &policyv1.Scheme_HttpSignature{HttpSignature: h}}).Stamp(); signed {
		d.Time = "the parameter created"
		if h.GetTime() == policyv1.HttpSignature_DATE || h.GetTime() == policyv1.HttpSignature_TIME_UNSPECIFIED && h.GetForm() == policyv1.HttpSignature_CAVAGE {
			d.Time = "the header Date"
		}
		d.Time += ageWords(stamp.GetTolerance(), stamp.GetFuture())
	}
	return d
}

func coverageOfHTTP(h *policyv1.HttpSignature) coverage {
	_, timed := (&policyv1.Scheme{Kind: &policyv1.Scheme_HttpSignature{HttpSignature: h}}).Stamp()
	c := coverage{body: !h.GetBodyUnsigned(), time: timed}
	for _, name := range append(slices.Clone(h.GetRequired()), h.GetRequiredIfPresent()...) {
		switch name {
		case "@method":
			c.method = true
		case "@target-uri":
			c.url(true)
		case "@authority":
			c.host = true
		case "@path":
			c.path = true
		case "@query":
			c.query = true
		case "@request-target":
			c.path, c.query = true, true
			c.method = c.method || h.GetForm() == policyv1.HttpSignature_CAVAGE
		case "@scheme", "content-digest", "digest", "date":
		default:
			what := "the header " + name
			if slices.Contains(h.GetRequiredIfPresent(), name) {
				what += " where it is there"
			}
			c.parts = append(c.parts, what)
		}
	}
	return c
}
