package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// data takes a frame of DATA.
func (c *conn) data(h http2.FrameHeader) error {
	if h.StreamID == 0 {
		return protocolError()
	}
	n := int32(h.Length)
	if n > c.recvWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	c.recvWindow -= n
	if c.consumed += n; c.consumed >= connWindow/4 {
		c.mu.Lock()
		c.out = appendWindowUpdate(c.out, 0, uint32(c.consumed))
		c.mu.Unlock()
		c.recvWindow += c.consumed
		c.consumed = 0
	}
	call := c.find(h.StreamID)
	if call == nil || call.ended || call.window.Load() < n {
		return c.strayData(call, h)
	}
	call.window.Add(-n)
	length, padding, err := c.padding(h)
	if err != nil {
		return err
	}
	if call.queue != nil {
		err = c.enqueue(call, length)
	} else {
		err = c.assemble(call, length)
	}
	if err == nil {
		err = c.input.skip(padding)
	}
	if err != nil {
		return err
	}
	if back := int(n) - length; back > 0 {
		c.returnWindow(call, back)
	}
	if call.promised >= 0 {
		if call.promised -= int64(length); call.promised < 0 {
			c.fail(h.StreamID, http2.ErrCodeProtocol)
			return nil
		}
	}
	if h.Flags.Has(http2.FlagDataEndStream) {
		return c.ends(call)
	}
	return nil
}

// strayData takes data of a call that takes none.
func (c *conn) strayData(call *Call, h http2.FrameHeader) error {
	if c.idle(h.StreamID) {
		return protocolError()
	}
	length, padding, err := c.padding(h)
	if err == nil {
		err = c.input.skip(length + padding)
	}
	if err != nil {
		return err
	}
	switch {
	case call != nil && !call.ended:
		c.fail(h.StreamID, http2.ErrCodeFlowControl)
	case call != nil || !c.wasReset(h.StreamID):
		c.fail(h.StreamID, http2.ErrCodeStreamClosed)
	}
	return nil
}

// padding reads what comes before the data, and how much comes after it.
func (c *conn) padding(h http2.FrameHeader) (length, padding int, err error) {
	length = int(h.Length)
	if !h.Flags.Has(http2.FlagDataPadded) {
		return length, 0, nil
	}
	if length == 0 {
		return 0, 0, http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	var b [1]byte
	if err := c.take(b[:]); err != nil {
		return 0, 0, err
	}
	padding = int(b[0])
	if padding > length-1 {
		return 0, 0, protocolError()
	}
	return length - 1 - padding, padding, nil
}

// enqueue hands data to a call that takes it when it likes.
func (c *conn) enqueue(call *Call, n int) error {
	piece := make([]byte, n)
	if err := c.take(piece); err != nil {
		return err
	}
	call.queue.add(piece)
	return nil
}

// returnWindow lets the peer of a call send n bytes more.
func (c *conn) returnWindow(call *Call, n int) {
	call.window.Add(int32(n))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !call.closed {
		c.out = appendWindowUpdate(c.out, call.id, uint32(n))
		c.queued()
	}
}

// assemble takes n bytes of the message of a unary call.
func (c *conn) assemble(call *Call, n int) error {
	call.receiving.Lock()
	defer call.receiving.Unlock()
	for n > 0 {
		switch {
		case call.released, call.refusal != None:
			c.returnWindow(call, n)
			return c.input.skip(n)
		case call.prefixed < prefixSize:
			m := min(n, prefixSize-call.prefixed)
			if err := c.take(call.prefix[call.prefixed : call.prefixed+m]); err != nil {
				return err
			}
			n -= m
			if call.prefixed += m; call.prefixed == prefixSize {
				c.makeRoom(call)
			}
		case call.got == call.size: // a second message
			call.refusal = Malformed
		default:
			m, err := c.receive(call, min(n, call.size-call.got))
			if err != nil {
				return err
			}
			n -= m
			call.got += m
		}
	}
	return nil
}

// receive takes at most n bytes of a message: of a large one as a view of what
// was read, unless too much of that is held already, and else as a copy.
func (c *conn) receive(call *Call, n int) (int, error) {
	if call.size > maxInline && len(call.room) == 0 {
		view, err := c.input.lend(call, n)
		if view != nil || err != nil {
			call.pieces = append(call.pieces, view)
			return len(view), err
		}
	}
	if len(call.room) == 0 {
		c.makeCopy(call)
	}
	if len(call.room) == 0 { // the peer cannot send that much
		call.refusal = Malformed
		return 0, nil
	}
	piece := call.room[:min(n, len(call.room))]
	if err := c.take(piece); err != nil {
		return 0, err
	}
	call.room = call.room[len(piece):]
	if call.copied {
		last := &call.pieces[len(call.pieces)-1]
		*last = (*last)[:len(*last)+len(piece)]
	} else {
		call.pieces = append(call.pieces, piece[:len(piece):len(piece)+len(call.room)])
		call.copied = true
	}
	return len(piece), nil
}

// makeRoom finds room for a message of which the length is known. What a call
// may send unasked is always taken in; for more there must be room in the
// budget.
func (c *conn) makeRoom(call *Call) {
	config := &c.server.config
	call.size = sizeOf(call.prefix)
	switch {
	case call.prefix[0] != 0:
		call.refusal = Malformed
		return
	case call.size > config.MaxMessage:
		call.refusal = TooLarge
		return
	}
	small := int(config.Window) - prefixSize
	whole := min(config.Copies*(int64(call.size)+config.Overhead), c.server.budget.limit)
	if call.size <= small {
		call.charged, call.granted = whole, true
		c.server.budget.give(-whole)
		return
	}
	call.expiry = time.AfterFunc(call.timeLeft(), call.expire)
	if c.server.budget.waiting.Load() == 0 && c.server.budget.try(whole) {
		call.charged, call.granted = whole, true
		c.returnWindow(call, call.size-small)
		return
	}
	call.charged = int64(small)
	c.server.budget.give(-call.charged)
	c.server.running.Add(1)
	go func() {
		defer c.server.running.Done()
		call.admit(c.server.wait(call, whole-int64(small)), whole-int64(small), call.size-small)
	}()
}

// admit lets the peer send the rest of a message: into the buffer if room was
// found for it, or else to be thrown away.
func (c *Call) admit(ok bool, n int64, rest int) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	switch {
	case c.released:
		if ok {
			c.conn.server.budget.give(n)
		}
		return
	case ok:
		c.charged += n
		c.granted = true
	default:
		c.refusal = Overloaded
	}
	c.conn.returnWindow(c, rest)
	c.conn.mu.Lock()
	c.conn.flush()
	c.conn.mu.Unlock()
}

