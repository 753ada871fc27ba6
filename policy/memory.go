package policy

import (
	"runtime/debug"
	"sync"
)

const (
	// largeSet is the size in bytes of the files from which on memory is
	// spared.
	largeSet = 4 << 20
	// sparingPercent is how much garbage may lie beside what is in use while a
	// large set is read: in percent, 100 being Go's default.
	sparingPercent = 50
)

// sparing keeps the garbage of a large load small: the memory of the process
// would otherwise double for a moment. The setting is the process's, so that
// loads at the same time share it and the last one puts it back.
var sparing struct {
	mu     sync.Mutex
	loads  int
	before int
}

// spareMemory returns what ends it.
func spareMemory(size int) func() {
	if size < largeSet {
		return func() {}
	}
	sparing.mu.Lock()
	defer sparing.mu.Unlock()
	if sparing.loads++; sparing.loads == 1 {
		sparing.before = debug.SetGCPercent(sparingPercent)
		if 0 <= sparing.before && sparing.before < sparingPercent {
			debug.SetGCPercent(sparing.before)
		}
	}
	return func() {
		sparing.mu.Lock()
		defer sparing.mu.Unlock()
		if sparing.loads--; sparing.loads == 0 {
			debug.SetGCPercent(sparing.before)
		}
	}
}
