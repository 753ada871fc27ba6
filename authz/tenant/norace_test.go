//go:build !race

package tenant_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/tenant"
)

func TestAllocationsOfAKnownTenant(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	c := check(tenant.NewLoader(tenant.Config{}).NewCache(), dir+"/{tenant}")
	call := &authz.Call{Context: context.Background(), Tenant: authz.View("acme"), Now: start}
	if n := testing.AllocsPerRun(100, func() {
		if c.Run(call) != authz.OK {
			t.Fatal("unknown")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
