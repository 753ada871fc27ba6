package replay_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// BenchmarkReserve measures a reservation at full size, by the number of
// goroutines: in one phase, in two with the settlement that follows, and of a
// copy; beside the expirable cache of golang-lru, which has no step that both
// looks and adds. B/nonce is the heap, over-1ms the share of insertions in a
// million that took longer, pauses of the machine included.
func BenchmarkReserve(b *testing.B) {
	for _, live := range []uint64{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("%dM", live/1_000_000), func(b *testing.B) {
			b.Run("table", func(b *testing.B) { benchmarkTable(b, live) })
			b.Run("expirable", func(b *testing.B) { benchmarkExpirable(b, live) })
		})
	}
}

func benchmarkTable(b *testing.B, live uint64) {
	before := heap()
	m := memory(1 << 28)
	slow := fill(live, func(n uint64) {
		_, _ = m.Reserve(context.Background(), replaytest.Signed(n, start), replay.Claim{}, start)
	})
	perNonce := float64(heap()-before) / float64(live)
	next := &atomic.Uint64{}
	next.Store(live)
	modes := map[string]func(n uint64){
		"new": func(n uint64) {
			_, _ = m.Reserve(context.Background(), replaytest.Signed(n, start), replay.Claim{}, start)
		},
		"settled": func(n uint64) {
			a, _ := m.Reserve(context.Background(), replaytest.Signed(n, start), replaytest.Claim(n, n, replay.Taken), start)
			_, _ = m.Settle(context.Background(), a.Reservation, replay.Delivered, start)
		},
		"copy": func(n uint64) {
			_, _ = m.Reserve(context.Background(), replaytest.Signed(n%live, start), replay.Claim{}, start)
		},
	}
	for _, name := range []string{"new", "settled", "copy"} {
		parallel(b, name, next, modes[name], func(b *testing.B) {
			b.ReportMetric(perNonce, "B/nonce")
			b.ReportMetric(slow, "over-1ms")
		})
	}
	runtime.KeepAlive(m)
}

func benchmarkExpirable(b *testing.B, live uint64) {
	before := heap()
	cache := expirable.NewLRU[[16]byte, struct{}](0, nil, time.Hour)
	slow := fill(live, func(n uint64) { cache.Add(replaytest.Fingerprint(n), struct{}{}) })
	perNonce := float64(heap()-before) / float64(live)
	next := &atomic.Uint64{}
	next.Store(live)
	parallel(b, "new", next, func(n uint64) {
		f := replaytest.Fingerprint(n)
		if _, found := cache.Get(f); !found {
			cache.Add(f, struct{}{})
		}
	}, func(b *testing.B) {
		b.ReportMetric(perNonce, "B/nonce")
		b.ReportMetric(slow, "over-1ms")
	})
	runtime.KeepAlive(cache)
}

// fill adds so many and returns how many of a million took more than 1 ms.
func fill(live uint64, add func(uint64)) float64 {
	slow := 0
	for n := range live {
		begin := time.Now()
		add(n)
		if time.Since(begin) > time.Millisecond {
			slow++
		}
	}
	return float64(slow) / float64(live) * 1e6
}

func parallel(b *testing.B, name string, next *atomic.Uint64, do func(uint64), report func(*testing.B)) {
	for _, goroutines := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%s/%d", name, goroutines), func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan struct{})
			b.ResetTimer()
			for range goroutines {
				go func() {
					for left.Add(-1) >= 0 {
						do(next.Add(1))
					}
					done <- struct{}{}
				}()
			}
			for range goroutines {
				<-done
			}
			b.StopTimer()
			report(b)
		})
	}
}
