package policy

import (
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// CopyFindings lists the webhooks whose sender asks again on purpose while copies
// are kept back, and those whose copies pass once their delivery is forgotten. Both
// are silent where the policy says what it wants.
func (s *Set) CopyFindings() ([]Finding, error) {
	var all []Finding
	var failed error
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		schemes, step, title, again := []*policyv1.Scheme{w.GetScheme()}, "scheme", "", ""
		if w.GetProvider() != "" {
			p, err := provider.Get(w.GetProvider())
			if err != nil {
				failed = err
			}
			schemes, step, title, again = provider.Accepted(p, w.GetProviderScheme()), "provider", p.GetTitle(), p.GetAsksAgain()
		}
		add := func(id, severity, message string) {
			p := at.At(step)
			all = append(all, Finding{Error: p.Error(message), ID: id, Severity: severity})
		}
		if again != "" && w.GetReplay().GetOnReplay() == 0 {
			add("HB072", "warning", title+" may ask again on purpose with the same signed content: "+again+
				" Say replay.on_replay: MARK, which forwards it with a mark, or another one if this webhook gets none of that")
		}
		if w.GetReplay().GetWindow() == nil && signsWithoutTime(schemes) {
			add("HB073", "info", "signs no time: a delivery is known for "+strictyaml.FormatDuration(verification.DefaultWindow)+
				", and a copy of it passes after that; say with replay.window how long, up to 744h, at the price that docs/replay.md names")
		}
	})
	if err == nil {
		err = failed
	}
	return all, err
}

// signsWithoutTime reports whether content is signed and no time.
func signsWithoutTime(schemes []*policyv1.Scheme) bool {
	for _, s := range schemes {
		if s.GetKind() != nil && provider.Untimed(s) {
			return true
		}
	}
	return false
}
