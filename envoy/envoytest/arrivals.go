package envoytest

import (
	"context"
	"sync"
)

// arrivals guards what has arrived somewhere, and wakes who waits for more.
type arrivals struct {
	mu      sync.Mutex
	changed chan struct{} // closed when more has arrived; nil if nobody waits
}

// wake tells that more has arrived, with mu held.
func (a *arrivals) wake() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// await waits until something is found, with mu held while it looks. It reports
// whether that was before the context ended.
func (a *arrivals) await(ctx context.Context, found func() bool) bool {
	for {
		a.mu.Lock()
		if found() {
			a.mu.Unlock()
			return true
		}
		if a.changed == nil {
			a.changed = make(chan struct{})
		}
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
