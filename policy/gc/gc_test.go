package gc

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestHeapGrowsToTheFloorAndThenDoubles(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, floor int64
		want        int
	}{
		{0, 64 * mib, 6300}, {4 * mib, 64 * mib, 1500}, {32 * mib, 64 * mib, 100}, {48 * mib, 64 * mib, 100}, {1 << 30, 64 * mib, 100}, {4 * mib, 2 * mib, 100},
	} {
		if got := growth(c.live, c.floor); got != c.want {
			t.Errorf("%d live, floor %d: %d %%, want %d %%", c.live, c.floor, got, c.want)
		}
	}
}

func percent() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// collected collects until the percentage is what it should be.
func collected(t *testing.T, what string, good func(uint64) bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		runtime.GC()
		switch p := percent(); {
		case good(p):
			return
		case time.Now().After(end):
			t.Fatalf("%s: %d %%", what, p)
		}
	}
}

// A policy that is read again and again leaves the percentage where it belongs, also
// where the heap was small when the reading began and is large when it ends.
func TestTenReloads(t *testing.T) {
	const floor = 32 << 20
	KeepFloor(floor)
	small := func(p uint64) bool { return p > 2*usual }
	collected(t, "a small heap", small)
	for i := range 10 {
		end := Spare()
		if p := percent(); p != sparing {
			t.Fatalf("reload %d: %d %% while it is read", i, p)
		}
		held := make([]byte, 2*floor)
		collected(t, "while it is read", func(p uint64) bool { return p == sparing })
		inner := Spare()
		end()
		end() // once is enough
		if p := percent(); p != sparing {
			t.Fatalf("reload %d: %d %% while another is read", i, p)
		}
		inner()
		collected(t, "a large heap", func(p uint64) bool { return p == usual })
		runtime.KeepAlive(held)
		collected(t, "a small heap again", small)
	}
}
