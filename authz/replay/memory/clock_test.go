package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// A clock that was ahead for ten seconds makes honest deliveries wait for as
// long as a start does, and not until it is there again. What was accepted
// before, by the wrong clock or since is accepted by none.
func TestClockAheadForAMoment(t *testing.T) {
	for _, ahead := range []time.Duration{time.Minute, 2 * time.Minute, 10 * time.Minute, time.Hour, 30 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			m := roomFor(100_000)
			n, accepted := uint64(0), map[uint64]time.Time{}
			send := func(at time.Time) replay.Outcome {
				n++
				got := reserve(t, m, replaytest.Signed(n, at), at)
				if got == replay.Reserved {
					accepted[n] = at
				}
				return got
			}
			for range 2000 {
				send(start)
			}
			for s := range 10 {
				at := start.Add(ahead + time.Duration(s)*time.Second)
				for range 100 {
					send(at)
				}
				m.Sweep(at, 1024)
			}
			last := 0
			for s := 10; s < 600; s++ {
				at := start.Add(time.Duration(s) * time.Second)
				if send(at) != replay.Reserved {
					last = s
				}
				m.Sweep(at, 16)
			}
			if last > 110 {
				t.Errorf("refused until %d s after the clock was right again", last-10)
			}
			// All that would be fresh at some time, by the clock that is right.
			for _, at := range []time.Duration{200 * time.Second, 600 * time.Second, ahead - 50*time.Second, ahead + time.Minute, ahead + 5*time.Minute} {
				now := start.Add(max(at, 600*time.Second))
				if at == 200*time.Second {
					now = start.Add(at)
				}
				for i, signed := range accepted {
					if age := now.Sub(signed); age > 300*time.Second || age < -time.Minute {
						continue
					}
					if got := reserve(t, m, replaytest.Signed(i, signed), now); got == replay.Reserved {
						t.Fatalf("%d, signed at %v, was accepted again at %v", i, signed.Sub(start), now.Sub(start))
					}
				}
			}
		})
	}
}

// A lease that a clock which was ahead has given ends as if it had been right,
// and an entry of the access log still settles it.
func TestLeaseOfAClockAhead(t *testing.T) {
	m := roomFor(1000)
	ahead := start.Add(time.Hour)
	hold := func(n uint64) replay.Answer {
		a, err := m.Reserve(context.Background(), replaytest.Unsigned(n, ahead, 24*time.Hour), replaytest.Claim(n, n, replay.Unsure), ahead)
		if err != nil || a.Outcome != replay.Reserved {
			t.Fatal(a, err)
		}
		return a
	}
	settled, lost := hold(1), hold(2)
	m.Sweep(start.Add(10*time.Second), 1)
	m.Sweep(start.Add(12*time.Second), 1)
	if ok, err := m.Settle(context.Background(), settled.Reservation, replay.Delivered, start.Add(13*time.Second)); !ok || err != nil {
		t.Errorf("settled %t, %v", ok, err)
	}
	later := start.Add(2 * time.Minute)
	a, err := m.Reserve(context.Background(), replaytest.Unsigned(2, later, 24*time.Hour), replaytest.Claim(3, 3, replay.Unsure), later)
	if err != nil || a.Outcome != replay.Reserved || a.Mark != authz.MarkPossible || a.Reservation.ID == lost.Reservation.ID {
		t.Errorf("after the lease: %+v, %v", a, err)
	}
}

// One call that was held up does not turn the clock.
func TestCallThatWasHeldUp(t *testing.T) {
	m := roomFor(1000)
	for s := range uint64(120) {
		now := start.Add(time.Hour + time.Duration(s)*time.Second)
		reserve(t, m, replaytest.Signed(2*s, now), now)
		old := now.Add(-10 * time.Minute)
		reserve(t, m, replaytest.Signed(2*s+1, old), old)
	}
	now := start.Add(time.Hour + 121*time.Second)
	if got := reserve(t, m, replaytest.Signed(1000, now), now); got != replay.Reserved {
		t.Errorf("outcome %d", got)
	}
}

// A policy that became narrower keeps its nonces in another table. What was
// evicted from the one before is still not accepted.
func TestEvictedBeforeThePolicyBecameNarrower(t *testing.T) {
	const room, flood = 1000, 4000
	m := roomFor(room)
	signed := func(n uint64, tolerance time.Duration) replay.Nonce {
		at := start.Add(time.Duration(n) * 10 * time.Millisecond)
		return replay.Nonce{Fingerprint: replaytest.Fingerprint(n), Signed: at, Expires: at.Add(tolerance + replay.Skew), Span: tolerance + 60*time.Second + replay.Skew}
	}
	now := start.Add(flood * 10 * time.Millisecond)
	accepted := map[uint64]bool{}
	for n := range uint64(flood) {
		accepted[n] = reserve(t, m, signed(n, 300*time.Second), now) == replay.Reserved
	}
	if m.Stats().Evicted == 0 {
		t.Fatal("nothing was evicted")
	}
	for n := range uint64(flood) {
		if got := reserve(t, m, signed(n, 100*time.Second), now); accepted[n] && got == replay.Reserved {
			t.Fatalf("nonce %d was accepted again", n)
		}
	}
}

// What a clock that was ahead took for expired may be forgotten: what has no signed
// time passes marked, for its window since the clock was right again.
func TestMarkedAfterAClockAhead(t *testing.T) {
	const window = 10 * time.Minute
	m := roomFor(1000)
	n := uint64(0)
	mark := func(at time.Time) authz.Mark {
		t.Helper()
		n++
		a, err := m.Reserve(context.Background(), replaytest.Unsigned(n, at, window), replay.Claim{}, at)
		if err != nil || a.Outcome != replay.Reserved {
			t.Fatalf("%+v, %v", a, err)
		}
		return a.Mark
	}
	if got := mark(start); got != authz.MarkNone {
		t.Errorf("before: %q", got)
	}
	for s := range 3 {
		m.Sweep(start.Add(time.Hour+time.Duration(s)*time.Second), 1)
	}
	right := start.Add(10 * time.Second)
	for s := range 3 {
		m.Sweep(right.Add(time.Duration(s)*time.Second), 1)
	}
	again, err := m.Reserve(context.Background(), replaytest.Unsigned(1, right, window), replay.Claim{}, right.Add(3*time.Second))
	if err != nil || again.Outcome == replay.Reserved && again.Mark != authz.MarkPossible {
		t.Errorf("what was accepted before: %+v, %v", again, err)
	}
	if got := mark(right.Add(4 * time.Second)); got != authz.MarkPossible {
		t.Errorf("after it: %q", got)
	}
	if got := mark(right.Add(3*time.Second + window + replay.Skew)); got != authz.MarkNone {
		t.Errorf("after its window: %q", got)
	}
}
