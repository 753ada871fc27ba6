package lint

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// signs reports whether the webhook asks for a signature over content.
func (w *webhook) signs() bool {
	return slices.ContainsFunc(w.schemes, func(s *policyv1.Scheme) bool { return s.SignsContent() || s.GetHttpSignature() != nil })
}

var bodyUnsigned = Rule{
	Rule: finding.Rule{
		ID: "HB087", Severity: finding.Warning, Else: elseProvider,
		Title: "the signature leaves the body out",
		Risk:  "Whoever sees a delivery sends another body with its signature, before the original or where that was not taken: the amount, the account, the event are his.",
		Fix:   "Leave body_unsigned out and add {body: {}} to content, if the sender signs it. If not, take what is signed from the delivery, and ask the provider's API for the rest.",
		Link:  "policy.md#hmac",
	},
	each: func(p *pass, w *webhook) {
		unsigned := func(s *policyv1.Scheme) bool {
			return s.Signed().GetBodyUnsigned() && !checksum(s) || s.GetHttpSignature().GetBodyUnsigned()
		}
		if slices.ContainsFunc(w.schemes, unsigned) {
			p.reportBy(w, w.proof(), "is signed without its body: deliveries are x-hookbastion-verified: partial")
		}
	},
}

var idUnsigned = Rule{
	Rule: finding.Rule{
		ID: "HB088", Severity: finding.Info,
		Title: "of the headers, none is signed",
		Risk:  "Ids and kinds of events in headers are whatever the sender of a copy wrote: an application that knows deliveries by such an id takes a copy for a new one, and one that looks at the kind does something else with the same body.",
		Fix:   "Let the application take id and kind from the body, which is signed.",
		Link:  "concepts.md#conditions",
	},
	each: func(p *pass, w *webhook) {
		c := w.covered()
		if w.signs() && c.body && len(c.headers) == 0 && !c.time {
			p.report(w.proof(), "signs the body and no header: an id or a kind of event that stands in one can be changed")
		}
	},
}

var pathUnsigned = Rule{
	Rule: finding.Rule{
		ID: "HB089", Severity: finding.Info,
		Title: "the webhook takes several paths or methods, and none of that is signed",
		Risk:  "A delivery for one path is sent to another one first: the signature holds there as well, and the application does for the wrong object, or with the wrong method, what was meant for another.",
		Fix:   "Match one path and one method, or let the application take from the body whom the delivery is for.",
		Link:  "policy.md#match",
	},
	each: func(p *pass, w *webhook) {
		if w.GetUnverified() != nil || p.Table == nil {
			return
		}
		var loose []string
		c, m := w.covered(), w.GetMatch()
		if path := m.GetPath(); strings.ContainsAny(path, "{*") && !c.path && !w.perTenant() {
			loose = append(loose, "the path, which may be any that fits "+path)
		}
		if methods := m.GetMethods(); len(methods) > 1 && !c.method {
			loose = append(loose, "the method, which may be "+strings.Join(methods, ", "))
		}
		if len(loose) > 0 {
			p.report(w.at.At("match"), "no signature covers "+strings.Join(loose, ", nor "))
		}
	},
}

// perTenant reports whether the path chooses the secret, by which it is bound as far as
// that goes.
func (w *webhook) perTenant() bool {
	return slices.ContainsFunc(w.keys, func(k *keys.Key) bool { return k.PerTenant() }) && strings.Count(w.GetMatch().GetPath(), "{") == 1 &&
		!strings.Contains(w.GetMatch().GetPath(), "*")
}

var targetUnsigned = Rule{
	Rule: finding.Rule{
		ID: "HB097", Severity: finding.Warning, Else: elseProvider,
		Title: "a signature of the HTTP message need not cover what is asked for",
		Risk:  "A signature that was made for another URL, or another method, holds here: whoever has seen a request of the sender's to anybody sends it on.",
		Fix:   "Add @method and @target-uri to required, or @authority and @path.",
		Link:  "policy.md#httpsignature",
	},
	each: func(p *pass, w *webhook) {
		for _, s := range w.schemes {
			if s.GetHttpSignature() == nil || len(s.GetHttpSignature().GetRequired()) == 0 && s.GetHttpSignature().GetBodyUnsigned() {
				continue // the latter covers nothing at all, which is a finding of its own
			}
			var missing []string
			c := coverageOf(s)
			for _, part := range []struct {
				name    string
				covered bool
			}{{"the method", c.method}, {"the host", c.host}, {"the path", c.path}} {
				if !part.covered {
					missing = append(missing, part.name)
				}
			}
			if len(missing) > 0 {
				p.reportBy(w, w.proof(), "takes a signature that does not cover "+strings.Join(missing, ", "))
				return
			}
		}
	},
}

var bodilessMethod = Rule{
	Rule: finding.Rule{
		ID: "HB098", Severity: finding.Info,
		Title: "requests without a body are accepted where the body is all that is signed",
		Risk:  "All deliveries without a body have one and the same signature. Whoever has seen one of them can send a GET, or a DELETE, of anything.",
		Fix:   "Leave methods out, so that only POST is taken, or let what is asked for be signed.",
		Link:  "policy.md#match",
	},
	each: func(p *pass, w *webhook) {
		c := w.covered()
		bodiless := func(method string) bool { return slices.Contains([]string{"GET", "HEAD", "DELETE", "OPTIONS"}, method) }
		if w.signs() && c.body && !c.method && !c.path && !c.time && slices.ContainsFunc(w.GetMatch().GetMethods(), bodiless) {
			p.report(w.at.At("match", "methods"), "takes methods that mostly have no body, and nothing but the body is signed: one signature over nothing is good for all of them")
		}
	},
}

// checksum reports whether of the body only a checksum is signed.
func checksum(s *policyv1.Scheme) bool {
	return slices.ContainsFunc(s.Signed().GetContent(), func(part *policyv1.Part) bool { return part.GetDigest().GetHash() == policyv1.Digest_CRC32 })
}
