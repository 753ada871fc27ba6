package memory_test

import (
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// inShard returns a fingerprint's nonce in a shard of the test's choice.
func inShard(n replay.Nonce, shard byte) replay.Nonce {
	n.Fingerprint[8] = shard
	return n
}

// What has expired must not keep others out, wherever it lies: neither soon
// after, nor when its shard is due for a sweep anyway.
func TestExpiredNoncesMakeRoom(t *testing.T) {
	const room = 10
	unsigned := func(n uint64, now time.Time) replay.Nonce { return replaytest.Unsigned(n, now, 35*time.Minute) }
	longer := func(n uint64, now time.Time) replay.Nonce { return replaytest.Unsigned(n, now, 24*time.Hour) }
	for name, c := range map[string]struct {
		old, fresh func(n uint64, now time.Time) replay.Nonce
		after      time.Duration
	}{
		"the same table":              {unsigned, unsigned, 40 * time.Minute},
		"the same table, later":       {unsigned, unsigned, 2 * time.Hour},
		"another span":                {unsigned, longer, 40 * time.Minute},
		"another span, later":         {unsigned, longer, 2 * time.Hour},
		"signed to unsigned":          {replaytest.Signed, unsigned, 350 * time.Second},
		"signed to unsigned, later":   {replaytest.Signed, unsigned, 2 * time.Hour},
		"unsigned to signed":          {unsigned, replaytest.Signed, 40 * time.Minute},
		"unsigned to signed, later":   {unsigned, replaytest.Signed, 2 * time.Hour},
		"signed, without an eviction": {replaytest.Signed, replaytest.Signed, 350 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			m := roomFor(room)
			later := start.Add(c.after)
			for n := range uint64(room) {
				if got := reserve(t, m, inShard(c.old(n, start), byte(n)), start); got != replay.Reserved {
					t.Fatalf("nonce %d: outcome %d", n, got)
				}
			}
			for n := range uint64(room) {
				if got := reserve(t, m, inShard(c.fresh(100+n, later), byte(100+n)), later); got != replay.Reserved {
					t.Fatalf("nonce %d after all others have expired: outcome %d", n, got)
				}
			}
			for n := range uint64(room) {
				if got := reserve(t, m, inShard(c.fresh(100+n, later), byte(100+n)), later); got != replay.CopyUnknown {
					t.Fatalf("nonce %d again: outcome %d", n, got)
				}
			}
			if got := m.Entries(); got != room {
				t.Errorf("%d entries with room for %d", got, room)
			}
		})
	}
}

// A webhook must not be refused because those of another span fill the store
// with what may be evicted.
func TestSignedNoncesOfAnotherSpanAreEvicted(t *testing.T) {
	const room = 500
	m := roomFor(room)
	for n := range uint64(room) {
		if got := reserve(t, m, replaytest.Signed(n, start.Add(time.Duration(n)*time.Millisecond)), start.Add(time.Second)); got != replay.Reserved {
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
	}
	now := start.Add(2 * time.Second)
	wide := replaytest.Signed(room, now)
	wide.Span, wide.Expires = time.Hour, now.Add(time.Hour)
	if got := reserve(t, m, wide, now); got != replay.Reserved {
		t.Fatalf("a nonce of another span: outcome %d", got)
	}
	if got := m.Entries(); got > room {
		t.Errorf("%d entries with room for %d", got, room)
	}
	uncertain := 0
	for n := range uint64(room) {
		switch got := reserve(t, m, replaytest.Signed(n, start.Add(time.Duration(n)*time.Millisecond)), now); got {
		case replay.Uncertain:
			uncertain++
		case replay.CopyUnknown:
		default:
			t.Fatalf("nonce %d again: outcome %d", n, got)
		}
	}
	if uncertain == 0 {
		t.Error("nothing was evicted")
	}
	unsigned := replaytest.Unsigned(room+1, now, time.Hour)
	if got := reserve(t, m, unsigned, now); got != replay.Full && got != replay.Reserved {
		t.Errorf("an unsigned nonce: outcome %d", got)
	}
}

// A slot that was reused after its nonce had expired must not let the nonce
// through again when the clock goes back.
func TestReusedSlotsWhenTheClockGoesBack(t *testing.T) {
	m := roomFor(1000)
	first := replaytest.Signed(1, start)
	if got := reserve(t, m, first, start); got != replay.Reserved {
		t.Fatalf("outcome %d", got)
	}
	after := first.Expires.Add(first.Span / 32)
	for n := range uint64(3) { // the same shard and slot
		other := inShard(replaytest.Signed(2+n, after), first.Fingerprint[8])
		copy(other.Fingerprint[4:8], first.Fingerprint[4:8])
		if got := reserve(t, m, other, after); got != replay.Reserved {
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
	}
	back := start.Add(200 * time.Second)
	if got := reserve(t, m, first, back); got == replay.Reserved {
		t.Error("a nonce that is still live by the clock was accepted twice")
	}
	// What is signed now outlives the step of the clock.
	if got := reserve(t, m, inShard(replaytest.Signed(99, back), first.Fingerprint[8]), back); got != replay.Reserved {
		t.Errorf("a new nonce after the clock went back: outcome %d", got)
	}
}

func TestLongestWindow(t *testing.T) {
	const window = 31 * 24 * time.Hour
	m := roomFor(1000)
	now := start
	for i := range uint64(400) { // over all places within the epochs of a sweep
		n := replaytest.Unsigned(i, now, window)
		if got := reserve(t, m, n, now); got != replay.Reserved {
			t.Fatalf("nonce %d: outcome %d", i, got)
		}
		if got := reserve(t, m, n, now.Add(window-time.Minute)); got != replay.CopyUnknown {
			t.Fatalf("nonce %d again: outcome %d", i, got)
		}
		now = now.Add(window + time.Duration(i)*time.Hour)
	}
}
