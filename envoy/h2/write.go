package h2

import (
	"errors"
	"os"
	"slices"
	"time"
)

// flush writes what is to be sent, with mu held but while writing. What comes
// meanwhile, whoever writes already takes with it.
func (c *conn) flush() {
	if c.flushing || c.dead {
		return
	}
	c.flushing = true
	for len(c.out) > 0 && !c.dead {
		out := c.out
		c.taken += int64(len(out))
		c.out, c.spare = c.spare[:0], nil
		if now := time.Now(); now.Add(writeTime - deadlineStep).After(c.writeUntil) {
			c.writeUntil = now.Add(writeTime)
			_ = c.net.SetWriteDeadline(c.writeUntil) // on a broken connection writing fails
		}
		c.mu.Unlock()
		n, err := c.net.Write(out)
		c.mu.Lock()
		c.written += int64(n)
		if cap(out) <= writeBuffer {
			c.spare = out[:0]
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.server.met[Unread].Add(1)
			}
			c.dead = true
			_ = c.net.Close() // the reader notices
		}
		c.noteWritten()
	}
	c.flushing = false
	c.flushed.Broadcast()
	c.closeIfIdle()
}

// flushApart is flush for who must not wait for the peer.
func (c *conn) flushApart() {
	if c.flushing || c.dead {
		return
	}
	c.server.running.Add(1) // the connection counts still: it is not dead
	go func() {
		defer c.server.running.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flush()
	}()
}

// queued looks that a peer which does not read costs no more than that, with mu
// held.
func (c *conn) queued() {
	if int64(len(c.out))+c.pending > maxUnsent && !c.dead {
		c.server.met[Unread].Add(1)
		c.dead = true
		_ = c.net.Close() // the reader notices
	}
}

// queuedBytes is how many bytes were put into out since the beginning, with mu
// held.
func (c *conn) queuedBytes() int64 { return c.taken + int64(len(c.out)) }

// left reports whether a byte of an answer has left, with mu held. It is what the
// system has taken, whatever became of the connection then.
func (c *conn) left(call *Call) bool { return call.began && call.begins < c.written }

// noteWritten forgets answers of which a byte has left, with mu held.
func (c *conn) noteWritten() {
	c.unwritten = slices.DeleteFunc(c.unwritten, func(call *Call) bool {
		if c.left(call) {
			call.unsent = nil
		}
		return call.unsent == nil
	})
}

// flushUnlessInline leaves the writing to the reader if that serves the call.
func (c *conn) flushUnlessInline(call *Call) {
	if c.inline.Load() != call {
		c.flush()
	}
}
