// Package replaytest is the suite that every nonce store must pass.
package replaytest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Start is the time at which the suite begins.
var Start = time.Unix(1_795_500_000, 0)

// Fingerprint returns one of 2^64 different fingerprints, spread like those of
// a keyed hash.
func Fingerprint(n uint64) authz.Fingerprint {
	var f authz.Fingerprint
	source := rand.NewPCG(n, 0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(f[:8], source.Uint64())
	binary.LittleEndian.PutUint64(f[8:], source.Uint64())
	f[15] = 0
	return f
}

// Signed returns a nonce of content with a signed time and a tolerance of 300 s
// and 60 s ahead.
func Signed(n uint64, signed time.Time) replay.Nonce {
	return replay.Nonce{
		Fingerprint: Fingerprint(n), Signed: signed,
		Expires: signed.Add(300*time.Second + replay.Skew), Span: 360*time.Second + replay.Skew,
	}
}

// Unsigned returns a nonce of content without a signed time.
func Unsigned(n uint64, now time.Time, window time.Duration) replay.Nonce {
	return replay.Nonce{Fingerprint: Fingerprint(n), Expires: now.Add(window), Span: window}
}

// Run runs the suite. newStore returns an empty store without a start guard
// and with room for at least 100,000 nonces.
func Run(t *testing.T, newStore func(t *testing.T) replay.Store) { RunSteps(t, 300_000, newStore) }

// RunSteps is Run with so many random steps, at least 10,000, for stores that
// are slow.
func RunSteps(t *testing.T, steps int, newStore func(t *testing.T) replay.Store) {
	t.Run("the second time is a copy until it expires", func(t *testing.T) { expiry(t, newStore(t)) })
	t.Run("other content is not a copy", func(t *testing.T) { others(t, newStore(t)) })
	t.Run("another span is still a copy", func(t *testing.T) { otherSpan(t, newStore(t)) })
	t.Run("one of many at once", func(t *testing.T) { race(t, newStore(t)) })
	t.Run("one of two spans at once", func(t *testing.T) {
		for range min(50, steps/1000) { // the first nonces of a store are the likeliest to collide
			raceOfSpans(t, newStore(t))
		}
	})
	states(t, newStore)
	t.Run("like a map", func(t *testing.T) { likeMap(t, newStore(t), steps) })
}

func reserve(t *testing.T, s replay.Store, n replay.Nonce, now time.Time) replay.Outcome {
	t.Helper()
	answer, err := s.Reserve(context.Background(), n, replay.Claim{}, now)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Outcome
}

func want(t *testing.T, got, want replay.Outcome, when string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: outcome %d, want %d", when, got, want)
	}
}

func expiry(t *testing.T, s replay.Store) {
	n := Unsigned(1, Start, time.Hour)
	want(t, reserve(t, s, n, Start), replay.Reserved, "first")
	want(t, reserve(t, s, n, Start), replay.CopyUnknown, "at once")
	later := Start.Add(time.Hour - time.Nanosecond)
	want(t, reserve(t, s, Unsigned(1, later, time.Hour), later), replay.CopyUnknown, "in the last moment")
	expired := Start.Add(time.Hour + time.Hour/64)
	want(t, reserve(t, s, Unsigned(1, expired, time.Hour), expired), replay.Reserved, "a 64th after its time")
}

func others(t *testing.T, s replay.Store) {
	for n := range uint64(10_000) {
		if got := reserve(t, s, Signed(n, Start), Start); got != replay.Reserved {
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
	}
	for n := range uint64(10_000) {
		if got := reserve(t, s, Signed(n, Start), Start.Add(time.Minute)); got != replay.CopyUnknown {
			t.Fatalf("nonce %d again: outcome %d", n, got)
		}
	}
}

func otherSpan(t *testing.T, s replay.Store) {
	n := Signed(1, Start)
	want(t, reserve(t, s, n, Start), replay.Reserved, "first")
	n.Span *= 8
	n.Expires = n.Expires.Add(time.Hour / 2)
	want(t, reserve(t, s, n, Start), replay.CopyUnknown, "after a reload with a longer window")
}

func race(t *testing.T, s replay.Store) {
	const goroutines = 1000
	var winners atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			if a, err := s.Reserve(context.Background(), Signed(7, Start), replay.Claim{Lease: time.Minute}, Start); err == nil && a.Outcome == replay.Reserved {
				winners.Add(1)
			}
		}()
	}
	close(begin)
	all.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d of %d got it", winners.Load(), goroutines)
	}
}

// raceOfSpans is the moment of a reload: two requests with one content are on
// their way, one by the old policies and one by the new.
func raceOfSpans(t *testing.T, s replay.Store) {
	const rounds = 400
	var winners [rounds]atomic.Int64
	var arrived atomic.Int64
	var both sync.WaitGroup
	for _, span := range []time.Duration{time.Hour, 24 * time.Hour} {
		both.Add(1)
		go func() {
			defer both.Done()
			for n := range winners {
				for arrived.Add(1); arrived.Load() < int64(2*n+2); {
					runtime.Gosched() // both begin each round together
				}
				if a, err := s.Reserve(context.Background(), Unsigned(uint64(n), Start, span), replay.Claim{}, Start); err == nil && a.Outcome == replay.Reserved {
					winners[n].Add(1)
				}
			}
		}()
	}
	both.Wait()
	for n := range winners {
		if got := winners[n].Load(); got != 1 {
			t.Fatalf("nonce %d: %d of 2 got it", n, got)
		}
	}
}

// likeMap compares the store with a map over many steps and spans. What the map
// says is live must be a copy; what it never saw must be reserved.
func likeMap(t *testing.T, s replay.Store, steps int) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // steps that can be repeated
	live := map[uint64]time.Time{}        // until when it must be remembered
	now := Start
	names := uint64(steps / 5)
	copies := 0
	for step := range steps {
		now = now.Add(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		if step%(steps/30) == 0 {
			now = now.Add(time.Duration(random.Int64N(int64(30 * time.Minute)))) // an idle spell
		}
		n := random.Uint64N(names)
		nonce := Unsigned(n, now, 10*time.Minute)
		if n%2 == 0 {
			nonce = Signed(n, now.Add(-time.Duration(random.Int64N(int64(290*time.Second)))))
		}
		got := reserve(t, s, nonce, now)
		until, known := live[n]
		switch {
		case known && now.Before(until):
			copies++
			if got != replay.CopyUnknown {
				t.Fatalf("step %d: nonce %d: outcome %d, and it is live until %s", step, n, got, until)
			}
		case !known && got != replay.Reserved:
			t.Fatalf("step %d: nonce %d is new: outcome %d", step, n, got)
		case got == replay.Reserved:
			live[n] = nonce.Expires
		}
	}
	if copies < 1000 || copies > steps-1000 {
		t.Errorf("%d copies in %d steps test little", copies, steps)
	}
}
