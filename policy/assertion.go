package policy

import policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"

// assertion reports whether the webhook gives the application an assertion.
func (c *compiler) assertion(w *policyv1.Webhook, at place) bool {
	switch {
	case w.GetAssertion() == nil:
		return false
	case w.GetUnverified() != nil:
		c.fail(at, "contradicts unverified: there is nothing to vouch for")
		return false
	case !c.deps.Assertions:
		c.fail(at, "needs the setting assertion.keys")
		return false
	}
	return true
}
