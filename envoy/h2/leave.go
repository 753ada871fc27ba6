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

// errSilent is the error of Receive for a message that does not go on while the
// connection is to go.
var errSilent = errors.New("silent")

const (
	// quietTime is the silence after which a peer has nothing to send.
	quietTime = 250 * time.Millisecond
	// partTime is how long a peer may take to end a call that was parted with, or to
	// go on with a message.
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
	limit := quietTime
	if c.parted {
		limit = partTime
	}
	for !c.queue.has() && c.Err() == nil {
		if c.goes() && !c.parted && c.alone() && !c.queue.held() {
			return ErrLeaving
		}
		switch silent := c.queue.wait(limit) != nil; {
		case silent && c.parted:
			return io.EOF
		case silent:
			return ErrLeaving
		}
	}
	return nil
}

// goes reports whether the connection of a call that is not unary is to go.
func (c *Call) goes() bool {
	select {
	case <-c.conn.leaving:
		return true
	default:
		return false
	}
}

// wait waits until something may have come. It fails where the rest of a message
// is late, and after a silence of that length if the connection is to go.
func (q *queue) wait(limit time.Duration) error {
	var late, silent <-chan time.Time
	if q.within {
		if q.late == nil {
			q.late = time.NewTimer(messageTime)
		}
		late = q.late.C
	}
	leaving := q.call.conn.leaving
	if q.call.goes() {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		leaving, silent = nil, timer.C
	}
	select {
	case <-q.arrived:
	case <-q.call.Done():
	case <-leaving:
	case <-late:
		return errLate
	case <-silent:
		return errSilent
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
