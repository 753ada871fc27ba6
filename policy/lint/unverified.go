package lint

import (
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

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

var openUnverified = Rule{
	Rule: finding.Rule{
		ID: "HB041", Severity: finding.Warning,
		Title: "a webhook without verification takes more than one path",
		Risk:  "The sender chooses the path, and with it what the application does. A handler that is added below it tomorrow is open to everybody from its first minute.",
		Fix:   "Name the paths that need no verification, one webhook for each, or give this one a proof.",
		Link:  "concepts.md#no-verification-at-all",
	},
	each: func(p *pass, w *webhook) {
		if w.GetUnverified() != nil && strings.ContainsAny(w.GetMatch().GetPath(), "{*") {
			p.report(w.at.At("match"), "asks for no proof, and takes any path that fits "+w.GetMatch().GetPath())
		}
	},
}