// makeCopy makes room for copies of a message: of what has room in the budget,
// or of what the peer may send unasked.
func (c *conn) makeCopy(call *Call) {
	room := call.size
	if !call.granted {
		room = min(room, int(c.server.config.Window)-prefixSize)
	}
	if room -= call.got; room <= 0 {
		return
	}
	buffer := c.server.config.Pool.Get(room)
	call.buffers = append(call.buffers, buffer)
	call.room, call.copied = *buffer, false
}

// timeLeft is how long a message may take to arrive.
func (c *Call) timeLeft() time.Duration {
	if c.deadline.IsZero() {
		return maxTime
	}
	return max(0, min(time.Until(c.deadline), maxTime))
}

// ends notes that the peer sends no more, and serves a unary call.
func (c *conn) ends(call *Call) error {
	if call.promised > 0 { // RFC 9113, section 8.1.1
		c.fail(call.id, http2.ErrCodeProtocol)
		return nil
	}
	call.ended = true
	if call.queue != nil {
		call.queue.end()
		return nil
	}
	call.receiving.Lock()
	if call.released { // it came too late
		call.receiving.Unlock()
		return nil
	}
	if call.refusal == None && (call.prefixed < prefixSize || call.got < call.size) {
		call.refusal = Malformed
	}
	call.running = true
	call.receiving.Unlock()
	if call.size > maxInline {
		c.serveApart(call)
		return nil
	}
	c.inline.Store(call)
	c.run(call)
	if !c.inline.CompareAndSwap(call, nil) {
		c.server.running.Done()
		return errLeft
	}
	return nil
}

// serveApart serves a call on a goroutine of its own.
func (c *conn) serveApart(call *Call) {
	c.server.running.Add(1)
	go func() {
		defer c.server.running.Done()
		c.run(call)
	}()
}

// run serves a call and gives back what it holds.
func (c *conn) run(call *Call) {
	call.method.Serve(call)
	c.respond(call, nil, true, Status{Code: 13, Message: "not answered"}) // if it was not
	call.cancel()
	if call.queue == nil {
		call.release()
	}
}
