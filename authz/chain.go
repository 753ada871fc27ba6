package authz

import (
	"context"
	"slices"
	"time"
)

// Webhook is one endpoint with everything it asks for. It is immutable once it
// is in a table.
type Webhook struct {
	Name     string
	Provider string
	// KeptAs is the name that its nonces are kept under; Name if empty.
	KeptAs string
	// Shadow says that a denial is recorded and the request forwarded.
	Shadow bool
	// DeniedStatus is the status of denials that have none of their own; 0
	// means DefaultDeniedStatus.
	DeniedStatus int
	// DeniedHeaders are added to a denial that is the sender's fault, for
	// instance to keep the provider from a retry.
	DeniedHeaders []Header
	// Challenge is what www-authenticate says where a token is missing or wrong;
	// the status is then 401. Empty: none. Senders that were given a password ask
	// first without it.
	Challenge string
	// DeniedEmpty: the sender wants no body in a denial.
	DeniedEmpty bool
	// Unverified is the reason why no proof is asked for. Without it, an
	// empty chain denies.
	Unverified string
	// Audience, where there is one, is whom the upstream's assertion is for.
	Audience string
	// EventIDs are headers with the sender's own id of a delivery. The first one that
	// is there counts.
	EventIDs []EventID
	Chain    Chain
	// Handshakes, where there are any, are what the chain answers itself.
	Handshakes Handshaker
	// Index numbers the webhook within its table, from 0.
	Index int
}

// Identity is the name that the webhook's nonces are kept under.
func (w *Webhook) Identity() string {
	if w.KeptAs != "" {
		return w.KeptAs
	}
	return w.Name
}

// Chain is a list of checks in the order of their stages.
type Chain []Check

// NewChain sorts the checks by stage.
func NewChain(checks ...Check) Chain {
	chain := slices.Clone(checks)
	slices.SortStableFunc(chain, func(a, b Check) int { return int(a.Stage()) - int(b.Stage()) })
	return chain
}

// Decide answers a request. It never panics and never blocks beyond what the
// stores of the chain allow. The decision aliases the request.
func (t *Table) Decide(ctx context.Context, req *Request, now time.Time, d *Decision) {
	t.decide(Call{Context: ctx, Request: req, Now: now}, d)
}

// DecideTimed is Decide that also notes when each check began and ended.
// elapsed says how long ago the call came; nil is Decide.
func (t *Table) DecideTimed(ctx context.Context, req *Request, now time.Time, d *Decision, elapsed func() time.Duration) {
	t.decide(Call{Context: ctx, Request: req, Now: now, Elapsed: elapsed}, d)
}

// DecideExplained is Decide that also takes down what each check expected and
// found, where explanation is not nil.
func (t *Table) DecideExplained(ctx context.Context, req *Request, now time.Time, d *Decision, explanation *Explanation) {
	t.decide(Call{Context: ctx, Request: req, Now: now, Explanation: explanation}, d)
}

func (t *Table) decide(c Call, d *Decision) {
	*d = Decision{call: c} // a call of its own would be an allocation
	call := &d.call
	defer func() {
		if recover() != nil {
			d.Verdict, d.Reason = Deny, Internal
		}
		d.call = Call{}
	}()
	if t == nil {
		d.Reason = NotReady
		return
	}
	if call.Request.Malformed {
		d.Reason = MalformedRequest
		return
	}
	found := t.Lookup(call.Request)
	d.Reason, d.AllowedMethods = found.Reason, found.Methods
	if found.Webhook == nil {
		if found.Like != nil && call.Explanation != nil {
			call.Explain("a path that all routers read alike", "one that some take for the path of webhook "+found.Like.Name)
			call.Explanation.add("match", found.Reason)
		}
		return
	}
	d.Webhook, d.Tenant = found.Webhook, found.Tenant
	call.Asking = found.Asking
	call.Webhook, call.Identity, call.Tenant = found.Webhook.Name, found.Webhook.Identity(), found.Tenant
	d.Reason = found.Webhook.run(call, d)
	d.KeyID, d.Proof, d.Mark, d.SignedTime = call.KeyID, call.Proof, call.Mark, call.SignedTime
	d.Reservation, d.Acknowledged = call.Reservation, call.Acknowledge
	d.Handshake, d.Answer, d.RefusedStatus = call.Handshake, call.Answer, call.RefusedStatus
	if d.Reason.Allows() {
		d.Verdict = Allow
	}
}

// run goes through the chain and returns the first failure. What was not
// proven is not allowed: without a proof only the policy's own word counts.
func (w *Webhook) run(call *Call, d *Decision) Reason {
	var start, end time.Duration
	if call.Elapsed != nil {
		end = call.Elapsed()
	}
	for i, check := range w.Chain {
		reason := Timeout
		// To ask for the time costs as much as a cheap check. What takes long asks
		// itself; here it counts before the work, and before what changes state.
		if i > 0 && check.Stage() != StageReplay || call.Context.Err() == nil {
			reason = check.Run(call)
		}
		if reason == OK && check.Stage().silent() {
			continue
		}
		if reason == Unprotected || reason == Handshake && (call.Answer == nil || !check.Stage().answers()) {
			reason = Internal // only the policy can say so, and only a handshake has an answer
		}
		if call.Elapsed != nil {
			start, end = end, call.Elapsed()
		}
		if d.ran < len(d.outcomes) {
			d.outcomes[d.ran] = Outcome{check.Stage(), reason, start, end}
			d.ran++
		}
		if call.Explanation != nil {
			call.Explanation.add(check.Stage().String(), reason)
		}
		if reason != OK {
			return reason
		}
	}
	switch {
	case call.Asking != AsksNothing:
		return Internal // it was let through for a handshake, which nothing has answered
	case call.Proof > ProofNone:
		return OK
	case w.Unverified != "":
		return Unprotected
	default:
		return Internal
	}
}
