package memory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// BenchmarkHeld measures a reservation beside others that are held, with a sweep
// each second of 15,000 of them: where it is taken at once, and the repetition of
// its check could adopt it for ten seconds, and where it is settled. CPU-ns is the
// processor time of its thread.
func BenchmarkHeld(b *testing.B) {
	const rate = 15_000
	for _, held := range []int{10_000, 1_000_000, 10_000_000} {
		for _, phases := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d/phases=%d", held, phases), func(b *testing.B) {
				m, now := roomFor(held+1<<26), start
				for n := range uint64(held) {
					reserve(b, m, replaytest.Unsigned(n, start, time.Hour), start)
				}
				b.ReportAllocs()
				n := uint64(held)
				b.ResetTimer()
				each := mean(b.N, func(int) {
					n++
					if now = now.Add(time.Second / rate); n%rate == 0 {
						m.Sweep(now, 1024)
					}
					claim := replaytest.Claim(n, n, replay.Taken)
					if phases == 1 {
						claim.Lease = 0
					}
					a, err := m.Reserve(context.Background(), replaytest.Unsigned(n, now, time.Hour), claim, now)
					if err != nil || a.Outcome != replay.Reserved {
						b.Fatal(a, err)
					}
					if phases == 2 {
						if ok, err := m.Settle(context.Background(), a.Reservation, replay.Delivered, now); !ok {
							b.Fatal(err)
						}
					}
				})
				b.ReportMetric(float64(each.Nanoseconds()), "CPU-ns/op")
			})
		}
	}
}

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
