package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// BenchmarkReserve measures a reservation at 1, 8 and 64 goroutines, in memory
// alone, with a log that is brought to the disk from time to time, and with one
// that is before each answer. The log is in the directory for temporary files.
func BenchmarkReserve(b *testing.B) {
	for _, kind := range []struct {
		name string
		open func(b *testing.B) replay.Store
	}{
		{"memory", func(*testing.B) replay.Store { return memory.New(memory.Config{MaxEntries: 1 << 26}) }},
		{"sync=100ms", func(b *testing.B) replay.Store { return onDisk(b, 100*time.Millisecond) }},
		{"sync=0s", func(b *testing.B) replay.Store { return onDisk(b, 0) }},
	} {
		for _, goroutines := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, goroutines), func(b *testing.B) {
				s := kind.open(b)
				var next atomic.Uint64
				var all sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range goroutines {
					all.Go(func() {
						for n := next.Add(1); n <= uint64(b.N); n = next.Add(1) {
							a, err := s.Reserve(context.Background(), replaytest.Signed(n, start), replaytest.Claim(n, n, replay.Taken), start)
							if err != nil || a.Outcome != replay.Reserved {
								b.Errorf("nonce %d: outcome %d, %v", n, a.Outcome, err)
								return
							}
							if _, err := s.Settle(context.Background(), a.Reservation, replay.Delivered, start); err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
				if f, ok := s.(*file.Store); ok {
					l := f.Log()
					b.ReportMetric(float64(l.Bytes)/float64(b.N), "B/nonce")
					b.ReportMetric(float64(l.Written)/float64(2*b.N), "writes/call")
				}
			})
		}
	}
}

func onDisk(b *testing.B, sync time.Duration) *file.Store {
	b.Helper()
	c := config(b.TempDir())
	c.Sync, c.Memory.MaxEntries, c.Memory.MaxPending = sync, 1<<26, 1<<20
	s := opened(b, c, before)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkCompact measures a compaction of a million nonces while others
// reserve, how long the longest of their calls takes and the thousandth part that takes
// longest, beside as long a time without a compaction; what stays on the disk, and how
// long a start takes. The time for which the thread was ready and had no processor is
// taken off: on a busy machine an empty loop stands still for 100 ms.
func BenchmarkCompact(b *testing.B) {
	const nonces = 1 << 20
	for range b.N {
		s := onDisk(b, 100*time.Millisecond)
		for n := range uint64(nonces) {
			if got := ask(b, s, 3*n); got != replay.Reserved {
				b.Fatal(got)
			}
		}
		written := s.Log().Bytes
		began := time.Now()
		during := reserving(b, s, 1<<40, func() {
			if err := s.Compact(start); err != nil {
				b.Error(err)
			}
		})
		took := time.Since(began)
		without := reserving(b, s, 1<<41, func() { time.Sleep(took) })
		b.ReportMetric(float64(took.Milliseconds()), "compact-ms")
		for name, calls := range map[string][]time.Duration{"": during, "-without": without} {
			b.ReportMetric(float64(calls[len(calls)-1].Microseconds())/1e3, "slowest"+name+"-ms")
			b.ReportMetric(float64(calls[len(calls)*999/1000].Microseconds()), "p99.9"+name+"-µs")
		}
		b.ReportMetric(float64(written)/nonces, "written-B/nonce")
		b.ReportMetric(float64(s.Log().Bytes)/float64(s.Entries()), "kept-B/nonce")

		c := config(b.TempDir())
		c.Memory.MaxEntries = 1 << 26
		if err := os.CopyFS(filepath.Join(c.Dir, "copy"), os.DirFS(s.Dir())); err != nil {
			b.Fatal(err)
		}
		c.Dir = filepath.Join(c.Dir, "copy")
		began = time.Now()
		copied := opened(b, c, start)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "open-ms")
		if copied.Entries() < nonces {
			b.Errorf("%d nonces after the start", copied.Entries())
		}
		copied.Kill()
	}
	b.ReportMetric(0, "ns/op") // of no use
}

// reserving reserves from that nonce on, one after the other, while f runs, and returns how
// long each took, the longest last.
func reserving(b *testing.B, s *file.Store, from uint64, f func()) []time.Duration {
	var ended atomic.Bool
	go func() { f(); ended.Store(true) }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var calls []time.Duration
	for n, waited := from, runnable(); !ended.Load(); n++ {
		began := time.Now()
		ask(b, s, n)
		took := time.Since(began)
		before := waited
		waited = runnable()
		calls = append(calls, took-min(took, waited-before))
	}
	slices.Sort(calls)
	return calls
}
