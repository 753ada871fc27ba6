package policy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy"
)

// manyWebhooks writes n webhooks of five kinds into files of so many each.
func manyWebhooks(tb testing.TB, n, each int) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	providers := []string{"github", "stripe", "slack", "standard-webhooks", "gitlab"}
	var text bytes.Buffer
	for i := range n {
		if i%each == 0 {
			text.Reset()
			text.WriteString("webhooks:\n")
		}
		fmt.Fprintf(&text, "  - name: team-%06d\n    match:\n      hosts: [hooks.example.com]\n      path: /webhooks/team-%06d\n"+
			"    provider: %s\n    secrets:\n      - {id: 2026-10, file: secret}\n"+
			"    source_ip: {allow: [203.0.113.0/24, 198.51.100.0/24]}\n    limits: {max_body_bytes: 256KiB}\n", i, i, providers[i%len(providers)])
		if (i+1)%each == 0 || i == n-1 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.yaml", i/each)), text.Bytes(), 0o600); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMy"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// BenchmarkLoad100k reads and compiles 100,000 webhooks. It prints the most
// memory of the heap while it does, garbage included, and what is kept: by the
// table, and by the set for the next comparison.
func BenchmarkLoad100k(b *testing.B) {
	const n = 100_000
	for name, each := range map[string]int{"one file": n, "100 files": n / 100} {
		b.Run(name, func(b *testing.B) {
			dir := manyWebhooks(b, n, each)
			before := heapInUse()
			var peak uint64
			var set *policy.Set
			var table *authz.Table
			for b.Loop() {
				stop := watchHeap(&peak)
				var err error
				if set, err = policy.Load(dir); err != nil {
					b.Fatal(err)
				}
				if table, err = policy.Compile(set, deps()); err != nil {
					b.Fatal(err)
				}
				set.Forget()
				stop()
			}
			both := heapInUse()
			runtime.KeepAlive(set)
			alone := heapInUse()
			runtime.KeepAlive(table)
			b.ReportMetric(float64(peak-before)/(1<<20), "peak-MiB")
			b.ReportMetric(float64(alone-before)/n, "table-B/webhook")
			b.ReportMetric(float64(both-alone)/n, "set-B/webhook")
		})
	}
}

// heapInUse returns the bytes of the heap that are reachable.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what pools held
	return heapNow()
}

// heapNow returns the bytes of the heap, those of garbage included.
func heapNow() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// watchHeap keeps the largest heap until it is stopped.
func watchHeap(peak *uint64) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			*peak = max(*peak, heapNow())
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(quit); <-done }
}

// BenchmarkLookup finds one webhook among few and many: it costs the same.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table, err := compile(manyWebhooks(b, n, 1000))
			if err != nil {
				b.Fatal(err)
			}
			req := &authz.Request{
				Method: authz.View("POST"), Host: authz.View("hooks.example.com"),
				Path: authz.View(fmt.Sprintf("/webhooks/team-%06d", n/2)),
			}
			for b.Loop() {
				if table.Lookup(req).Reason != authz.OK {
					b.Fatal("not found")
				}
			}
		})
	}
}
