package memory_test

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// longest returns the most processor time that one of the operations takes. On
// a busy machine the clock says how long others had the processor, too.
func longest(operations int, do func(i int)) (worst time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	last := threadTime()
	for i := range operations {
		do(i)
		now := threadTime()
		worst, last = max(worst, now-last), now
	}
	return worst
}

// mean returns the processor time that one of the operations takes.
func mean(operations int, do func(i int)) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime()
	for i := range operations {
		do(i)
	}
	return (threadTime() - begin) / time.Duration(operations)
}

func threadTime() time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		panic(err)
	}
	return time.Duration(at.Nano())
}
