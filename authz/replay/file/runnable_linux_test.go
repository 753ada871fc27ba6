package file_test

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// runnable is for how long this thread was ready to run and had no processor.
func runnable() time.Duration {
	text, err := os.ReadFile("/proc/thread-self/schedstat")
	if err != nil {
		return 0
	}
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		n, _ := strconv.ParseInt(fields[1], 10, 64) // 0: nothing is taken off
		return time.Duration(n)
	}
	return 0
}
