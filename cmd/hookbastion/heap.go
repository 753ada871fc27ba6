package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

const (
	// heapFloor is what the heap may grow to before the first collection is
	// worth its cost. A service with few nonces has a live heap of a few MiB,
	// and would collect many times a second.
	heapFloor = 64 << 20
	// usualPercent is Go's own: a collection when the heap has doubled.
	usualPercent = 100
)

// limitMemory makes the garbage collector fit the container: a soft limit
// below the cgroup's, and fewer collections of a small heap. GOMEMLIMIT and
// GOGC, where they are set, count instead.
func limitMemory() {
	floor := int64(heapFloor)
	if limit := cgroupLimit(os.ReadFile); limit > 0 {
		if os.Getenv("GOMEMLIMIT") == "" {
			debug.SetMemoryLimit(limit / 10 * 9) // the rest is not the heap's
		}
		floor = min(floor, limit/4)
	}
	if os.Getenv("GOGC") == "" {
		keepFloor(floor, usualPercent)
	}
}

// sentinel is collected in every cycle. It is too large to share its memory
// with other objects, which would keep it.
type sentinel struct {
	floor   int64
	percent int
	_       [2]int64
}

// keepFloor sets, after each collection, by how much the heap may grow until
// the next one: to twice what lives, or to the floor. percent is what holds; to
// set another one stops the program for a moment, which small changes are not
// worth.
func keepFloor(floor int64, percent int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if wanted := growth(int64(live[0].Value.Uint64()), floor); wanted < percent*9/10 || wanted > percent*11/10 {
		percent = wanted
		debug.SetGCPercent(percent)
	}
	runtime.SetFinalizer(&sentinel{floor: floor, percent: percent}, func(s *sentinel) { keepFloor(s.floor, s.percent) })
}

func growth(live, floor int64) int {
	live = max(live, 1<<20)
	return int(max(usualPercent, (floor-live)*100/live))
}

// cgroupLimit is the memory limit in bytes; 0 if there is none.
func cgroupLimit(read func(string) ([]byte, error)) int64 {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := read(file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && limit < math.MaxInt64/2 { // version 1 writes a huge number for none
			return limit
		}
	}
	return 0
}
