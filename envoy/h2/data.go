package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// A message is held in views of blocks while they have about that size, but for
// the first ones: what a view itself needs is not counted.
const (
	someChunks = 16
	meanChunk  = 1 << 10
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
	case c.ignored(h.StreamID):
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
	if err := c.input.fill(); err != nil {
		return 0, 0, err
	}
	padding = int(c.input.next(1)[0])
	if padding > length-1 {
		return 0, 0, protocolError()
	}
	return length - 1 - padding, padding, nil
}

// enqueue hands data to a call that takes it when it likes.
func (c *conn) enqueue(call *Call, n int) error {
	for n > 0 {
		if err := c.input.fill(); err != nil {
			return err
		}
		chunk := c.input.next(n)
		call.queue.add(chunk)
		n -= len(chunk)
	}
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

// assemble takes n bytes of the message of a unary call. It waits for them
// without the lock, which who expires the call needs.
func (c *conn) assemble(call *Call, n int) error {
	for n > 0 {
		if err := c.input.fill(); err != nil {
			return err
		}
		n -= c.takeIn(call, min(n, c.input.buffered()))
	}
	return nil
}

// takeIn takes at most n bytes of a message, which are there.
func (c *conn) takeIn(call *Call, n int) int {
	call.receiving.Lock()
	defer call.receiving.Unlock()
	switch {
	case call.running, call.released, call.refusal != None:
		c.returnWindow(call, n)
		return len(c.input.next(n))
	case call.prefixed < prefixSize:
		n = copy(call.prefix[call.prefixed:], c.input.next(min(n, prefixSize-call.prefixed)))
		if call.prefixed += n; call.prefixed == prefixSize {
			c.makeRoom(call)
		}
		return n
	case call.got == call.size: // a second message
		call.refusal = Malformed
		return 0
	default:
		n = c.receive(call, min(n, call.size-call.got))
		call.got += n
		return n
	}
}

// receive takes at most n bytes of a message, which are there: of a large one
// as a view of what was read, unless too much of that is held already or the
// chunks are small, and else as a copy.
func (c *conn) receive(call *Call, n int) int {
	if call.size > maxCopied && len(call.room) == 0 && len(call.chunks) < someChunks+call.got/meanChunk {
		if view := c.input.lend(call, n); view != nil {
			call.chunks = append(call.chunks, view)
			return len(view)
		}
	}
	if len(call.room) == 0 {
		c.makeCopy(call)
	}
	if len(call.room) == 0 { // the peer cannot send that much
		call.refusal = Malformed
		return 0
	}
	chunk := call.room[:min(n, len(call.room))]
	copy(chunk, c.input.next(len(chunk)))
	call.room = call.room[len(chunk):]
	if call.copied {
		last := &call.chunks[len(call.chunks)-1]
		*last = (*last)[:len(*last)+len(chunk)]
	} else {
		call.chunks = append(call.chunks, chunk[:len(chunk):len(chunk)+len(call.room)])
		call.copied = true
	}
	return len(chunk)
}

// makeRoom finds room for a message of which the length is known. What a call
// may send unasked is always taken in; for more there must be room in the
// budget. The window gets all of the message, so that there is some for padding,
// and for what does not belong there and is thrown away.
func (c *conn) makeRoom(call *Call) {
	config := &c.server.config
	call.size = sizeOf(call.prefix)
	switch {
	case call.prefix[0] == 1:
		call.refusal = Unreadable
		return
	case call.prefix[0] != 0:
		call.refusal = Malformed
		return
	case call.size > config.MaxMessage:
		call.refusal = TooLarge
		return
	}
	if call.size > maxInline {
		call.chunks = make([][]byte, 0, min(call.size/maxFrame*5/4+4, someChunks*8))
		call.blocks = make([]*block, 0, min(call.size/(blockSize-minRead)+2, someChunks*2))
	}
	small := int(config.Window) - prefixSize
	whole := min(config.Copies*(int64(call.size)+config.Overhead), c.server.budget.limit)
	if call.size <= small {
		call.charged, call.granted = whole, true
		c.server.budget.give(-whole)
		if call.size > small/8*7 {
			c.returnWindow(call, call.size)
		}
		return
	}
	if c.server.budget.waiting.Load() == 0 && c.server.budget.try(whole) {
		call.charged, call.granted, call.since = whole, true, time.Now()
		c.returnWindow(call, call.size)
		return
	}
	if c.stalled(time.Now()) {
		c.server.met[Room].Add(1)
		call.refuseEarly()
		c.serveApart(call)
		return
	}
	call.waiting = true
	call.charged = int64(small)
	c.server.budget.give(-call.charged)
	c.server.running.Add(1)
	go func() {
		defer c.server.running.Done()
		call.admit(c.server.wait(call, whole-int64(small)), whole-int64(small), call.size)
	}()
}

// admit lets the peer send the rest of a message: into the buffer if room was
// found for it, or else to be thrown away.
func (c *Call) admit(ok bool, n int64, rest int) {
	c.receiving.Lock()
	// Then what it is charged with is not ours. Of a running call only who serves
	// it may look whether it was released.
	over := c.running || c.released
	c.waiting, c.since = false, time.Now()
	switch {
	case over && ok:
		c.conn.server.budget.give(n)
	case over:
	case ok:
		c.charged += n
		c.granted = true
	default:
		c.conn.server.met[Room].Add(1)
		c.refusal = Overloaded
	}
	c.receiving.Unlock()
	if over {
		return
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

// ends notes that the peer sends no more, and serves a unary call.
func (c *conn) ends(call *Call) error {
	if call.promised > 0 { // RFC 9113, section 8.1.1
		c.fail(call.id, http2.ErrCodeProtocol)
		return nil
	}
	call.ended = true
	if call.queue != nil {
		call.queue.end()
		c.gone(call)
		return nil
	}
	call.receiving.Lock()
	if call.running || call.released { // it came too late
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
	return c.serveHere(call)
}

// serveHere serves a call on the goroutine that reads, which it may take away.
func (c *conn) serveHere(call *Call) error {
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
	c.noAnswer(call)
	call.cancel()
	if call.queue == nil {
		call.release()
	} else {
		call.letGo()
		c.endStream()
		c.endParted(call)
	}
}
