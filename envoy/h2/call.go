package h2

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Refusal says why a unary call has no message.
type Refusal uint8

// The refusals. The zero value is none.
const (
	None Refusal = iota
	// Overloaded: there was no room for it.
	Overloaded
	// TooLarge: it was more than MaxMessage.
	TooLarge
	// Malformed: there was none, half of one, or more than one.
	Malformed
	// Unreadable: the message is compressed, or the headers of the call were more
	// than 64 KiB or have values that none may have.
	Unreadable
)

// prefixSize is that of what comes before each message: a flag for compression,
// and the length.
const prefixSize = 5

// Call is one call, and its context: it ends when the peer cancels it, when its
// time is over, or with the connection. It must not be used after Serve has
// returned.
type Call struct {
	conn    *conn
	id      uint32
	method  *Method
	headers []hpack.HeaderField

	// What is received. Until the call runs, this is the reader's, which holds
	// receiving meanwhile; then it is that of the goroutine that serves it.
	receiving sync.Mutex
	refusal   Refusal
	prefix    [prefixSize]byte
	prefixed  int // bytes of the prefix that are there
	size, got int // of the message
	chunks    [][]byte
	room      []byte    // of the last buffer
	copied    bool      // the last chunk is in it
	buffers   []*[]byte // what was copied
	blocks    []*block  // what was not
	oneChunk  [1][]byte // memory for chunks and buffers of a small message
	oneBuffer [1]*[]byte
	charged   int64 // of the budget
	granted   bool  // the whole message has room
	running   bool
	early     bool // it runs before the peer has sent all
	uncounted bool // it is in flight no more
	released  bool
	until     time.Time // when the message must be whole
	since     time.Time // when the call began, or room was found for it
	waiting   bool      // for room

	ended  bool         // the peer sends no more; the reader's alone
	window atomic.Int32 // what the peer may still send
	// headerBytes is what the headers hold, as HTTP/2 counts.
	headerBytes int
	// promised is what content-length says is still to come; below 0 if nothing
	// does. It is the reader's alone.
	promised int64

	// What is sent, with conn.mu held.
	began, closed bool
	begins        int64  // which byte of the connection's is the answer's first
	unsent        func() // see AnswerOr
	sendWindow    int64
	pending       []byte
	finishing     bool
	status        Status
	taken         int // of the window, not yet given back
	parted        bool
	answered      bool // with its end, and the peer may go on

	queue   *queue // of calls that are not unary
	holding int64  // of the budget, for their last message

	// The context.
	deadline  time.Time
	cancelled atomic.Bool
	mu        sync.Mutex
	done      chan struct{}
	timer     *time.Timer
	closing   bool // done is closed
}

var _ context.Context = (*Call)(nil)

// Values returns the values of a header of the call, in lower case.
func (c *Call) Values(name string) []string {
	var values []string
	for i := range c.headers {
		if c.headers[i].Name == name {
			values = append(values, c.headers[i].Value)
		}
	}
	return values
}

// Only returns the value of a header, in lower case, that stands there once;
// otherwise it is empty.
func (c *Call) Only(name string) string { return only(c.headers, name) }

// Peer is the address that the connection comes from, without the port; "unix" for a Unix
// socket.
func (c *Call) Peer() string { return c.conn.peer }

// Message returns the message of a unary call in chunks, which are valid until
// Serve returns, or why there is none.
func (c *Call) Message() ([][]byte, Refusal) {
	if c.refusal != None {
		return nil, c.refusal
	}
	return c.chunks, None
}

// Deadline is when the peer stops waiting, if it has said so.
func (c *Call) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Value has nothing.
func (c *Call) Value(any) any { return nil }

// Err returns why the call has ended.
func (c *Call) Err() error {
	switch {
	case c.cancelled.Load():
		return context.Canceled
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Done is closed when the call ends. Who asks for it may wait for long, so that
// another goroutine reads the connection from then on.
func (c *Call) Done() <-chan struct{} {
	c.mu.Lock()
	if c.done == nil {
		c.done = make(chan struct{})
		switch {
		case c.Err() != nil:
			c.closeDone()
		case !c.deadline.IsZero():
			c.timer = time.AfterFunc(time.Until(c.deadline), func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.closeDone()
			})
		}
	}
	done := c.done
	c.mu.Unlock()
	c.conn.leave(c)
	return done
}

// closeDone closes done once, with mu held.
func (c *Call) closeDone() {
	if c.done != nil && !c.closing {
		c.closing = true
		close(c.done)
	}
}

// cancel ends the context.
func (c *Call) cancel() {
	c.cancelled.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeDone()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// Answer sends the one message of an answer and ends the call. It reports
// whether a byte of the answer may leave: not if the call has ended before, its
// time is over, or the connection has ended without one.
func (c *Call) Answer(message []byte) bool {
	_, leaves := c.conn.respond(c, reply{message: message, hasMessage: true, end: true})
	return leaves
}

// AnswerOr is Answer, and calls unsent once if no byte of the answer has left,
// nor will: before it returns, or later from another goroutine, and before the
// server's Wait returns. It never does so if one may have left, whether the
// peer has read it or not: what the system has taken may be read even from a
// connection that is closed. It reports whether the answer was taken; if not,
// the call is still to be ended.
func (c *Call) AnswerOr(message []byte, unsent func()) bool {
	taken, _ := c.conn.respond(c, reply{message: message, hasMessage: true, end: true, unsent: unsent})
	if !taken {
		unsent()
	}
	return taken
}

// Deny is Answer for what is right at any time: it is sent even if the call's
// time is over, for the peer may still wait.
func (c *Call) Deny(message []byte) bool {
	_, leaves := c.conn.respond(c, reply{message: message, hasMessage: true, end: true, late: true})
	return leaves
}

// Send sends a message of an answer.
func (c *Call) Send(message []byte) bool {
	_, leaves := c.conn.respond(c, reply{message: message, hasMessage: true})
	return leaves
}

// End ends the call with a status, and its context, and sends no message. Any
// goroutine may do so while Serve runs.
func (c *Call) End(status Status) bool {
	_, leaves := c.conn.respond(c, reply{end: true, status: status})
	c.cancel()
	return leaves
}

// ErrTooLarge is the error of Receive for a message larger than asked for. It
// has been thrown away, and the call goes on.
var ErrTooLarge = errors.New("message too large")

// release gives back what a unary call holds, once. The caller owns what was
// received.
func (c *Call) release() {
	if c.released {
		return
	}
	c.released = true
	s := c.conn.server
	for _, buffer := range c.buffers {
		s.config.Pool.Put(buffer)
	}
	for _, b := range c.blocks {
		s.letGo(b)
	}
	c.chunks, c.room, c.buffers, c.blocks = nil, nil, nil, nil
	s.budget.give(c.charged)
	if !c.uncounted {
		c.conn.exit()
	}
}

// expire answers a unary call of which the message did not arrive in time.
// It reports whether that was so.
func (c *Call) expire() bool {
	c.receiving.Lock()
	late := !c.running && !c.released
	if late {
		c.conn.server.met[Slow].Add(1)
		c.refuseEarly()
	}
	c.receiving.Unlock()
	if late {
		c.conn.serveApart(c)
	}
	return late
}

// refuseEarly makes a call whose message is not whole one that runs and is
// refused. The caller owns what was received.
func (c *Call) refuseEarly() {
	c.running, c.early = true, true
	if !c.uncounted {
		c.uncounted = true
		c.conn.exit() // whoever has its place need not wait for its end
	}
	if c.refusal == None {
		c.refusal = Overloaded
	}
}
