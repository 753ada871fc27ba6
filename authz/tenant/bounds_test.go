package tenant_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/tenant"
)

// A flood of unknown names looks for no more files than the bounds allow, and
// known tenants do not notice.
func TestFloodOfUnknownTenants(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	put(t, filepath.Join(dir, "late"), two)
	o := &opener{}
	loader := tenant.NewLoader(tenant.Config{Open: o.open})
	c := check(loader.NewCache(), dir+"/{tenant}")
	run(c, "acme", start)
	reasons := map[authz.Reason]int{}
	for i := range 50_000 {
		_, reason := run(c, fmt.Sprintf("unknown-%d", i), start)
		reasons[reason]++
		if i%1000 == 0 {
			if _, reason := run(c, "acme", start); reason != authz.OK {
				t.Fatalf("a known tenant: %s", reason)
			}
		}
	}
	if n := o.opened.Load(); n != 1+tenant.MissesPerSecond {
		t.Errorf("%d files were opened", n)
	}
	if reasons[authz.TenantUnknown] != tenant.MissesPerSecond || reasons[authz.KeysUnavailable] != 50_000-tenant.MissesPerSecond {
		t.Errorf("%v", reasons)
	}
	// The same name again costs nothing at all.
	before := o.opened.Load()
	for range 1000 {
		if _, reason := run(c, "unknown-1", start.Add(9*time.Second)); reason != authz.TenantUnknown {
			t.Fatal(reason)
		}
	}
	if o.opened.Load() != before {
		t.Error("a name that is known to be unknown is looked for")
	}
	if _, reason := run(c, "late", start.Add(time.Second)); reason != authz.OK {
		t.Errorf("after a second: %s", reason)
	}
	if s := loader.Stats(); s.Unknown != tenant.MissesPerSecond || s.Refused != 50_000-tenant.MissesPerSecond || s.Loaded != 2 {
		t.Errorf("%+v", s)
	}
}

// Many tenants pass through a small cache.
func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		put(t, filepath.Join(dir, fmt.Sprint(i)), fmt.Sprintf("%s%d", one, i))
	}
	o := &opener{}
	cache := tenant.NewLoader(tenant.Config{Entries: 10, Open: o.open}).NewCache()
	c := check(cache, dir+"/{tenant}")
	for round := range 2 {
		for i := range 50 {
			if call, reason := run(c, fmt.Sprint(i), start); reason != authz.OK || texts(call) != fmt.Sprintf("%s%d", one, i) {
				t.Fatalf("round %d, %d: %s", round, i, reason)
			}
		}
	}
	if known, unknown := cache.Len(); known != 10 || unknown != 0 || o.opened.Load() != 100 {
		t.Errorf("%d tenants in memory, %d unknown, %d files opened", known, unknown, o.opened.Load())
	}
}

// Those who ask at once share one look.
func TestSingleFlight(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	o := &opener{block: make(chan struct{})}
	c := check(tenant.NewLoader(tenant.Config{Open: o.open, Timeout: time.Minute}).NewCache(), dir+"/{tenant}")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if call, reason := run(c, "acme", start); reason != authz.OK || texts(call) != one {
				t.Errorf("%s", reason)
			}
		})
	}
	close(o.block)
	all.Wait()
	if n := o.opened.Load(); n != 1 {
		t.Errorf("%d looks", n)
	}
}

// A file system that hangs holds up nobody for long: who is in memory stays, the
// others get an answer, and what hangs is bounded.
func TestHangingFileSystem(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	o := &opener{}
	c := check(tenant.NewLoader(tenant.Config{Open: o.open, Timeout: time.Millisecond}).NewCache(), dir+"/{tenant}")
	for {
		if _, reason := run(c, "acme", start); reason == authz.OK {
			break // a busy machine may be slower than the timeout
		}
	}
	before := o.opened.Load()
	o.block = make(chan struct{})
	if call, reason := run(c, "acme", start.Add(time.Hour)); reason != authz.OK || texts(call) != one {
		t.Errorf("a known tenant: %s", reason)
	}
	for i := range 100 {
		if _, reason := run(c, fmt.Sprint(i), start.Add(time.Hour)); reason != authz.KeysUnavailable {
			t.Errorf("another: %s", reason)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, reason := c.Secrets(ctx, "gone", start.Add(time.Hour)); reason != authz.KeysUnavailable {
		t.Errorf("nobody waits: %s", reason)
	}
	if n := o.opened.Load() - before; n > 64 {
		t.Errorf("%d files hang", n)
	}
	close(o.block)
}
