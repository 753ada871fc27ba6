// Package replay checks that a delivery is recent and that this is its first
// time.
//
// After the signature held, and only then, the fingerprint of the signed
// content is reserved in a [Store] by one atomic check-and-add. A second
// delivery of the same content is a copy, whatever its headers, unsigned ids
// or additional signatures are. Nobody without the key can fill the store.
//
// A fingerprint is kept until no replica would accept its delivery any more:
// to the signed time plus the tolerance plus the clock skew between replicas,
// or, where a scheme signs no time, for a window.
//
// Nothing is accepted after it may have been forgotten. For deliveries with a
// signed time the store has a watermark, which rises when it evicts and at its
// start: a time at or below it is refused as [authz.ReplayUncertain], with 503,
// because an honest sender signs its retry anew. Deliveries without a signed
// time are never evicted; if there is no room, they are refused.
//
// What it does not protect against: within one process, nothing is missed.
// After a restart of the memory store, a delivery without a signed time can be
// accepted once more, as after a reload that renames its webhook or moves
// {tenant} in its path; so can one whose signed time was ahead of our clock, if
// it is repeated before that time has come. A window is measured by our clock:
// if that leaps past the end of one and back, a delivery without a signed time
// can be accepted once more. A reservation is final when it is made: if the
// upstream then fails, a byte-identical retry is refused.
package replay

import (
	"context"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Nonce is what is reserved.
type Nonce struct {
	Fingerprint authz.Fingerprint
	// Signed is the signed time; zero if the scheme has none.
	Signed time.Time
	// Expires is when the nonce may be forgotten.
	Expires time.Time
	// Span bounds how far Expires can be ahead of the time of a reservation.
	// It is the same for all nonces of a webhook.
	Span time.Duration
}

// Outcome is the answer of a store.
type Outcome uint8

// The outcomes. The zero value admits nothing.
const (
	// Failed: the store could not tell.
	Failed Outcome = iota
	// Reserved: this is the first time.
	Reserved
	// Copy: it was reserved before.
	Copy
	// Uncertain: it may have been forgotten.
	Uncertain
	// Full: there is no room, and nothing may be evicted.
	Full
)

// Store holds nonces. It is safe for concurrent use. Of any number of
// concurrent calls with one fingerprint, at most one gets Reserved until the
// nonce has expired.
type Store interface {
	Reserve(ctx context.Context, nonce Nonce, now time.Time) (Outcome, error)
}

// Skew is how far the clocks of replicas may be apart.
const Skew = 30 * time.Second

// Freshness asks for a signed time that is neither too old nor too far ahead.
// It is safe for concurrent use.
type Freshness struct {
	Tolerance, Future time.Duration
}

// Stage returns StageFreshness.
func (f *Freshness) Stage() authz.Stage { return authz.StageFreshness }

// Run compares the signed time with the time of the call. Both bounds are
// inclusive.
func (f *Freshness) Run(call *authz.Call) authz.Reason {
	if call.SignedTime.IsZero() {
		return authz.TimestampMissing
	}
	age := call.Now.Sub(call.SignedTime)
	if call.Explanation != nil {
		call.Explain("signed at most "+f.Tolerance.String()+" ago and "+f.Future.String()+" ahead", describeAge(age, call.SignedTime))
	}
	switch {
	case age > f.Tolerance:
		return authz.TimestampTooOld
	case age < -f.Future: // not -age: the most negative age has no opposite
		return authz.TimestampInFuture
	default:
		return authz.OK
	}
}

func describeAge(age time.Duration, signed time.Time) string {
	text := "signed at " + signed.UTC().Format(time.RFC3339)
	if age < 0 {
		return text + ", " + (-age).String() + " ahead"
	}
	return text + ", " + age.String() + " ago"
}

// OnCopy is what happens to a copy.
type OnCopy uint8

// The ways to treat a copy. The zero value denies.
const (
	DenyCopy OnCopy = iota
	MarkCopy
)

// Check reserves a nonce for the signed content. It is safe for concurrent use.
type Check struct {
	Store  Store
	OnCopy OnCopy
	// Tolerance and Future are those of the freshness check, for schemes with
	// a signed time.
	Tolerance, Future time.Duration
	// Window is how long a delivery without a signed time is remembered.
	Window time.Duration
	// Watermark refuses signed times at or below it. It is set when a policy
	// began to accept older deliveries than it did before: theirs may be
	// forgotten.
	Watermark time.Time
}

// Stage returns StageReplay.
func (c *Check) Stage() authz.Stage { return authz.StageReplay }

// Span is how long a nonce of this check can live.
func (c *Check) Span() time.Duration {
	if c.Tolerance > 0 {
		return c.Tolerance + c.Future + Skew
	}
	return c.Window
}

// Run reserves the nonce.
func (c *Check) Run(call *authz.Call) authz.Reason {
	if call.Fingerprint.IsZero() || call.Proof < authz.ProofPartial {
		return authz.Internal // nothing without a signature gets here
	}
	nonce := Nonce{Fingerprint: call.Fingerprint, Signed: call.SignedTime, Span: c.Span()}
	if nonce.Signed.IsZero() {
		nonce.Expires = call.Now.Add(c.Window)
	} else {
		nonce.Expires = nonce.Signed.Add(c.Tolerance + Skew)
		if !nonce.Signed.After(c.Watermark) {
			call.Explain("a delivery signed after the policy was widened", "one that may have been forgotten")
			return authz.ReplayUncertain
		}
	}
	outcome, err := c.Store.Reserve(call.Context, nonce, call.Now)
	if err != nil {
		outcome = Failed
	}
	call.Explain("content that was not delivered before", outcome.text())
	switch outcome {
	case Reserved:
		return authz.OK
	case Copy:
		if c.OnCopy == MarkCopy {
			call.Mark = authz.MarkCopy
			return authz.OK
		}
		return authz.Replayed
	case Uncertain:
		return authz.ReplayUncertain
	default:
		return authz.StoreUnavailable
	}
}

func (o Outcome) text() string {
	switch o {
	case Reserved:
		return "its first delivery"
	case Copy:
		return "a copy of an earlier delivery"
	case Uncertain:
		return "a signed time from before what the store remembers"
	case Full:
		return "a full store"
	default:
		return "a store that did not answer"
	}
}
