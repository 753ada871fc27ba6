package h2

import (
	"encoding/binary"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

const (
	// maxInline is the size of the largest message that the reader serves itself.
	maxInline = 20 << 10
	// maxCopied is the size of the largest message that is always copied.
	maxCopied = 4 << 10
	// maxTime is how long the message of a unary call may take to arrive, and to
	// find room.
	maxTime = time.Minute
	// defaultPatience is how long a call without a deadline waits for room.
	defaultPatience = 100 * time.Millisecond
)

func protocolError() error { return http2.ConnectionError(http2.ErrCodeProtocol) }

// frame takes a frame that is not DATA.
func (c *conn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		r, err := c.readHeaders(f)
		if err != nil {
			return err
		}
		return c.headers(r)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		c.ping(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.wasCancelled(f.StreamID)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			c.fail(f.StreamID, http2.ErrCodeProtocol)
		}
	case *http2.PushPromiseFrame:
		return protocolError()
	default: // a GOAWAY, after which the peer closes; or one that is unknown
	}
	return nil
}

// badFrame takes a frame that breaks a rule of its call alone.
func (c *conn) badFrame(h http2.FrameHeader, e http2.StreamError) error {
	// Headers that are not decoded leave the table of the connection unknown.
	if c.idle(e.StreamID) || h.Type == http2.FrameHeaders {
		return protocolError()
	}
	c.fail(e.StreamID, e.Code)
	return nil
}

// find returns an open call.
func (c *conn) find(id uint32) *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

// idle reports whether no call has had the id yet.
func (c *conn) idle(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return id > c.latest || id%2 == 0
}

// fail resets a call and takes it down.
func (c *conn) fail(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	call := c.calls[id]
	c.resetLocked(id, code)
	c.flush()
	c.mu.Unlock()
	if call != nil {
		c.abandon(call)
	}
}

// headers begins a call, or ends what it sends.
func (c *conn) headers(r *request) error {
	id := r.id
	if id%2 == 0 {
		return protocolError()
	}
	if call := c.find(id); call != nil {
		switch {
		case call.ended:
			c.fail(id, http2.ErrCodeStreamClosed)
		case !r.ended || r.bad || r.pseudo != 0:
			c.fail(id, http2.ErrCodeProtocol)
		default: // trailers, of which none has a meaning
			return c.ends(call)
		}
		return nil
	}
	if !c.idle(id) {
		if c.wasReset(id) {
			return nil
		}
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	return c.begin(r)
}

// begin begins a call.
func (c *conn) begin(r *request) error {
	id := r.id
	method, status, code := c.method(r)
	now := time.Now()
	full := method != nil && method.Unary && !c.may(r, now)
	c.asked.Store(true)
	c.mu.Lock()
	c.latest = id
	ignored := c.wentAway && id > c.last
	busy := len(c.calls) >= int(c.server.config.Streams)
	switch {
	case ignored:
	case code != http2.ErrCodeNo:
		c.resetLocked(id, code)
	case method == nil && status != "":
		c.out = appendHTTPError(c.out, &c.table, id, status)
		c.refuseRest(r)
	case method == nil:
		c.server.met[NoMethod].Add(1)
		c.refuse(r, Status{Code: uint8(codes.Unimplemented), Message: "unknown method"})
	case busy && (c.acked || !method.Unary):
		c.server.met[Calls].Add(1)
		c.resetLocked(id, http2.ErrCodeRefusedStream) // it knows how many it may have
	case !method.Unary && !c.beginStream():
		c.endStream()
		c.server.met[Streams].Add(1)
		c.refuse(r, Status{Code: uint8(codes.ResourceExhausted), Message: "too many streams"})
	default:
		call := c.newCall(r, method, now)
		if busy && !full {
			c.server.met[Places].Add(1)
		}
		switch {
		case full, busy:
			call.refusal = Overloaded
		case r.strange, r.packed:
			call.refusal = Unreadable
		}
		call.running, call.early = busy, busy && !r.ended
		if call.uncounted = full; full {
			c.exit() // whoever is refused has no place, however long its message takes
		}
		c.calls[id] = call
		c.mu.Unlock()
		return c.first(call, r)
	}
	c.queued()
	c.mu.Unlock()
	if method != nil && method.Unary {
		c.exit()
	}
	return nil
}

// first does what follows the headers of a call. One too many is answered at
// once: it cannot wait for its message.
func (c *conn) first(call *Call, r *request) error {
	switch {
	case call.running:
		call.ended = r.ended
		return c.serveHere(call)
	case call.queue != nil:
		c.serveApart(call)
	}
	if r.ended {
		return c.ends(call)
	}
	return nil
}

// refuse answers a call that nobody serves, with mu held.
func (c *conn) refuse(r *request, s Status) {
	c.out = appendTrailers(c.out, &c.table, r.id, false, s)
	c.refuseRest(r)
}

// refuseRest tells the peer of an answered call to send no more, with mu held.
func (c *conn) refuseRest(r *request) {
	if !r.ended {
		c.resetLocked(r.id, http2.ErrCodeNo)
	}
}

// newCall returns a call, and counts it, with mu held.
func (c *conn) newCall(r *request, method *Method, now time.Time) *Call {
	call := &Call{
		conn: c, id: r.id, method: method, headers: r.fields, promised: r.promised,
		sendWindow: c.callWindow,
	}
	call.chunks, call.buffers = call.oneChunk[:0], call.oneBuffer[:0]
	call.window.Store(c.server.config.Window)
	call.since = now
	if r.timed {
		call.deadline = now.Add(r.left)
	}
	call.until = now.Add(maxTime)
	if !call.deadline.IsZero() && call.deadline.Before(call.until) {
		call.until = call.deadline
	}
	if !method.Unary {
		call.queue = newQueue(call)
	}
	// Of too many headers none are kept. They say where the call belongs in a trace.
	if call.headerBytes = r.kept; c.headerBytes+call.headerBytes > maxHeld {
		call.headers, call.headerBytes = nil, 0
		c.server.met[Headers].Add(1)
	}
	c.headerBytes += call.headerBytes
	return call
}

// ping answers a ping, or takes the answer to ours.
func (c *conn) ping(f *http2.PingFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !f.IsAck():
		c.out = appendPing(c.out, true, f.Data)
		c.queued()
	case f.Data == goAwayPing:
		c.sendLastGoAway()
	}
}

