package authz

import "time"

// Verdict is what the rules say of a request.
type Verdict uint8

// The verdicts. The zero value denies.
const (
	Deny Verdict = iota
	Allow
)

// String returns "deny" or "allow".
func (v Verdict) String() string {
	if v == Allow {
		return "allow"
	}
	return "deny"
}

// Outcome is the reason of one check that ran.
type Outcome struct {
	Stage  Stage
	Reason Reason
	// Start and End are the times since the call came, both 0 if the checks
	// were not timed.
	Start, End time.Duration
}

// Decision is the answer to one request. The zero value denies with 503.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	// Webhook is nil if none matched.
	Webhook *Webhook
	// Tenant aliases the request.
	Tenant View
	KeyID  string
	Proof  Proof
	Mark   Mark
	// Reservation is what the replay store holds for this request; zero if
	// nothing.
	Reservation Reservation
	// Acknowledged: the sender of a copy gets 200, and nothing is forwarded.
	Acknowledged bool
	// SignedTime is the verified time; zero if there is none.
	SignedTime time.Time
	// Handshake names the handshake that the request is, right or wrong. Answer is what
	// it is answered where the reason is Handshake, and RefusedStatus the status where it
	// fails; 0: the webhook's own.
	Handshake     string
	Answer        *Answer
	RefusedStatus int
	// AllowedMethods is what a 405 names.
	AllowedMethods string
	// Assertion is what the upstream can check, signed; empty if there is
	// none.
	Assertion string

	outcomes [stageCount + 2]Outcome // a stage may have two checks
	ran      int
	call     Call // while it is decided
}

// Checks returns the checks that ran, in order. The last one may have failed.
func (d *Decision) Checks() []Outcome { return d.outcomes[:d.ran] }

// Forward reports whether the request goes to the upstream: because it is
// allowed and no handshake, or because its webhook only watches.
func (d *Decision) Forward() bool {
	return d.Verdict == Allow && d.Reason.Allows() && d.Reason != Handshake || d.Webhook != nil && d.Webhook.Shadow
}

// Answered returns what the sender of a handshake gets, or nil if it is none, fails, or
// goes to the upstream.
func (d *Decision) Answered() *Answer {
	if d.Verdict != Allow || d.Reason != Handshake || d.Forward() || d.Answer == nil || d.Answer.Status != 200 && d.Answer.Status != 204 {
		return nil
	}
	return d.Answer
}

// Challenge is what www-authenticate says to the sender; empty if nothing.
func (d *Decision) Challenge() string {
	if d.Webhook == nil || d.Reason != TokenMissing && d.Reason != TokenInvalid {
		return ""
	}
	return d.Webhook.Challenge
}

// Told is what the operator is told of a handshake: an https URL of at most 1,024
// printable characters, or nothing.
func (d *Decision) Told() string {
	if d.Answer == nil {
		return ""
	}
	return d.Answer.Told
}

// Status returns the HTTP status that the sender gets if the request is not
// forwarded: 400 to 599, 200 for a copy that is acknowledged, or 200 or 204 for a
// handshake.
func (d *Decision) Status() int {
	if answer := d.Answered(); answer != nil {
		return answer.Status
	}
	r := d.Reason
	if d.Acknowledged && r == Replayed {
		return 200
	}
	if r >= reasonCount || r.Allows() {
		r = Unset
	}
	if status := reasons[r].status; status != 0 {
		return status
	}
	if d.Challenge() != "" {
		return 401
	}
	if r == HandshakeRefused && d.RefusedStatus >= 400 && d.RefusedStatus <= 499 {
		return d.RefusedStatus
	}
	if d.Webhook != nil && d.Webhook.DeniedStatus != 0 {
		return d.Webhook.DeniedStatus
	}
	return DefaultDeniedStatus
}
