package policy

import (
	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// OnePhaseFindings lists what webhooks give up where no access log tells what
// became of a delivery. The table is compiled from the set.
func (s *Set) OnePhaseFindings(table *authz.Table) ([]Finding, error) {
	checks := map[string]*replay.Check{}
	for _, hook := range table.Webhooks() {
		for _, check := range hook.Chain {
			if c, ok := check.(*replay.Check); ok {
				checks[hook.Name] = c
			}
		}
	}
	var all []Finding
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		c := checks[w.GetName()]
		if c == nil {
			return
		}
		add := func(id, message string, step ...any) {
			p := at.At("replay").At(step...)
			all = append(all, Finding{Error: p.Error(message), ID: id, Severity: "warning"})
		}
		add("HB070", "the setting replay.access_log is false: a delivery that the application failed is refused when it comes again with the same bytes")
		if c.OnCopy == replay.AcknowledgeCopy {
			add("HB071", "ACKNOWLEDGE refuses copies while the setting replay.access_log is false, since no delivery is known to have been taken", "on_replay")
		}
	})
	return all, err
}
