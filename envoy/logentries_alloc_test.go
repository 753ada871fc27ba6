//go:build !race

package envoy

import (
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

// To settle takes no memory for an entry.
func TestAllocationsOfAnEntry(t *testing.T) {
	s := settlingService()
	text := s.Settler.Seal(authz.Reservation{ID: 1, Ends: 1 << 62, Fingerprint: authz.Fingerprint{1}})
	entry := encode(t, sealed(text))
	var stores patience
	defer stores.end()
	if n := testing.AllocsPerRun(100, func() { s.settleEncoded(&stores, "192.0.2.1", entry) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !s.Settler.Proven() {
		t.Error("the seal was not ours")
	}
}
