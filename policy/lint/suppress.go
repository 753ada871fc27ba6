package lint

import (
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// maxSuppression is how far ahead a suppression may end without being for ever.
const maxSuppression = 366 * 24 * time.Hour

// suppression is one entry of a webhook's suppress.
type suppression struct {
	*policyv1.Suppression
	at strictyaml.Place
	// owner is the webhook whose findings it is about.
	owner string
	used  bool
}

func (p *pass) noteSuppressions(w *webhook) {
	for i, s := range w.GetSuppress() {
		at := w.at.At("suppress", i)
		e := w.at.Error("")
		p.suppressions = append(p.suppressions, &suppression{Suppression: s, at: at, owner: owner(e.File, e.Path)})
	}
}

// owner names the webhook that a path leads into.
func owner(file, path string) string {
	hook, _, _ := strings.Cut(path, ".")
	return file + "\x00" + hook
}

// suppress marks the findings that a suppression in force is about. Errors stay: serve
// refuses what they are about, or nobody verified it.
func (p *pass) suppress() {
	if len(p.suppressions) == 0 {
		return
	}
	by := map[string][]*suppression{}
	for _, s := range p.suppressions {
		by[s.owner+s.GetFinding()] = append(by[s.owner+s.GetFinding()], s)
	}
	for i := range p.found {
		f := &p.found[i]
		for _, s := range by[owner(f.File, f.Path)+f.ID] {
			s.used = true // also an expired one: it is not for nothing
			if f.Severity != finding.Error && p.inForce(s) {
				f.Suppressed = s.GetReason()
			}
		}
	}
}

func (p *pass) inForce(s *suppression) bool { return s.GetUntil().AsTime().After(p.Now) }

var expiredSuppression = Rule{
	Rule: finding.Rule{
		ID: "HB001", Severity: finding.Warning,
		Title: "a suppression has ended",
		Risk:  "What was to be mended by then may still be open, and the day on which somebody wanted to look again has passed unseen.",
		Fix:   "Mend what the finding is about and remove the entry, or give it a new reason and a new end.",
		Link:  "findings.md#suppressing-a-finding",
	},
	last: func(p *pass) {
		for _, s := range p.suppressions {
			if !p.inForce(s) {
				p.report(s.at.At("until"), "the suppression of "+s.GetFinding()+" ended at "+s.GetUntil().AsTime().Format(time.RFC3339)+", and the finding counts again")
			}
		}
	},
}

var idleSuppression = Rule{
	Rule: finding.Rule{
		ID: "HB002", Severity: finding.Info,
		Title: "a suppression suppresses nothing",
		Risk:  "It lies in wait: the same finding, of something that somebody does wrong tomorrow, is then accepted without a look.",
		Fix:   "Remove the entry.",
		Link:  "findings.md#suppressing-a-finding",
	},
	last: func(p *pass) {
		for _, s := range p.suppressions {
			id := s.GetFinding()
			switch {
			case !p.ids[id]:
				p.report(s.at.At("finding"), "there is no finding "+id)
			case !s.used:
				p.report(s.at.At("finding"), "the webhook has no finding "+id)
			default:
				continue
			}
			p.removable(s.at.Path().String())
		}
	},
}

var endlessSuppression = Rule{
	Rule: finding.Rule{
		ID: "HB003", Severity: finding.Warning,
		Title: "a suppression ends in more than a year",
		Risk:  "Nobody looks at it again: whoever gave the reason is gone by then, and so may be the reason.",
		Fix:   "Let it end within a year. Whoever still wants it then says so again.",
		Link:  "findings.md#suppressing-a-finding",
	},
	last: func(p *pass) {
		for _, s := range p.suppressions {
			if s.GetUntil().AsTime().Sub(p.Now) > maxSuppression {
				p.report(s.at.At("until"), "ends at "+s.GetUntil().AsTime().Format(time.RFC3339)+", in more than a year")
			}
		}
	},
}
