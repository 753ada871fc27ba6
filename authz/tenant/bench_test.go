package tenant_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/tenant"
)

// BenchmarkTenants finds the secret of a tenant: of one, of 100,000 that all fit
// in memory, and of 100,000 in a cache of the default size, where most are read
// from their file. It prints the bytes of the heap that the cache keeps.
func BenchmarkTenants(b *testing.B) {
	const most = 100_000
	dir := b.TempDir()
	for i := range most {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, fmt.Appendf(nil, "%s%d", one, i), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct{ tenants, entries int }{{1, tenant.DefaultEntries}, {most, most}, {most, tenant.DefaultEntries}} {
		b.Run(fmt.Sprintf("%d of %d in memory", min(c.tenants, c.entries), c.tenants), func(b *testing.B) {
			before := heap()
			cache := tenant.NewLoader(tenant.Config{Entries: c.entries}).NewCache()
			check := check(cache, dir+"/{tenant}")
			for i := range c.tenants {
				if _, reason := run(check, fmt.Sprint(i), start); reason != authz.OK {
					b.Fatal(reason)
				}
			}
			kept := heap() - before
			call := &authz.Call{Context: b.Context(), Now: start}
			names := make([]authz.View, c.tenants)
			for i := range names {
				names[i] = authz.View(fmt.Sprint(i))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				call.Tenant = names[i%len(names)]
				if check.Run(call) != authz.OK {
					b.Fatal("not found")
				}
			}
			b.ReportMetric(float64(kept)/(1<<20), "kept-MiB")
			runtime.KeepAlive(cache)
		})
	}
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
