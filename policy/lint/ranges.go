package lint

import (
	"fmt"
	"time"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// eachList calls f with each list of published addresses that a webhook names.
func eachList(p *pass, w *webhook, f func(list *ranges.List, at int)) {
	for i, name := range w.GetSourceIp().GetRanges() {
		for _, list := range p.Table.Ranges {
			if list.Name == name {
				f(list, i)
			}
		}
	}
}

var oldRanges = Rule{
	Rule: finding.Rule{
		ID: "HB107", Severity: finding.Warning,
		Title: "published addresses are old: not fetched for a week, or never, and those in the program are older than 90 days",
		Risk:  "The provider has new addresses, and their deliveries are refused; it has given others back, and whoever has them now is on the list.",
		Fix:   "Set ranges.refresh, so that the service fetches them, or take a newer program. If it does fetch them, the log says what fails.",
		Link:  "providers/ranges.md",
	},
	each: func(p *pass, w *webhook) {
		eachList(p, w, func(list *ranges.List, at int) {
			switch s := list.Status(p.Now); {
			case s.State != ranges.Stale:
			case s.URL == "":
				p.report(w.at.At("source_ip", "ranges", at), fmt.Sprintf("%s is the list of %s, and nothing is fetched", list.Name, s.At.Format(time.DateOnly)))
			default: // in a running service
				p.report(w.at.At("source_ip", "ranges", at), fmt.Sprintf("%s could not be fetched since %s", list.Name, s.At.Format(time.DateOnly)))
			}
		})
	},
}

// endsSoon is how long before the end of a document its users are told.
const endsSoon = 90 * 24 * time.Hour

var endingRanges = Rule{
	Rule: finding.Rule{
		ID: "HB108", Severity: finding.Warning,
		Title: "the provider takes a document of addresses away, or has done so",
		Risk:  "What was good last stays as it is, while the provider's addresses change: new ones are refused, and old ones are somebody else's.",
		Fix:   "Name the document that takes its place.",
		Link:  "providers/ranges.md#notes",
	},
	each: func(p *pass, w *webhook) {
		eachList(p, w, func(list *ranges.List, at int) {
			if ends := list.Document().Ends; !ends.IsZero() && p.Now.After(ends.Add(-endsSoon)) {
				p.report(w.at.At("source_ip", "ranges", at), list.Name+" is published until "+ends.Format(time.DateOnly))
			}
		})
	},
}
