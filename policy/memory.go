package policy

import "github.com/hookbastion/hookbastion/policy/gc"

// largeSet is the size in bytes of the files from which on memory is spared: the
// process would otherwise double for a moment.
const largeSet = 4 << 20

// spareMemory returns what ends it.
func spareMemory(size int) func() {
	if size < largeSet {
		return func() {}
	}
	return gc.Spare()
}
