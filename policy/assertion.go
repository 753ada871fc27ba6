package policy

import (
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// assertion reports whether the webhook gives the application an assertion.
func (c *compiler) assertion(w *policyv1.Webhook, at strictyaml.Place) bool {
	switch {
	case w.GetAssertion() == nil:
		return false
	case w.GetUnverified() != nil:
		c.faults.Fail(at, "contradicts unverified: there is nothing to vouch for")
		return false
	case !c.deps.Assertions:
		c.faults.Fail(at, "needs the setting assertion.keys")
		return false
	}
	return true
}
