package h2

import (
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// ErrLeaving is the error of Receive, once, for a lasting call of a connection
// that is to go: everything that the peer has sent has been received, and it has
// nothing to send that it could not. The call is to be answered with Part.
var ErrLeaving = errors.New("the connection is to go")

const (
	// quietTime is the silence after which a peer has nothing to send.
	quietTime = 250 * time.Millisecond
	// partTime is how long a peer may take to end a call that was parted with.
	partTime = 2 * time.Second
)

// Leaving is closed when a call that is not unary is to end because its
// connection is to go.
func (c *Call) Leaving() <-chan struct{} { return c.conn.leaving }

// Part sends the one message of an answer to a lasting call, and its end. The
// peer learns of it when it may have sent more, so that what comes is still
// received until it ends the call, or is silent for two seconds.
func (c *Call) Part(message []byte) bool {
	c.conn.mu.Lock()
	c.parted = true
	c.conn.mu.Unlock()
	taken, _ := c.conn.respond(c, reply{message: message, hasMessage: true, end: true})
	return taken
}

// await waits until something has come of a lasting call, or its end.
func (c *Call) await() error {
	leaving := c.conn.leaving
	var silent <-chan time.Time
	limit := quietTime
	if c.parted {
		limit = partTime
	}
	for !c.queue.has() && c.Err() == nil {
		select {
		case <-c.queue.arrived:
		case <-c.Done():
		case <-leaving:
			leaving = nil
			timer := time.NewTimer(limit)
			defer timer.Stop()
			silent = timer.C
			if !c.parted && c.alone() && !c.queue.held() {
				return ErrLeaving
			}
		case <-silent:
			if c.parted {
				return io.EOF
			}
			return ErrLeaving
		}
	}
	return nil
}

// alone reports whether no unary call is left on the connection. Its answer could
// make the peer send something in the moment in which it learns of the end.
func (c *Call) alone() bool {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	for _, other := range c.conn.calls {
		if other.method.Unary {
			return false
		}
	}
	return true
}

// has reports whether there is something to read, or nothing will come.
func (q *queue) has() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.bytes) > 0 || q.ended
}

// allow notes that the peer may send n bytes more once it knows.
func (q *queue) allow(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limits = slices.DeleteFunc(q.limits, func(limit int64) bool { return limit < q.came })
	q.limits = append(q.limits, q.allowed)
	q.allowed += int64(n)
}

// held reports whether the peer may have more to send than the window allowed as
// far as it knew. Then it has sent exactly that.
func (q *queue) held() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.came == q.allowed || slices.Contains(q.limits, q.came)
}

// gone takes a parted call off the list that the peer has ended.
func (c *conn) gone(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.answered {
		c.remove(call)
	}
}

// endParted resets a parted call that the peer has not ended.
func (c *conn) endParted(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.parted && !call.closed && !c.dead {
		c.resetLocked(call.id, http2.ErrCodeNo)
		c.flush()
	}
}
