package lint

import (
	"time"

	"github.com/hookbastion/hookbastion/policy/finding"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// maxShadow is how long a webhook may only watch.
const maxShadow = 31 * 24 * time.Hour

var shadow = Rule{
	Rule: finding.Rule{
		ID: "HB120", Severity: finding.Warning, Else: "info while `shadow_until` is at most a month ahead",
		Title: "a webhook in SHADOW forwards what it would refuse",
		Risk:  "Whoever knows the address sends anything: it is recorded as denied, and the application gets it all the same.",
		Fix:   "Look at the records, mend what valid deliveries are refused for, and remove mode: SHADOW. Until then say in shadow_until when that will be.",
		Link:  "policy.md#webhook",
	},
	each: func(p *pass, w *webhook) {
		if w.GetMode() != policyv1.Webhook_SHADOW {
			return
		}
		at := w.at.At("mode").Error("SHADOW forwards everything, verified or not, and shadow_until does not say until when")
		severity := finding.Warning
		if until := w.GetShadowUntil(); until != nil {
			at = w.at.At("shadow_until").Error("")
			end := until.AsTime()
			text := end.Format(time.RFC3339)
			switch left := end.Sub(p.Now); {
			case left <= 0:
				at.Message = "SHADOW was to end at " + text + ", and everything is still forwarded, verified or not"
			case left > maxShadow:
				at.Message = "SHADOW forwards everything, verified or not, until " + text + ", which is more than a month away"
			default:
				severity, at.Message = finding.Info, "SHADOW forwards everything, verified or not, until "+text
			}
		}
		p.reportAs(severity, at)
	},
}
