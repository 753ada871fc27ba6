package telemetry

import (
	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// keep gives a decision to those that are kept in memory. Denials are not limited
// there: the memory is.
func keep(ring *recent.Ring, e *Event, digest string) {
	d, req := e.Decision, e.Request
	kept := recent.Entry{
		Time: e.Time, Duration: e.Duration, ID: e.DecisionID, Trace: e.Trace.id,
		Verdict: d.Verdict, Reason: d.Reason, Status: statusOf(d), KeyID: d.KeyID, Mark: d.Mark,
		Source: req.Source, Tenant: d.Tenant, RequestID: req.RequestID, Method: req.Method, Path: req.PathOnly(),
		BodyBytes: req.Body.Len(), Checks: d.Checks(), Redeliver: e.Redeliver, Digest: digest, Handshake: d.Handshake,
		Content: d.Reservation.Fingerprint,
	}
	if told := d.Told(); len(told) <= recent.MaxText { // a part of an address leads elsewhere
		kept.Told = told
	}
	if w := d.Webhook; w != nil {
		kept.Webhook, kept.Provider, kept.Shadow = w.Name, w.Provider, w.Shadow
		if d.Reason == authz.Unprotected {
			kept.Unverified = w.Unverified
		}
	}
	if kept.Signed = !d.SignedTime.IsZero(); kept.Signed {
		kept.Skew = e.Time.Sub(d.SignedTime)
	}
	kept.EventID, kept.EventSigned = d.EventID(req)
	ring.Append(&kept)
}

// statusOf is the status of the answer to the sender.
func statusOf(d *authz.Decision) int {
	if d.Forward() {
		return 200
	}
	return d.Status()
}
