package h2

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// reply is what is sent for a call.
type reply struct {
	message    []byte
	hasMessage bool
	end        bool // of the call, with status
	status     Status
	late       bool   // although its time is over
	unsent     func() // see AnswerOr
}

// respond sends a reply. It reports whether it was taken, and whether a byte of it
// may leave. If it was taken, unsent is called as AnswerOr says.
func (c *conn) respond(call *Call, r reply) (taken, leaves bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || call.closed || call.finishing || call.cancelled.Load() || !r.late && call.Err() != nil {
		return false, false
	}
	call.finishing, call.status = r.end, r.status
	if r.unsent != nil {
		call.unsent = r.unsent
		c.unwritten = append(c.unwritten, call)
	}
	if message := r.message; r.hasMessage {
		if need := int64(prefixSize + len(message)); len(call.pending) == 0 && need <= min(c.sendWindow, call.sendWindow, maxFrame) {
			c.sendWindow -= need
			call.sendWindow -= need
			c.beginAnswer(call)
			c.out = appendFrame(c.out, int(need), http2.FrameData, 0, call.id)
			c.out = appendPrefix(c.out, len(message))
			c.out = append(c.out, message...)
		} else {
			call.pending = append(appendPrefix(call.pending, len(message)), message...)
			c.pending += need
		}
	}
	c.push(call)
	c.queued()
	c.flushUnlessInline(call)
	// Whoever writes at this moment may have written it.
	return true, !c.dead || c.flushing || c.left(call)
}

// beginAnswer sends the headers of an answer with its first byte, and not
// before, with mu held.
func (c *conn) beginAnswer(call *Call) {
	if !call.began {
		call.began, call.begins = true, c.queuedBytes()
		c.out = appendHeaders(c.out, &c.table, call.id)
	}
}

// giveUp tells whoever waits that no byte of an answer has left, nor will, with mu
// held. The connection counts still.
func (c *conn) giveUp(call *Call) {
	unsent := call.unsent
	call.unsent = nil
	c.server.running.Go(unsent)
}

// appendPrefix appends what comes before a message that is not compressed.
func appendPrefix(b []byte, length int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(length))
}

// push sends what the windows let through, and the end after the last byte,
// with mu held.
func (c *conn) push(call *Call) {
	for len(call.pending) > 0 {
		n := min(int64(len(call.pending)), c.sendWindow, call.sendWindow, maxFrame)
		if n <= 0 {
			if c.blocked == nil {
				c.blocked = map[*Call]struct{}{}
			}
			c.blocked[call] = struct{}{}
			return
		}
		c.sendWindow -= n
		call.sendWindow -= n
		c.beginAnswer(call)
		c.out = appendFrame(c.out, int(n), http2.FrameData, 0, call.id)
		c.out = append(c.out, call.pending[:n]...)
		call.pending = call.pending[n:]
		c.pending -= n
	}
	delete(c.blocked, call)
	if !call.finishing || call.answered {
		return
	}
	began := call.began
	if !began {
		call.began, call.begins = true, c.queuedBytes()
	}
	c.out = appendTrailers(c.out, &c.table, call.id, began, call.status)
	if call.early || call.queue != nil && !call.queue.hasEnded() {
		if call.parted {
			call.answered = true
			return
		}
		// The peer may still send, which nobody takes.
		c.resetLocked(call.id, http2.ErrCodeNo)
		return
	}
	c.remove(call)
}

// pushAll is push for all that wait, with mu held.
func (c *conn) pushAll() {
	for call := range c.blocked {
		c.push(call)
	}
}

// remove takes a call off the list, with mu held.
func (c *conn) remove(call *Call) {
	if call.closed {
		return
	}
	call.closed = true
	c.headerBytes -= call.headerBytes
	c.pending -= int64(len(call.pending))
	call.pending = nil
	if call.unsent != nil && !call.began {
		c.giveUp(call)
	}
	delete(c.calls, call.id)
	delete(c.blocked, call)
}

// noAnswer ends a call that its method has not ended, or whose time was over.
func (c *conn) noAnswer(call *Call) {
	if taken, _ := c.respond(call, reply{end: true, status: Status{Code: uint8(codes.Internal), Message: "not answered"}}); taken {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !call.closed && !call.finishing && !c.dead {
		c.resetLocked(call.id, http2.ErrCodeCancel)
		c.flushUnlessInline(call)
	}
}

// resetLocked is reset with mu held. It writes later.
func (c *conn) resetLocked(id uint32, code http2.ErrCode) {
	c.out = appendReset(c.out, id, code)
	c.resets[c.nresets%forgotten] = id
	c.nresets++
	c.queued()
	if call := c.calls[id]; call != nil {
		c.remove(call)
	}
}

// wasReset reports whether frames of a call may be under way although we have
// ended it.
func (c *conn) wasReset(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.resets[:], id)
}

// ignored reports whether a call came after our last GOAWAY.
func (c *conn) ignored(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wentAway && id > c.last
}

// giveBack gives a call's window back when its data was taken. Small chunks wait
// for others.
func (c *conn) giveBack(call *Call, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.taken += n; call.closed || call.taken < int(c.server.config.Window)/4 {
		return
	}
	c.out = appendWindowUpdate(c.out, call.id, uint32(call.taken))
	call.window.Add(int32(call.taken))
	call.queue.allow(call.taken)
	call.taken = 0
	c.flush()
}
