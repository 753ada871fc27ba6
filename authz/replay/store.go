package replay

import (
	"context"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Nonce is what is reserved.
type Nonce struct {
	Fingerprint authz.Fingerprint
	// Alternate is what the same content is known by to replicas that have other
	// keys first, while keys are changed; else zero. A store of one replica has
	// one key, and no use for it.
	Alternate authz.Fingerprint
	// Likeness stands for the whole request, and AlternateLikeness is that with
	// the alternate's key; zero where copies are not compared.
	Likeness, AlternateLikeness authz.Likeness
	// Webhook and Tenant say whose room it takes. Tenant is not kept.
	Webhook string
	Tenant  authz.View
	// Signed is the signed time; zero if the scheme has none.
	Signed time.Time
	// Expires is when the nonce may be forgotten.
	Expires time.Time
	// Span bounds how far Expires can be ahead of the time of a reservation.
	// It is the same for all nonces of a webhook.
	Span time.Duration
	// Doubtful: something else than the store may have forgotten an earlier
	// delivery. If the store does not know it either, it is marked as possible.
	Doubtful bool
}

// Doubted reports whether a nonce without a signed time may have been accepted
// before, and forgotten since: all that could be is forgotten by its window and
// the skew after that time.
func (n *Nonce) Doubted(forgotten, now time.Time) bool {
	return n.Signed.IsZero() && now.Before(forgotten.Add(n.Span+Skew))
}

// CouldHaveCome is the earliest time, by the clock of any replica, at which the
// delivery of a nonce with a signed time could have been accepted: its time may
// be signed ahead of ours by as much as the policy allows. Only what could not
// have come before something was forgotten is certainly new.
func (n *Nonce) CouldHaveCome() time.Time {
	ahead := max(n.Span-n.Expires.Sub(n.Signed), 0)
	return n.Signed.Add(-ahead - Skew)
}

// Claim is who reserves, and for how long.
type Claim struct {
	// Check is the same in all attempts of one check; zero if it is not known.
	Check authz.CheckID
	// Owner is this attempt, and no other.
	Owner uint64
	// Lease is how long to wait for the outcome; 0 if nobody will tell it.
	Lease time.Duration
	// Unknown is what the end of the lease means: Taken or Unsure.
	Unknown Fate
	// IfProven is what it means instead where the store knows that an access log has
	// come, which this replica does not know yet; zero: nothing else. A store of one
	// replica knows no more than that.
	IfProven Fate
}

// Outcome is the answer of a store.
type Outcome uint8

// The outcomes. The zero value admits nothing.
const (
	// Failed: the store could not tell.
	Failed Outcome = iota
	// Reserved: this is the first time, or as good as.
	Reserved
	// Copy: it was delivered before.
	Copy
	// CopyUnknown: it was forwarded before, and nobody knows what became of it.
	CopyUnknown
	// Pending: it was forwarded, and its outcome is not known yet.
	Pending
	// Uncertain: it may have been forgotten.
	Uncertain
	// Full: there is no room, and nothing may be evicted.
	Full
	// Busy: the webhook has more than its share of the calls under way; see [Shares].
	Busy
)

// Answer is the answer to a reservation.
type Answer struct {
	Outcome Outcome
	// Reservation is what was reserved or adopted. For a copy it names the
	// content and has no ID.
	Reservation authz.Reservation
	// Mark is what the upstream is told of a reserved delivery.
	Mark authz.Mark
	// Alike: it is a copy of a delivery that was the same in all that the
	// upstream got, as far as likenesses say.
	Alike bool
	// Adopted: another attempt of the same check had reserved it.
	Adopted bool
	// New: nothing was known of what was reserved. It may be marked all the same,
	// where something may have been forgotten.
	New bool
	// Proven: the access log has settled something lately, at any replica. A
	// store of one replica need not know.
	Proven bool
}

// Fate is what becomes of a reservation.
type Fate uint8

// The fates. The zero value changes nothing.
const (
	Undecided Fate = iota
	// Delivered: the upstream took it. What follows is a copy.
	Delivered
	// Taken: what follows is refused as a copy, but nobody may say that it was
	// delivered.
	Taken
	// Unsure: the next one passes, marked as possible.
	Unsure
	// Undelivered: the next one passes.
	Undelivered
)

// Store holds nonces. It is safe for concurrent use; each method is one atomic
// step over all replicas that share the store. Nothing in the arguments is
// kept. An error means that nothing is known. A method that waits for something
// outside the process asks the context for Done before: who called it can then
// let others go on.
type Store interface {
	// Reserve takes an absent nonce for the claim. Until it has expired, at
	// most one claim at a time gets Reserved, except for attempts of one check:
	// one adopts what another has reserved, and then both own it. After the store
	// may have forgotten something, an absent nonce without a signed time is
	// reserved with [authz.MarkPossible], for as long as it could be one of those.
	Reserve(ctx context.Context, nonce Nonce, claim Claim, now time.Time) (Answer, error)

	// Known tells what Reserve would say if that is certainly Copy or CopyUnknown,
	// as far as it is known without a call: it never waits, and reserves nothing.
	Known(nonce Nonce, now time.Time) (Answer, bool)

	// Settle ends a reservation whose lease has not ended. It reports whether
	// it did; what was settled, released or made again stays as it is.
	Settle(ctx context.Context, r authz.Reservation, fate Fate, now time.Time) (bool, error)

	// Release gives back what r's owner has of a reservation, and reports whether
	// it had something. After the last owner it is as if the reservation had not
	// been made; until then nothing changes for others. It may be repeated.
	Release(ctx context.Context, r authz.Reservation, now time.Time) (bool, error)

	// Permit lets the next copy of r's content through, once, until then. It
	// reports whether there is anything that would be a copy.
	Permit(ctx context.Context, r authz.Reservation, until, now time.Time) (bool, error)
}
