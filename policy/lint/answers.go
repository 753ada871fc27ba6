package lint

import (
	"slices"
	"strconv"

	"github.com/hookbastion/hookbastion/policy/finding"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

var statusGoesOn = Rule{
	Rule: finding.Rule{
		ID: "HB130", Severity: finding.Warning,
		Title: "a denial has a status that tells senders something else",
		Risk:  "410 ends the subscription of some senders for good, so that one bad delivery switches all of them off. 429 and 5xx ask for a repeat, so that a forged delivery comes again and again, and fails as an outage in every graph.",
		Fix:   "Leave denied_status out, which is what the provider expects, or say 401 or 403.",
		Link:  "reasons.md",
	},
	each: func(p *pass, w *webhook) {
		switch status := w.GetRespond().GetDeniedStatus(); {
		case status == 0 || status == w.provider.GetDeniedStatus():
		case status == 410:
			p.report(w.at.At("respond", "denied_status"), "410 tells senders that the endpoint is gone, and some never send again")
		case status == 429 || status >= 500:
			p.report(w.at.At("respond", "denied_status"), strconv.Itoa(int(status))+" asks the sender to repeat what was refused")
		}
	},
}

var manySignatures = Rule{
	Rule: finding.Rule{
		ID: "HB131", Severity: finding.Info,
		Title: "more signatures of one request are tried than the scheme needs",
		Risk:  "A stranger sends requests with as many wrong signatures as are tried: each costs that much processor time, and a few hundred a second keep valid deliveries waiting.",
		Fix:   "Leave max_signatures out, unless the sender has more keys than that.",
		Link:  "policy.md#limits",
	},
	each: func(p *pass, w *webhook) {
		usual := uint32(16)
		if slices.ContainsFunc(w.schemes, (*policyv1.Scheme).Public) {
			usual = 5
		}
		if n := w.GetLimits().GetMaxSignatures(); n > usual {
			p.report(w.at.At("limits", "max_signatures"), strconv.Itoa(int(n))+" signatures are tried, where "+strconv.Itoa(int(usual))+" are usual")
		}
	},
}

var largeHeaders = Rule{
	Rule: finding.Rule{
		ID: "HB132", Severity: finding.Info,
		Title: "headers may be larger than any sender's",
		Risk:  "Each request of a stranger makes the service and the application hold that much before anything is verified.",
		Fix:   "Leave max_header_bytes out: 64 KiB are more than providers send.",
		Link:  "policy.md#limits",
	},
	each: func(p *pass, w *webhook) {
		const usual = 256 << 10
		if n := w.GetLimits().GetMaxHeaderBytes(); n > usual {
			p.report(w.at.At("limits", "max_header_bytes"), strconv.Itoa(int(n>>10))+" KiB of headers are taken, where 64 are usual")
		}
	},
}
