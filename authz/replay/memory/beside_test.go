package memory_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

// nonces is what is compared: the store, and what one would take instead.
type nonces interface {
	// first reports whether it is the first time that it sees the number.
	first(n uint64) bool
}

// stored is a replay.Store.
type stored struct {
	store replay.Store
	now   time.Time
}

const benchSpan = time.Hour

func (s stored) first(n uint64) bool {
	var f authz.Fingerprint
	binary.LittleEndian.PutUint64(f[:8], mix(n))
	binary.LittleEndian.PutUint64(f[7:15], mix(n+1<<60))
	answer, err := s.store.Reserve(context.Background(), replay.Nonce{
		Fingerprint: f, Signed: s.now, Expires: s.now.Add(benchSpan), Span: benchSpan,
	}, replay.Claim{}, s.now)
	return err == nil && answer.Outcome == replay.Reserved
}

// mix spreads the bits of a number, as a fingerprint does (splitmix64).
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// text is what the others have for a key: 32 characters.
func text(n uint64) string { return fmt.Sprintf("%016x%016x", mix(n), mix(n+1<<60)) }

// expiring is golang-lru's cache. Looking and adding is not one step there.
type expiring struct {
	mu    *sync.Mutex
	cache *expirable.LRU[string, struct{}]
}

func (e expiring) first(n uint64) bool {
	key := text(n)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cache.Contains(key) {
		return false
	}
	e.cache.Add(key, struct{}{})
	return true
}

// mapped is a sync.Map of times at which somebody would have to remove them.
type mapped struct{ m *sync.Map }

func (m mapped) first(n uint64) bool {
	_, found := m.m.LoadOrStore(text(n), int64(n))
	return !found
}

// BenchmarkNonces fills each kind and measures it when it is full: bytes for
// each nonce, nanoseconds for a new one and for a copy at 1, 8 and 64
// goroutines, and for a new one by the processor time of its thread, the longest
// of these insertions, by the clock and by that time, and of those that filled it,
// and the length of a collection. Beside them stands what one line of memory costs,
// of as many bytes, whose place nobody could know before: a new nonce waits for one
// at least.
func BenchmarkNonces(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		for _, kind := range []struct {
			name string
			make func() nonces
		}{
			{"memory", func() nonces {
				return stored{memory.New(memory.Config{MaxEntries: 4 * n}), time.Unix(1_795_500_000, 0)}
			}},
			{"golang-lru", func() nonces {
				return expiring{&sync.Mutex{}, expirable.NewLRU[string, struct{}](2*n, nil, benchSpan)}
			}},
			{"sync.Map", func() nonces { return mapped{&sync.Map{}} }},
		} {
			b.Run(fmt.Sprintf("%dM/%s", n/1_000_000, kind.name), func(b *testing.B) {
				for range b.N {
					benchmarkNonces(b, kind.make, n)
				}
				b.ReportMetric(0, "ns/op") // of no use
			})
		}
	}
}

func benchmarkNonces(b *testing.B, build func() nonces, n int) {
	before := liveHeap()
	s := build()
	worstToFill := longest(n, func(i int) {
		if !s.first(uint64(i)) {
			b.Fatalf("number %d was there", i)
		}
	})
	b.ReportMetric(float64(worstToFill.Microseconds()), "fill-worst-CPU-µs")
	b.ReportMetric(float64(liveHeap()-before)/float64(n), "B/nonce")
	begin := time.Now()
	runtime.GC()
	b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "GC-ms")

	const operations = 256 << 10
	next := uint64(n)
	for _, goroutines := range []int{1, 8, 64} {
		timed := goroutines == 8 // one at a time, which is not free
		per, worst := each(goroutines, operations, timed, func(i int) bool { return s.first(next + uint64(i)) })
		next += operations
		b.ReportMetric(per, fmt.Sprintf("insert%d-ns", goroutines))
		if goroutines == 8 {
			b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
		}
		per, _ = each(goroutines, operations, false, func(i int) bool { return !s.first(mix(uint64(i)) % uint64(n)) })
		b.ReportMetric(per, fmt.Sprintf("hit%d-ns", goroutines))
	}
	b.ReportMetric(float64(mean(operations, func(i int) { s.first(next + uint64(i)) }).Nanoseconds()), "insert1-CPU-ns")
	next += operations
	b.ReportMetric(float64(longest(operations, func(i int) { s.first(next + uint64(i)) }).Microseconds()), "worst-CPU-µs")
	runtime.KeepAlive(s)
	b.ReportMetric(float64(lineOf(n*27).Nanoseconds()), "line-CPU-ns")
}

// lineOf returns what it costs to read one line of so many bytes when the line
// before says which.
func lineOf(bytes int) time.Duration {
	const perLine = 64 / 8
	lines := make([]uint64, bytes/8/perLine*perLine)
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(lines) / perLine) //nolint:gosec // not to be guessed by the processor
	for i, at := range order {
		lines[at*perLine] = uint64(order[(i+1)%len(order)] * perLine)
	}
	at := uint64(0)
	took := mean(1<<20, func(int) { at = lines[at] })
	runtime.KeepAlive(at)
	return took
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first has found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// each does the operations in a number of goroutines. It returns the time for
// one, over all goroutines, and, if each is timed, the longest.
func each(goroutines, operations int, timed bool, do func(i int) bool) (perOperation float64, worst time.Duration) {
	var all sync.WaitGroup
	var longest, failed atomic.Int64
	begin := time.Now()
	for g := range goroutines {
		all.Go(func() {
			own, last := int64(0), time.Now()
			for i := g; i < operations; i += goroutines {
				if !do(i) {
					failed.Add(1)
				}
				if timed {
					now := time.Now()
					own, last = max(own, int64(now.Sub(last))), now
				}
			}
			for old := longest.Load(); own > old && !longest.CompareAndSwap(old, own); old = longest.Load() {
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		panic("a nonce was forgotten, or was there already")
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(operations), time.Duration(longest.Load())
}
