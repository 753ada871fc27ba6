package h2

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// budget hands out a bounded number of bytes. Taking and giving back is one
// atomic addition while there is enough; who must wait is served in order.
type budget struct {
	limit   int64
	used    atomic.Int64
	waiting atomic.Int64
	mu      sync.Mutex
	queue   []*waiter
}

type waiter struct {
	n     int64
	ready chan struct{}
}

// take gets n bytes, or fails when the context ends. More than the whole
// budget is never given.
func (b *budget) take(ctx context.Context, n int64) bool {
	w := b.enter(n)
	if w == nil {
		return false
	}
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
		return b.leave(w)
	}
}

// enter begins to wait for n bytes, which may be there at once. It returns nil if
// they are more than the whole budget.
func (b *budget) enter(n int64) *waiter {
	if n > b.limit {
		return nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, w)
	b.waiting.Add(1)
	b.serve()
	return w
}

// leave gives up. It reports whether the bytes were given in the last moment.
func (b *budget) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, w)
	if i < 0 {
		return true
	}
	b.queue = slices.Delete(b.queue, i, i+1)
	b.waiting.Add(-1)
	b.serve() // the next one may be smaller
	return false
}

// give puts n bytes back; a negative n takes more without waiting, for a
// message that turned out larger than what was taken for it.
func (b *budget) give(n int64) {
	b.used.Add(-n)
	if b.waiting.Load() > 0 {
		b.mu.Lock()
		b.serve()
		b.mu.Unlock()
	}
}

func (b *budget) try(n int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// serve hands out what there is, with the lock held.
func (b *budget) serve() {
	for len(b.queue) > 0 && b.try(b.queue[0].n) {
		close(b.queue[0].ready)
		b.queue = b.queue[1:]
		b.waiting.Add(-1)
	}
}
