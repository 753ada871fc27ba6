package h2

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// budget hands out a bounded number of bytes. Taking and giving back is one
// atomic addition while there is enough. Who must wait is served in order, but for
// connections, which take turns by bytes (start-time fair queueing): those with few
// who wait do not come behind those with many.
type budget struct {
	limit   int64
	used    atomic.Int64
	waiting atomic.Int64
	wanted  atomic.Int64 // by those who wait
	mu      sync.Mutex
	queue   []*waiter // by turn
	now     int64     // the turn of whom was served last
}

type waiter struct {
	n, turn int64
	of      *turns
	ready   chan struct{}
}

// turns is where the next one of a connection comes; with the budget's mu.
type turns struct{ next int64 }

// take gets n bytes, or fails when the context ends. More than the whole
// budget is never given.
func (b *budget) take(ctx context.Context, n int64) bool {
	w := b.enter(n, &turns{})
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
func (b *budget) enter(n int64, of *turns) *waiter {
	if n > b.limit {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &waiter{n: n, turn: max(b.now, of.next), of: of, ready: make(chan struct{})}
	of.next = w.turn + n
	i, _ := slices.BinarySearchFunc(b.queue, w.turn+1, func(other *waiter, turn int64) int { return cmp.Compare(other.turn, turn) })
	b.queue = slices.Insert(b.queue, i, w)
	b.waiting.Add(1)
	b.wanted.Add(n)
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
	b.wanted.Add(-w.n)
	w.of.next -= w.n // it had none
	b.serve()        // the next one may be smaller
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
		b.wanted.Add(-b.queue[0].n)
		b.now = max(b.now, b.queue[0].turn)
		b.queue = b.queue[1:]
		b.waiting.Add(-1)
	}
}
