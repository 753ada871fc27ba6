package tenant

import (
	"sync"
	"time"
)

// budget is what may be spent in a second: MissesPerSecond, all of it at once.
type budget struct {
	mu    sync.Mutex
	spent float64
	last  time.Time
}

// take spends one and reports whether there was one.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.last); passed > 0 {
		b.spent = max(0, b.spent-passed.Seconds()*MissesPerSecond)
		b.last = now
	}
	if b.spent+1 > MissesPerSecond {
		return false
	}
	b.spent++
	return true
}

// giveBack is for what was found after all.
func (b *budget) giveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-1)
}
