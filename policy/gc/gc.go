// Package gc owns the settings of the garbage collector, which are the
// process's: whoever wants another one asks here, so that nobody puts back what is no
// longer true.
//
// Two things are wanted. A service with few nonces has a live heap of a few MiB and would
// collect many times a second: its heap may grow to a floor first. And while a large
// policy is read, the process would double for a moment: then little garbage may lie.
// Reading counts while it lasts.
package gc

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// usual is Go's own: a collection when the heap has doubled.
	usual = 100
	// sparing is how much garbage may lie beside what is in use while memory is spared,
	// in percent.
	sparing = 50
)

// settings are what holds, and what it follows from.
var settings struct {
	mu    sync.Mutex
	floor int64 // in bytes; 0: none is kept
	// percent is what the floor asks for, or what was there before.
	percent int
	spared  int // how many spare memory now
	applied int // 0: not ours yet
}

// KeepFloor lets the heap grow to a number of bytes before it is collected, and beyond
// that to twice what lives. It holds until the process ends.
func KeepFloor(bytes int64) {
	settings.mu.Lock()
	defer settings.mu.Unlock()
	settings.floor = bytes
	adjust()
	watch()
}

// Spare keeps garbage small until the function that it returns is called, once.
func Spare() (end func()) {
	settings.mu.Lock()
	defer settings.mu.Unlock()
	if settings.spared++; settings.spared == 1 && settings.floor == 0 {
		settings.percent = debug.SetGCPercent(sparing)
		settings.applied = sparing
	}
	apply()
	return sync.OnceFunc(func() {
		settings.mu.Lock()
		defer settings.mu.Unlock()
		settings.spared--
		apply()
	})
}

// sentinel is collected in every cycle. It is too large to share its memory with other
// objects, which would keep it.
type sentinel struct{ _ [4]int64 }

// watch looks again after each collection, when what lives is known.
func watch() {
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		settings.mu.Lock()
		defer settings.mu.Unlock()
		adjust()
		watch()
	})
}

// adjust asks for what the floor means for what lives now. To set another percentage
// stops the program for a moment, which small changes are not worth.
func adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	wanted := growth(int64(min(live[0].Value.Uint64(), math.MaxInt64)), settings.floor)
	if p := settings.percent; wanted < p*9/10 || wanted > p*11/10 {
		settings.percent = wanted
	}
	apply()
}

func growth(live, floor int64) int {
	live = max(live, 1<<20)
	return int(max(usual, (floor-live)*100/live))
}

// apply sets what is wanted now, unless it holds. Less than none, which switches the
// collector off, is more than any.
func apply() {
	wanted := settings.percent
	if settings.spared > 0 && (wanted < 0 || wanted > sparing) {
		wanted = sparing
	}
	if wanted != settings.applied {
		debug.SetGCPercent(wanted)
		settings.applied = wanted
	}
}
