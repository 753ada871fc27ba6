package authz

import (
	"context"
	"time"
)

// Proven is what a request proves, whatever else is wrong with it.
type Proven struct {
	// Webhook is nil if none matches.
	Webhook *Webhook
	// Holds says that all proofs that the webhook asks for hold.
	Holds bool
	// Disproved says that nothing in the request could be used as a proof.
	Disproved bool
	// Reason is that of the first proof that does not hold; OK if all do.
	Reason Reason
	// Fingerprint stands for the signed content; zero where nothing signs it, or no
	// signature holds.
	Fingerprint Fingerprint
}

// disprover is a check of proofs that can tell whether nothing of a request could be used as
// one.
type disprover interface{ Disproves(call *Call) bool }

// Prove asks for what a request proves, at any time and from anywhere: it looks at tokens and
// signatures and at nothing else. No store is asked, and nothing is reserved. It never
// panics, and costs what the proofs cost, twice.
func (t *Table) Prove(ctx context.Context, req *Request, now time.Time) (p Proven) {
	defer func() {
		if recover() != nil {
			p = Proven{Reason: Internal}
		}
	}()
	if t == nil || req.Malformed {
		return Proven{Reason: Internal}
	}
	found := t.Lookup(req)
	if found.Webhook == nil {
		return Proven{Reason: found.Reason}
	}
	call := &Call{
		Context: ctx, Request: req, Now: now, Webhook: found.Webhook.Name, Identity: found.Webhook.Identity(), Tenant: found.Tenant,
	}
	p = Proven{Webhook: found.Webhook, Reason: OK}
	asked, disproved := 0, 0
	for _, check := range found.Webhook.Chain {
		stage := check.Stage()
		if stage != StageTenant && stage != StageToken && stage != StageSignature {
			continue
		}
		reason := check.Run(call)
		if reason != OK && p.Reason == OK {
			p.Reason = reason
		}
		if stage == StageTenant {
			if reason != OK {
				return p // with whose secrets?
			}
			continue
		}
		asked++
		if d, ok := check.(disprover); ok && reason != OK && d.Disproves(call) {
			disproved++
		}
	}
	p.Disproved = asked > 0 && asked == disproved
	if p.Holds = asked > 0 && p.Reason == OK; p.Holds {
		p.Fingerprint = call.Fingerprint
	}
	return p
}
