package h2

import (
	"io"
	"sync"
	"time"
)

// queue is what has come of a call and was not taken. It holds at most a
// window, which is given back when it is taken.
type queue struct {
	call    *Call
	mu      sync.Mutex
	bytes   []byte
	ended   bool
	arrived chan struct{} // has one if something has changed
	came    int64         // bytes in all
	allowed int64         // bytes that the peer may send in all
	limits  []int64       // what allowed was before, while the peer may not know better
	within  bool          // a message has begun
	late    *time.Timer   // when it must have come, once it is waited for
}

func newQueue(c *Call) *queue {
	return &queue{call: c, arrived: make(chan struct{}, 1), allowed: int64(c.conn.server.config.Window)}
}

func (q *queue) add(data []byte) {
	q.mu.Lock()
	q.bytes = append(q.bytes, data...)
	q.came += int64(len(data))
	q.mu.Unlock()
	q.tell()
}

func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.tell()
}

func (q *queue) hasEnded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

func (q *queue) tell() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// Read takes what there is, and waits if there is nothing.
func (q *queue) Read(p []byte) (int, error) {
	for {
		q.mu.Lock()
		n, ended := copy(p, q.bytes), q.ended
		if q.bytes = q.bytes[n:]; len(q.bytes) == 0 {
			q.bytes = nil
		}
		q.mu.Unlock()
		switch {
		case n > 0:
			q.call.conn.giveBack(q.call, n)
			return n, nil
		case q.call.Err() != nil:
			return 0, q.call.Err()
		case ended:
			return 0, io.EOF
		}
		if err := q.wait(partTime); err != nil {
			return 0, err
		}
	}
}
