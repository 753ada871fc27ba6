package serve

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/policy/gc"
)

// heapFloor is what the heap may grow to before a collection is worth its cost.
const heapFloor = 64 << 20

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
		gc.KeepFloor(floor)
	}
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
