package h2

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2"
)

// respond sends a message, or none, and ends the call if told so. It reports
// whether the peer may get it.
func (c *conn) respond(call *Call, message []byte, end bool, status Status) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || call.closed || call.finishing {
		return false
	}
	if call.Err() != nil {
		c.resetLocked(call.id, http2.ErrCodeCancel)
		c.flushUnlessInline(call)
		return false
	}
	hasMessage := message != nil || status.Code == 0 && end && call.method.Unary
	call.finishing, call.status = end, status
	if hasMessage {
		if !call.began {
			call.began = true
			c.out = appendFrame(c.out, len(headersBlock), http2.FrameHeaders, http2.FlagHeadersEndHeaders, call.id)
			c.out = append(c.out, headersBlock...)
		}
		if need := int64(prefixSize + len(message)); len(call.pending) == 0 && need <= min(c.sendWindow, call.sendWindow, maxFrame) {
			c.sendWindow -= need
			call.sendWindow -= need
			c.out = appendFrame(c.out, int(need), http2.FrameData, 0, call.id)
			c.out = appendPrefix(c.out, len(message))
			c.out = append(c.out, message...)
		} else {
			call.pending = append(appendPrefix(call.pending, len(message)), message...)
		}
	}
	c.push(call)
	c.queued()
	c.flushUnlessInline(call)
	return !c.dead
}

// flushUnlessInline leaves the writing to the reader if that serves the call.
func (c *conn) flushUnlessInline(call *Call) {
	if c.inline.Load() != call {
		c.flush()
	}
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
		c.out = appendFrame(c.out, int(n), http2.FrameData, 0, call.id)
		c.out = append(c.out, call.pending[:n]...)
		call.pending = call.pending[n:]
	}
	delete(c.blocked, call)
	if !call.finishing {
		return
	}
	c.out = appendTrailers(c.out, call.id, call.began, call.status)
	if call.queue != nil && !call.queue.hasEnded() {
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
	call.closed = true
	delete(c.calls, call.id)
	delete(c.blocked, call)
}

// reset ends a call with a code.
func (c *conn) reset(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetLocked(id, code)
	c.flush()
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

// giveBack gives a call's window back when its data was taken. Small pieces wait
// for others.
func (c *conn) giveBack(call *Call, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.taken += n; call.closed || call.taken < int(c.server.config.Window)/4 {
		return
	}
	c.out = appendWindowUpdate(c.out, call.id, uint32(call.taken))
	call.window.Add(int32(call.taken))
	call.taken = 0
	c.flush()
}
