package serve

import (
	"sync"
	"time"
)

// lineLimit bounds how many lines of one kind the log gets: strangers, or a system that
// is down, can cause them without end. The zero value lets none through. It is safe for
// concurrent use.
type lineLimit struct {
	most   int           // lines in each period
	period time.Duration // which begins with its first line

	mu    sync.Mutex
	began time.Time
	count int
}

// allow reports whether there may be a line. leftOut is how many the last period had
// too many, told once with the first line of the next one. full says that this is the
// first one too many.
func (l *lineLimit) allow(now time.Time) (ok bool, leftOut int, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() || now.Sub(l.began) >= l.period {
		leftOut = max(l.count-l.most, 0)
		l.began, l.count = now, 0
	}
	l.count++
	return l.count <= l.most, leftOut, l.count == l.most+1
}
