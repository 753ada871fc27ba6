package memory_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// TestModelUnderPressure sends a full store new deliveries and copies of old
// ones, of several spans, by a clock that also goes back and leaps. What a map
// says is live must never be accepted again, whatever was evicted.
func TestModelUnderPressure(t *testing.T) {
	const room, steps, remembered = 400, 100_000, 4_000
	random := rand.New(rand.NewPCG(3, 4))
	m := roomFor(room)
	now := start
	live := map[uint64]time.Time{}
	sent := map[uint64]replay.Nonce{}
	outcomes := map[replay.Outcome]int{}
	accepted, next, latest := 0, uint64(0), now
	for step := range steps {
		switch random.IntN(2000) {
		case 0:
			now = now.Add(-time.Duration(random.Int64N(int64(3 * time.Minute))))
		case 1:
			now = now.Add(time.Duration(random.Int64N(int64(20 * time.Minute))))
		default:
			now = now.Add(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
		}
		if now.After(latest) {
			latest = now
		}
		n := next
		nonce, again := replay.Nonce{}, random.IntN(2) == 0 && next > 0
		if again {
			n = next - 1 - random.Uint64N(min(next, remembered))
			nonce = sent[n]
		} else {
			next++
			switch n % 4 {
			case 0:
				nonce = replaytest.Unsigned(n, now, 2*time.Minute)
			case 1:
				nonce = replaytest.Signed(n, now.Add(-time.Duration(random.Int64N(int64(200*time.Second)))))
				nonce.Expires, nonce.Span = nonce.Signed.Add(30*time.Minute), 31*time.Minute
			default:
				nonce = replaytest.Signed(n, now.Add(-time.Duration(random.Int64N(int64(200*time.Second)))))
			}
			sent[n] = nonce
			delete(sent, n-remembered)
			delete(live, n-remembered)
		}
		if nonce.Signed.IsZero() {
			nonce.Expires = now.Add(nonce.Span)
		} else if age := now.Sub(nonce.Signed); age > nonce.Expires.Sub(nonce.Signed)-replay.Skew || age < -time.Minute {
			continue // the freshness check refuses it
		}
		got := reserve(t, m, nonce, now)
		outcomes[got]++
		if got == replay.Reserved {
			at := now
			if nonce.Signed.IsZero() {
				at = latest // a window is measured by our clock alone
			}
			if until, known := live[n]; known && at.Before(until) {
				t.Fatalf("step %d: nonce %d was accepted twice; it is live for another %s", step, n, until.Sub(at))
			}
			live[n] = nonce.Expires
			if !again {
				accepted++
			}
		}
		if m.Entries() > room {
			t.Fatalf("step %d: %d entries with room for %d", step, m.Entries(), room)
		}
	}
	for _, o := range []replay.Outcome{replay.Reserved, replay.CopyUnknown, replay.Uncertain, replay.Full} {
		if outcomes[o] < 100 {
			t.Errorf("outcome %d only %d times: the test shows little", o, outcomes[o])
		}
	}
	t.Logf("%d steps: %v, %d new ones accepted", steps, outcomes, accepted)
}
