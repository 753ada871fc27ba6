package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// task is something that a call has left undone: to settle a reservation, or,
// with Undecided, to give one back.
type task struct {
	r     authz.Reservation
	fate  replay.Fate
	until time.Time
	tries int
	again bool // it was done once, at a server that may be another
}

const (
	// laterTasks bounds what is remembered; the rest ends with its lease.
	laterTasks = 4096
	// laterAtMost is how long it is tried where there is no lease.
	laterAtMost = time.Minute
	// laterTries is how often something is given back that is not there: a call
	// that is older than our connection may still arrive.
	laterTries = 3
	// settledTasks is how many settlements of a shard are done again where another
	// server has taken over: more than come while it copies what the first one has.
	settledTasks = 64
)

// settled has the last settlements of a shard, which a server that takes over may not have.
type settled struct {
	mu    sync.Mutex
	tasks []task
	next  int
}

func (s *settled) add(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) < settledTasks {
		s.tasks = append(s.tasks, t)
		return
	}
	s.tasks[s.next] = t
	s.next = (s.next + 1) % settledTasks
}

// open returns those whose lease has not ended.
func (s *settled) open(now time.Time) (tasks []task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		if now.Before(t.until) {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

type later struct {
	dropped atomic.Int64
	mu      sync.Mutex
	tasks   []task
}

func (l *later) add(t task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tasks) >= laterTasks {
		l.dropped.Add(1)
		return
	}
	l.tasks = append(l.tasks, t)
}

func (l *later) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tasks) > 0
}

// take returns all tasks and forgets them.
func (l *later) take() []task {
	l.mu.Lock()
	defer l.mu.Unlock()
	tasks := l.tasks
	l.tasks = nil
	return tasks
}

// catchUp does what was left undone, and keeps what still cannot be done.
func (s *Store) catchUp(ctx context.Context, now time.Time) {
	for _, t := range s.later.take() {
		if !now.Before(t.until) {
			continue
		}
		if s.circuit(s.shard(t.r.Fingerprint), s.client.Load()).err() != nil {
			s.later.add(t)
			continue
		}
		var done bool
		var err error
		if t.fate != replay.Undecided {
			_, err = s.settle(ctx, t, now)
			done = err == nil
		} else {
			done, err = s.release(ctx, t.r, now)
			if err == nil {
				t.tries++
			}
		}
		if !done && t.tries < laterTries {
			s.later.add(t)
		}
	}
}
