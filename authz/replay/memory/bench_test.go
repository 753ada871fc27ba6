package memory_test

import (
	"context"
	"testing"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// BenchmarkSettle measures two phases: a reservation, its seal, and the
// settlement by it, beside a million others.
func BenchmarkSettle(b *testing.B) {
	m := roomFor(1 << 28)
	for n := range uint64(1_000_000) {
		reserve(b, m, replaytest.Signed(n, start), start)
	}
	settler := replay.NewSettler(m, replaytest.Lease, replay.SealKey{1})
	n := uint64(1_000_000)
	for b.Loop() {
		n++
		a, err := m.Reserve(context.Background(), replaytest.Signed(n, start), replaytest.Claim(n, n, replay.Taken), start)
		if err != nil || settler.Settle(context.Background(), []byte(settler.Seal(a.Reservation)), replay.ResultDelivered, start) != replay.Settled {
			b.Fatal(a, err)
		}
	}
}
