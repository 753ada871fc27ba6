package policy

import (
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// UnverifiedFindings lists the webhooks that take requests without any proof, with
// the reason that the policy gives, so that whoever reviews it does not overlook one.
func (s *Set) UnverifiedFindings() ([]Finding, error) {
	var all []Finding
	err := s.each(func(w *policyv1.Webhook, at place) {
		if w.GetUnverified() == nil {
			return
		}
		p := at.at("unverified")
		message := "takes requests without any proof: " + w.GetUnverified().GetReason()
		all = append(all, Finding{Error: p.doc.Error(p.path(), message), ID: "HB040", Severity: "info"})
	})
	return all, err
}
