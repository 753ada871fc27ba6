// Package replay checks that a delivery is recent and that this is its first
// time.
//
// After the signature held, and only then, the fingerprint of the signed
// content is reserved in a [Store] by one atomic step. Nobody without the key
// can fill the store. A nonce is absent, pending, or done:
//
//	absent → pending   reserved; the request is forwarded
//	pending → done     the upstream took it: a second one is a copy
//	pending → absent   the upstream failed: an honest retry passes
//	pending → unknown  nobody will ever say: taken, or possible once more
//
// What became of a request is told by Envoy's access log, over a value that
// only the service can make ([Settler]). Without it a nonce is taken when it is
// reserved. Envoy may repeat a check, and its attempts come in any order: one
// adopts what another has reserved, and all own it. An attempt that is cancelled
// gives back its part, and the last one releases. What was answered is never
// given back.
//
// A fingerprint is kept until no replica would accept its delivery any more:
// to the signed time plus the tolerance plus the clock skew between replicas,
// or, where a scheme signs no time, for a window.
//
// Nothing is accepted after it may have been forgotten. For deliveries with a
// signed time the store has watermarks, which rise when it evicts and at its
// start: a time at or below is refused as [authz.ReplayUncertain], with 503,
// because an honest sender signs its retry again. Deliveries without a signed
// time are never evicted; if there is no room, they are refused.
//
// Those pass, marked as possible, where they may have been forgotten, until their
// window has ended since: their senders could not sign them again.
//
// What it does not protect against stands in docs/replay.md: mainly that a
// restart of the memory store forgets deliveries without a signed time, and
// that after an unknown outcome a policy may prefer a possible copy, marked, to
// a lost delivery.
package replay

import (
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

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
