package envoy

import (
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/assertion"
)

// assert signs for the application what was proven, where the webhook wants it.
// A request for which that fails does not pass.
func (s *Service) assert(req *authz.Request, d *authz.Decision, id string, now time.Time) {
	w := d.Webhook
	if w == nil || w.Audience == "" || w.Shadow || d.Verdict != authz.Allow || d.Reason == authz.Handshake || d.Proof == authz.ProofNone {
		return
	}
	text, err := "", assertion.ErrNoSigner
	if req.Body.State == authz.BodyWhole {
		text, err = s.Assertions.Sign(now, &assertion.Facts{
			Audience: w.Audience, DecisionID: id, Webhook: w.Name, Tenant: string(d.Tenant), KeyID: d.KeyID,
			Proof: d.Proof.String(), Replay: d.Mark.String(), Body: req.Body.Segments,
		})
	}
	if err != nil || !isHeaderValue(text) {
		d.Verdict, d.Reason = authz.Deny, authz.Internal
		return
	}
	d.Assertion = text
}
