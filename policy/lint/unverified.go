package lint

import "github.com/hookbastion/hookbastion/policy/finding"

var unverified = Rule{
	Rule: finding.Rule{
		ID: "HB040", Severity: finding.Info,
		Title: "a webhook takes requests without any proof",
		Risk:  "Whoever knows the address sends what the application takes for a delivery.",
		Fix:   "Nothing, if the reason is good. Otherwise say provider, scheme or token in place of unverified.",
		Link:  "concepts.md#no-verification-at-all",
	},
	each: func(p *pass, w *webhook) {
		if w.GetUnverified() != nil {
			p.report(w.at.At("unverified"), "takes requests without any proof: "+w.GetUnverified().GetReason())
		}
	},
}
