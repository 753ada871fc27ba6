package memory_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

var start = replaytest.Start

// roomFor is a store with room for so many entries of one webhook: four fifths of what is
// not reserved.
func roomFor(entries int) *memory.Store {
	whole := entries
	for ((whole-2*(whole/32))*4+4)/5 < entries {
		whole++
	}
	return memory.New(memory.Config{MaxEntries: whole})
}

func TestMemoryConforms(t *testing.T) {
	replaytest.Run(t, func(*testing.T) replay.Store { return roomFor(200_000) })
}

func TestMemoryAfterALoss(t *testing.T) {
	replaytest.Losses(t, func(*testing.T) replaytest.Subject { return subject(memory.Config{MaxEntries: 1000}) })
}

func reserve(t testing.TB, m *memory.Store, n replay.Nonce, now time.Time) replay.Outcome {
	t.Helper()
	answer, err := m.Reserve(context.Background(), n, replay.Claim{}, now)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Outcome
}

func TestWhatWasEvictedIsNeverAcceptedAgain(t *testing.T) {
	const room, flood = 5_000, 50_000
	m := roomFor(room)
	signedAt := func(n uint64) time.Time { return start.Add(time.Duration(n) * 4 * time.Millisecond) }
	accepted := map[uint64]bool{}
	for n := range uint64(flood) {
		switch got := reserve(t, m, replaytest.Signed(n, signedAt(n)), signedAt(n)); got {
		case replay.Reserved:
			accepted[n] = true
		case replay.Uncertain:
		default:
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
		if m.Entries() > room {
			t.Fatalf("%d entries with room for %d", m.Entries(), room)
		}
	}
	if len(accepted) < flood*9/10 {
		t.Errorf("only %d of %d were accepted; new ones must push out old ones", len(accepted), flood)
	}
	now := signedAt(flood)
	for n := range accepted {
		if got := reserve(t, m, replaytest.Signed(n, signedAt(n)), now); got == replay.Reserved {
			t.Fatalf("nonce %d was accepted twice", n)
		}
	}
}

func TestUnsignedAreNeverEvicted(t *testing.T) {
	const room = 2_000
	m := roomFor(room)
	accepted := map[uint64]bool{}
	full := 0
	for n := range uint64(2 * room) {
		switch got := reserve(t, m, replaytest.Unsigned(n, start, time.Hour), start); got {
		case replay.Reserved:
			accepted[n] = true
		case replay.Full:
			full++
		default:
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
	}
	if full == 0 || len(accepted) < room*3/4 {
		t.Errorf("%d accepted, %d refused with room for %d", len(accepted), full, room)
	}
	for n := range accepted {
		if got := reserve(t, m, replaytest.Unsigned(n, start, time.Hour), start.Add(59*time.Minute)); got != replay.CopyUnknown {
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
	}
	later := start.Add(2 * time.Hour)
	if got := reserve(t, m, replaytest.Unsigned(1e9, later, time.Hour), later); got != replay.Reserved {
		t.Errorf("outcome %d after everything has expired", got)
	}
}

// A time may be signed ahead of our clock: what was signed shortly after the
// start can have come before it.
func TestStartGuard(t *testing.T) {
	m := memory.New(memory.Config{MaxEntries: 1000, Started: start})
	const ahead = time.Minute + replay.Skew // as replaytest.Signed allows
	exact := replaytest.Signed(5, start.Add(replay.Skew+time.Nanosecond))
	exact.Span -= time.Minute // a policy that allows no time ahead
	for name, c := range map[string]struct {
		nonce replay.Nonce
		want  replay.Outcome
	}{
		"signed before":                    {replaytest.Signed(1, start.Add(-time.Second)), replay.Uncertain},
		"signed at":                        {replaytest.Signed(2, start), replay.Uncertain},
		"signed as far ahead as is good":   {replaytest.Signed(3, start.Add(ahead)), replay.Uncertain},
		"signed further ahead":             {replaytest.Signed(4, start.Add(ahead+time.Nanosecond)), replay.Reserved},
		"where no time ahead was accepted": {exact, replay.Reserved},
		"no time":                          {replaytest.Unsigned(6, start, time.Hour), replay.Reserved},
	} {
		if got := reserve(t, m, c.nonce, start.Add(ahead)); got != c.want {
			t.Errorf("%s: outcome %d, want %d", name, got, c.want)
		}
	}
}

func TestClockGoesBack(t *testing.T) {
	m := roomFor(1000)
	n := replaytest.Signed(1, start)
	if got := reserve(t, m, n, start); got != replay.Reserved {
		t.Fatalf("outcome %d", got)
	}
	for _, back := range []time.Duration{time.Second, time.Minute, time.Hour, 1000 * time.Hour} {
		if got := reserve(t, m, n, start.Add(-back)); got == replay.Reserved {
			t.Errorf("accepted again when the clock went back by %s", back)
		}
	}
}

func TestEpochsWrapAround(t *testing.T) {
	m := roomFor(1000)
	now := start
	for i := range 5_000 { // hundreds of times 255 epochs
		n := replaytest.Unsigned(1, now, time.Minute)
		if got := reserve(t, m, n, now); got != replay.Reserved {
			t.Fatalf("round %d: outcome %d", i, got)
		}
		if got := reserve(t, m, n, now.Add(30*time.Second)); got != replay.CopyUnknown {
			t.Fatalf("round %d again: outcome %d", i, got)
		}
		now = now.Add(time.Minute + time.Duration(i)*time.Second)
	}
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func TestBytesPerNonce(t *testing.T) {
	const n = 1_000_000
	before := heap()
	m := roomFor(2 * n)
	for i := range uint64(n) {
		if got := reserve(t, m, replaytest.Signed(i, start), start); got != replay.Reserved {
			t.Fatalf("nonce %d: outcome %d", i, got)
		}
	}
	perNonce := float64(heap()-before) / n
	runtime.KeepAlive(m)
	if perNonce > 34 {
		t.Errorf("%.1f bytes of heap for each nonce, more than 34", perNonce)
	}
}
