package policy

import (
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// UnverifiedFindings lists the webhooks that take requests without any proof, with
// the reason that the policy gives, so that whoever reviews it does not overlook one.
func (s *Set) UnverifiedFindings() ([]Finding, error) {
	var all []Finding
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		if w.GetUnverified() == nil {
			return
		}
		p := at.At("unverified")
		message := "takes requests without any proof: " + w.GetUnverified().GetReason()
		all = append(all, Finding{Error: p.Error(message), ID: "HB040", Severity: "info"})
	})
	return all, err
}