// settings takes the peer's.
func (c *conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		c.acked = true
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	window := c.callWindow
	err := f.ForeachSetting(func(s http2.Setting) error {
		switch s.ID {
		case http2.SettingInitialWindowSize: // of many the last one counts
			window = int64(s.Val)
		case http2.SettingHeaderTableSize:
			c.table.want(s.Val)
		default: // we send no large frames
		}
		return s.Valid()
	})
	if err != nil {
		return err
	}
	if change := window - c.callWindow; change != 0 {
		c.callWindow = window
		for _, call := range c.calls {
			if call.sendWindow += change; call.sendWindow > maxID {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
		}
	}
	c.out = appendSettingsAck(c.out)
	c.pushAll()
	c.queued()
	return nil
}

// windowUpdate lets us send more.
func (c *conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if f.StreamID != 0 && c.idle(f.StreamID) {
		return protocolError()
	}
	c.mu.Lock()
	call := c.calls[f.StreamID]
	if f.StreamID == 0 {
		c.sendWindow += int64(f.Increment)
		over := c.sendWindow > maxID
		c.pushAll()
		c.mu.Unlock()
		if over {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		return nil
	}
	over := false
	if call != nil {
		call.sendWindow += int64(f.Increment)
		if over = call.sendWindow > maxID; !over {
			c.push(call)
		}
	}
	c.mu.Unlock()
	if over {
		c.fail(f.StreamID, http2.ErrCodeFlowControl)
	}
	return nil
}

// wasCancelled takes down a call that the peer has reset.
func (c *conn) wasCancelled(id uint32) error {
	if c.idle(id) {
		return protocolError()
	}
	c.mu.Lock()
	call := c.calls[id]
	if call != nil {
		c.remove(call)
	}
	c.mu.Unlock()
	if call != nil {
		c.abandon(call)
	}
	return nil
}

// sizeOf reads the length in a prefix.
func sizeOf(prefix [prefixSize]byte) int { return int(binary.BigEndian.Uint32(prefix[1:])) }
