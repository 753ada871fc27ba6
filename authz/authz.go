// Package authz decides whether one webhook request may pass, and says why in
// one word.
//
// A [Table] finds the [Webhook] that a [Request] belongs to; the webhook's
// [Chain] of checks runs in a fixed order, cheap before dear, public before
// secret, what changes state last; the first failure ends it. The result is a
// [Decision]. The zero value of everything in this package denies.
//
// The package knows neither gRPC nor Envoy, writes no log and reads no clock:
// time is an argument, and a check can only return facts. A request is a view
// of buffers that belong to the transport, so nothing of it may be kept after
// [Table.Decide] returns, except by an explicit copy.
//
// It does not protect against a sender who holds a configured key, and it
// cannot: such a delivery is genuine.
package authz

import (
	"context"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// Stage is a place in the chain. Its order is the order of the checks.
type Stage uint8

// The stages, in the order in which they run.
const (
	StageLimits Stage = iota
	StageTransport
	StageSource
	StageTenant
	// StageHandshake answers what providers ask before anything is proven. Neither it nor
	// StageAnswer stands in a record where the request is no handshake.
	StageHandshake
	StageToken
	StageSignature
	StageFreshness
	// StageAnswer answers what providers ask with the proof of a delivery.
	StageAnswer
	// StageKnown looks whether it is known to be a copy, and reserves nothing. A
	// look that finds none is no check of its own: it stands in no record.
	StageKnown
	StageConditions
	StageReplay
	stageCount
)

var stageNames = [stageCount]string{"limits", "transport", "source", "tenant", "handshake", "token", "signature", "freshness", "handshake", "replay", "conditions", "replay"}

// String returns the stage's name as it stands in records and spans.
func (s Stage) String() string {
	if s < stageCount {
		return stageNames[s]
	}
	return "unknown"
}

// Check is one thing that a request must satisfy. A check must be safe for
// concurrent use and must not keep anything of the call.
type Check interface {
	// Stage says where in the chain the check runs.
	Stage() Stage
	// Run returns OK, or the reason why the request must not pass. Facts for
	// later checks and for the record go into the call.
	Run(call *Call) Reason
}

// Proof is the strongest thing that a request has proven.
type Proof uint8

// The proofs, weakest first.
const (
	ProofNone Proof = iota
	ProofToken
	// ProofPartial: a signature that does not cover the body.
	ProofPartial
	ProofSignature
)

// String returns "none", "token", "partial" or "signature".
func (p Proof) String() string {
	switch p {
	case ProofSignature:
		return "signature"
	case ProofPartial:
		return "partial"
	case ProofToken:
		return "token"
	default:
		return "none"
	}
}

// Mark says what the upstream is told about a request that may be a copy.
type Mark uint8

// The marks.
const (
	MarkNone Mark = iota
	// MarkCopy: the same content was delivered before.
	MarkCopy
	// MarkPossible: nobody knows whether an earlier delivery of the same
	// content was taken.
	MarkPossible
	// MarkRedelivered: a copy that an operator has let through.
	MarkRedelivered
)

// String returns the mark as the upstream gets it; empty for none.
func (m Mark) String() string {
	switch m {
	case MarkCopy:
		return "copy"
	case MarkPossible:
		return "possible"
	case MarkRedelivered:
		return "redelivered"
	default:
		return ""
	}
}

// Call is one request on its way through a chain.
type Call struct {
	// Context ends when nobody waits for the answer any more.
	Context context.Context
	// Request is what is decided.
	Request *Request
	// Now is the time at which it is decided.
	Now time.Time
	// Webhook is the name of the webhook, Identity the one that its nonces are
	// kept under, Tenant the captured {tenant}.
	Webhook, Identity string
	Tenant            View
	// Secrets are those of the tenant, where each has its own.
	Secrets secret.Held

	// SignedTime is the time that the signature covers; zero if there is none.
	SignedTime time.Time
	// KeyID names the key or token that matched.
	KeyID string
	// Proof is the strongest proof so far.
	Proof Proof
	// Fingerprint stands for the signed content; zero if nothing signs it.
	Fingerprint Fingerprint
	// Alternate is the same with another key, while keys are changed; else zero.
	Alternate Fingerprint
	// Mark is what the upstream is told of a copy.
	Mark Mark
	// Reservation is what the replay store holds for this call.
	Reservation Reservation
	// Acknowledge: the sender of a copy is told that all is well.
	Acknowledge bool
	// Asking says whether the request may be a handshake.
	Asking Asking
	// Handshake names the one that it is, right or wrong. Answer is what it is answered
	// where the reason is Handshake, and RefusedStatus the status where it fails, or 0.
	Handshake     string
	Answer        *Answer
	RefusedStatus int

	// Elapsed, where there is one, says how long ago the call came, so that each
	// check can be timed. It is nil where nobody asks.
	Elapsed func() time.Duration

	// Explanation, where there is one, takes down what each check expected
	// and found. It is nil while serving.
	Explanation *Explanation
}

// Explain notes what the running check expected and found. Callers build the
// texts only when Explanation is not nil. Neither may hold a secret or a
// computed MAC.
func (c *Call) Explain(expected, found string) {
	if c.Explanation != nil {
		c.Explanation.expected, c.Explanation.found = expected, found
	}
}

// Explanation is what `hookbastion explain` prints.
type Explanation struct {
	Findings        []Finding
	expected, found string
}

// Finding is the outcome of one check, in words.
type Finding struct {
	Check    string
	Reason   Reason
	Expected string
	Found    string
}

func (e *Explanation) add(check string, reason Reason) {
	e.Findings = append(e.Findings, Finding{Check: check, Reason: reason, Expected: e.expected, Found: e.found})
	e.expected, e.found = "", ""
}
