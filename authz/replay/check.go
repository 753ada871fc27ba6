package replay

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// OnCopy is what happens to a copy.
type OnCopy uint8

// The ways to treat a copy. The zero value denies.
const (
	DenyCopy OnCopy = iota
	// MarkCopies forwards it with a mark.
	MarkCopies
	// AcknowledgeCopy tells the sender that all is well and forwards nothing,
	// where the first delivery is known to have been taken and the copy equals it
	// in all that the upstream would get.
	AcknowledgeCopy
)

// Rules say what the outcomes of a delivery mean. Each is Undelivered or Taken,
// Unknown is Unsure or Taken. The zero value takes everything.
type Rules struct {
	// Failure: the upstream failed or was not reached.
	Failure Fate
	// ClientError: the upstream answered with 3xx or 4xx.
	ClientError Fate
	// Unknown: nobody knows whether the upstream took it.
	Unknown Fate
}

// Check reserves a nonce for the signed content. It is safe for concurrent use.
type Check struct {
	Store Store
	// Settler tells later what became of a delivery; nil if nobody does.
	Settler *Settler
	OnCopy  OnCopy
	Rules   Rules
	// Likenesses compares copies with what was delivered. Without it none is
	// acknowledged.
	Likenesses *authz.Fingerprinter
	// Tolerance and Future are those of the freshness check, for schemes with
	// a signed time.
	Tolerance, Future time.Duration
	// Window is how long a delivery without a signed time is remembered.
	Window time.Duration
	// Watermark is until when deliveries may have been accepted that are forgotten,
	// or will be before their time. It is set when a policy began to accept older
	// deliveries than it did before. Signed times at or below it are refused: it
	// lies as far ahead as times could be signed then. What has no signed time is
	// marked as possible until its window and the skew have passed since.
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
	nonce, reason := c.nonce(call)
	if reason != authz.OK {
		return reason
	}
	answer := c.reserve(call, nonce)
	call.Explain("content that was not delivered before", answer.Outcome.text())
	return c.reason(call, answer)
}

// Known refuses what is known to be a copy before checks that cost more than a
// look: who has captured one delivery can send copies of it without end. Whatever
// else is true of the request it leaves to the check itself. It is safe for
// concurrent use.
type Known struct{ *Check }

// Stage returns StageKnown.
func (k Known) Stage() authz.Stage { return authz.StageKnown }

// Run looks for the nonce.
func (k Known) Run(call *authz.Call) authz.Reason {
	if k.OnCopy == MarkCopies {
		return authz.OK // it is forwarded
	}
	nonce, reason := k.nonce(call)
	if reason == authz.ReplayUncertain {
		return authz.OK // that is not known to be a copy
	}
	if reason != authz.OK {
		return reason
	}
	answer, ok := k.Store.Known(nonce, call.Now)
	if !ok {
		return authz.OK
	}
	call.Explain("content that was not delivered before", answer.Outcome.text())
	return k.reason(call, answer)
}

// nonce is what stands for the signed content.
func (c *Check) nonce(call *authz.Call) (Nonce, authz.Reason) {
	if call.Fingerprint.IsZero() || call.Proof < authz.ProofToken {
		return Nonce{}, authz.Internal // nothing without a proof gets here
	}
	nonce := Nonce{
		Fingerprint: call.Fingerprint, Alternate: call.Alternate, Webhook: call.Identity, Tenant: call.Tenant,
		Signed: call.SignedTime, Span: c.Span(),
	}
	if c.OnCopy == AcknowledgeCopy {
		nonce.Likeness, nonce.AlternateLikeness = c.Likenesses.Likeness(call.Request)
	}
	if nonce.Signed.IsZero() {
		nonce.Expires = call.Now.Add(c.Window)
		nonce.Doubtful = nonce.Doubted(c.Watermark, call.Now)
	} else {
		nonce.Expires = nonce.Signed.Add(c.Tolerance + Skew)
		if !nonce.Signed.After(c.Watermark) {
			call.Explain("a delivery signed after the policy was widened", "one that may have been forgotten")
			return nonce, authz.ReplayUncertain
		}
	}
	return nonce, authz.OK
}

// reserve asks the store, and for a delivery whose outcome is open once more a
// little later: a retry can overtake the access log.
func (c *Check) reserve(call *authz.Call, nonce Nonce) Answer {
	claim := Claim{Owner: rand.Uint64(), Lease: c.Settler.lease()} //nolint:gosec // it tells attempts apart
	if call.Request != nil {
		claim.Check = call.Request.CheckID
	}
	claim.Unknown = c.Rules.Unknown
	if !c.Settler.Proven() || c.Settler.OnlyFailures() {
		claim.Unknown = Taken // silence is no sign of anything else
	}
	if !c.Settler.Proven() {
		claim.IfProven = c.Rules.Unknown // as the store's answer to this very call may say
	}
	waited := time.Duration(0)
	for try := 0; ; try++ {
		answer, err := c.Store.Reserve(call.Context, nonce, claim, call.Now.Add(waited))
		if err != nil {
			return Answer{}
		}
		c.Settler.learn(answer)
		if answer.Outcome == Reserved && call.Context.Err() != nil {
			GiveBack(c.Store, answer.Reservation, call.Now) // nobody waits for the answer
			return Answer{}
		}
		if answer.Outcome != Pending {
			return answer
		}
		pause, ok := c.Settler.pause(call.Context, try)
		if !ok {
			answer.Outcome = c.Settler.open()
			return answer
		}
		waited += pause
		if nonce.Signed.IsZero() {
			nonce.Expires = nonce.Expires.Add(pause)
		}
	}
}

// reason turns the store's answer into the check's.
func (c *Check) reason(call *authz.Call, answer Answer) authz.Reason {
	call.Reservation = answer.Reservation
	call.Reservation.Rules = c.Rules.pack()
	switch answer.Outcome {
	case Reserved:
		call.Mark = answer.Mark
		return authz.OK
	case Copy, CopyUnknown, Pending:
		if c.OnCopy == MarkCopies {
			call.Mark = authz.MarkPossible
			if answer.Outcome == Copy {
				call.Mark = authz.MarkCopy
			}
			return authz.OK
		}
		if answer.Outcome == Pending {
			return authz.InFlight
		}
		call.Acknowledge = c.OnCopy == AcknowledgeCopy && answer.Outcome == Copy && answer.Alike
		return authz.Replayed
	case Uncertain:
		return authz.ReplayUncertain
	case Busy:
		return authz.Overloaded
	default:
		if call.Context.Err() != nil {
			return authz.Timeout
		}
		return authz.StoreUnavailable
	}
}

// giveBackTime bounds the call that gives a reservation back.
const giveBackTime = 500 * time.Millisecond

// GiveBack undoes a reservation whose answer nobody took, unless another
// attempt has adopted it. It has a context of its own: that of the call is over.
func GiveBack(store Store, r authz.Reservation, now time.Time) {
	if r.ID == 0 || store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTime)
	defer cancel()
	_, _ = store.Release(ctx, r, now) // what is not released ends with its lease
}

func (o Outcome) text() string {
	switch o {
	case Reserved:
		return "its first delivery"
	case Copy:
		return "a copy of an earlier delivery"
	case CopyUnknown:
		return "a copy of a delivery whose outcome is not known"
	case Pending:
		return "a copy of a delivery that is on its way"
	case Uncertain:
		return "a signed time from before what the store remembers"
	case Full:
		return "a full store"
	case Busy:
		return "a webhook with more than its share of the calls of the store"
	default:
		return "a store that did not answer"
	}
}
