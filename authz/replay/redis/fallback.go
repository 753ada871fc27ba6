package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

// Fallback is a store that goes on alone, in this replica's memory, while Redis
// is away. It is safe for concurrent use.
//
// It prefers a copy to a lost delivery: what other replicas have accepted is not
// known then, and what is accepted then is never known to them. Signed times
// from before the outage are refused, and what has no signed time is marked as
// possible. After it, what this replica accepted alone stays a copy here; elsewhere
// what has no signed time is marked, until its window has ended.
type Fallback struct {
	*Store
	alone *memory.Store
	// since is when Redis was found away; 0: it is there. until is how long
	// nonces that were taken alone matter. Both in nanoseconds since 1970.
	since, until atomic.Int64
	// outage is when the last outage ended in which replicas went alone, as far as
	// this one has seen, in nanoseconds since 1970.
	outage  atomic.Int64
	decided atomic.Int64
	// proven: an access log has said something, here or elsewhere.
	proven    atomic.Bool
	elsewhere elsewhere
}

// grace is how long deliveries are refused before it goes alone: a restart or a
// failover may be over by then.
const grace = 2 * time.Second

// NewFallback returns a store that goes on in memory while Redis is away.
func NewFallback(s *Store, alone *memory.Store) *Fallback {
	f := &Fallback{Store: s, alone: alone}
	s.fallback = f
	return f
}

// Reserve asks Redis, or the memory while Redis is away.
func (f *Fallback) Reserve(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	if now.UnixNano() < f.until.Load() {
		if answer, known := f.known(ctx, nonce, claim, now); known {
			f.decided.Add(1)
			return answer, nil
		}
	}
	f.noteOutage(now)
	nonce.Doubtful = nonce.Doubtful || nonce.Doubted(time.Unix(0, f.outage.Load()), now)
	answer, err := f.Store.Reserve(ctx, nonce, claim, now)
	if err == nil {
		f.since.Store(0)
		if answer.Proven {
			f.proven.Store(true)
		}
		return answer, nil
	}
	if !errors.Is(err, ErrDown) {
		return answer, err
	}
	f.since.CompareAndSwap(0, now.UnixNano())
	since := time.Unix(0, f.since.Load())
	if now.Sub(since) < grace {
		return answer, err
	}
	f.decided.Add(1)
	if !nonce.Signed.IsZero() && !nonce.CouldHaveCome().After(since) {
		return replay.Answer{Outcome: replay.Uncertain}, nil
	}
	raise(&f.until, microUp(nonce.Expires)*1000)
	nonce.Doubtful = nonce.Signed.IsZero() // Redis or another replica may know it
	answer, err = f.reserveAlone(ctx, nonce, claim, now)
	if err == nil && answer.New && nonce.Doubtful {
		f.elsewhere.tookUntimed(true)
	}
	return answer, err
}

// noteOutage notes that Redis is away, and has been for long enough that replicas
// go alone.
func (f *Fallback) noteOutage(now time.Time) {
	if since := f.since.Load(); since != 0 && now.UnixNano()-since >= int64(grace) {
		raise(&f.outage, now.UnixNano())
	}
}

// looked takes in what a probe has found, so that a replica to which nothing came
// knows of an outage, too.
func (f *Fallback) looked(err error, now time.Time) {
	f.noteOutage(now)
	if err == nil {
		f.since.Store(0)
	} else {
		f.since.CompareAndSwap(0, now.UnixNano())
	}
}

// raise makes it at least to.
func raise(at *atomic.Int64, to int64) {
	for before := at.Load(); to > before && !at.CompareAndSwap(before, to); before = at.Load() {
	}
}

// reserveAlone asks the memory. Where an access log comes, what ends without a
// word may have been told to another replica, which cannot hand it on while Redis
// is away: it may come once more, whatever the policy says of other outcomes that
// nobody knows, or an honest retry would be lost.
func (f *Fallback) reserveAlone(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	if f.proven.Load() {
		claim.Unknown = replay.Unsure
	}
	answer, err := f.alone.Reserve(ctx, nonce, claim, now)
	if err == nil && answer.Outcome == replay.Reserved {
		f.elsewhere.await(answer.Reservation)
	}
	return answer, err
}

// Known looks where nothing must be asked for.
func (f *Fallback) Known(nonce replay.Nonce, now time.Time) (replay.Answer, bool) {
	if now.UnixNano() < f.until.Load() {
		if answer, ok := f.alone.Known(nonce, now); ok {
			f.decided.Add(1)
			return answer, true
		}
	}
	return f.Store.Known(nonce, now)
}

// known looks for what was taken alone: it takes it and gives it back if it was
// new.
func (f *Fallback) known(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, bool) {
	answer, err := f.reserveAlone(ctx, nonce, claim, now)
	if err != nil || answer.Outcome == replay.Full || answer.Outcome == replay.Uncertain {
		return answer, false
	}
	if answer.Outcome == replay.Reserved && answer.New {
		_, _ = f.Release(ctx, answer.Reservation, now) // the memory never fails
		return answer, false
	}
	return answer, true
}

// here reports whether a reservation was made alone: those of Redis have no
// share.
func here(r authz.Reservation) bool { return r.Partition != 0 }

// Settle ends a reservation where it was made. With [ErrElsewhere] that is another
// replica.
func (f *Fallback) Settle(ctx context.Context, r authz.Reservation, fate replay.Fate, now time.Time) (bool, error) {
	f.proven.Store(true)
	if !here(r) {
		return f.Store.Settle(ctx, r, fate, now)
	}
	if !f.alone.Issued(r) && now.UnixNano() < r.Ends {
		f.counters.elsewhere.Add(1)
		if f.elsewhere.mustTell(r, fate) {
			f.config.OnEvent(Event{What: Elsewhere, Err: ErrElsewhere})
		}
		f.Wake()
		return false, ErrElsewhere
	}
	f.elsewhere.forget(r)
	return f.alone.Settle(ctx, r, fate, now)
}

// Release undoes a reservation where it was made.
func (f *Fallback) Release(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	if here(r) {
		released, err := f.alone.Release(ctx, r, now)
		if released {
			f.elsewhere.forget(r)
		}
		return released, err
	}
	return f.Store.Release(ctx, r, now)
}

// Permit lets a copy through where it was refused.
func (f *Fallback) Permit(ctx context.Context, r authz.Reservation, until, now time.Time) (bool, error) {
	if here(r) {
		return f.alone.Permit(ctx, r, until, now)
	}
	return f.Store.Permit(ctx, r, until, now)
}

// Open asks where the reservation was made: of what was taken alone no other replica can
// settle anything before it has told this one, and then it is settled here.
func (f *Fallback) Open(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	if here(r) {
		return true, nil
	}
	return f.Store.Open(ctx, r, now)
}

// Remote returns what this replica has met of Redis.
func (f *Fallback) Remote() replay.Remote {
	r := f.Store.Remote()
	r.Local = f.decided.Load()
	f.elsewhere.mu.Lock()
	defer f.elsewhere.mu.Unlock()
	r.Dropped += f.elsewhere.dropped
	return r
}
