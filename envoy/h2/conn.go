package h2

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// writeBuffer is what is kept for the next write.
	writeBuffer = 64 << 10
	// maxFrame is the size of frames, of both sides; HTTP/2's default.
	maxFrame = 16 << 10
	// maxHeaders bounds the headers of a call, as HTTP/2 counts them. A call with
	// more is refused as Unreadable.
	maxHeaders = 64 << 10
	// maxHeld bounds the headers that are kept of all calls of a connection.
	maxHeld = 2 << 20
	// maxUnsent bounds what a peer that does not read makes us keep.
	maxUnsent = 4 << 20
	// writeTime is how long a peer may take to read.
	writeTime = 20 * time.Second
	// prefaceTime is how long it may take to speak first.
	prefaceTime = 20 * time.Second
	// lingerTime is how long we read on after the last word, so that the peer
	// gets it.
	lingerTime = time.Second
	// drainTime is how long calls that cross with our farewell are taken.
	drainTime = time.Second
	// deadlineStep is how exact the times for reading and writing are.
	deadlineStep = 5 * time.Second
	// sweepStep is how exact the time is that a message may take to arrive.
	sweepStep = time.Second
	// defaultWindow is HTTP/2's own.
	defaultWindow = 65535
	// connWindow is what a connection announces, and gives back as data arrives;
	// the windows of the calls are what bounds it.
	connWindow = 16 << 20
	// forgotten is of how many calls we remember that we have reset them, for
	// frames of theirs that were under way.
	forgotten = 64
)

// conn is one connection. One goroutine at a time reads it, the reader; it
// serves small calls itself, between two frames.
type conn struct {
	server *Server
	net    net.Conn
	born   time.Time
	spoke  atomic.Bool // the peer's first settings have come
	// stalledUntil is until when the peer is known for messages that it announces
	// and does not send, in Unix nanoseconds.
	stalledUntil atomic.Int64

	// The reader's alone.
	input      input
	framer     *http2.Framer
	block      *headerBlock
	request    request // whose headers are read
	settled    bool    // the peer's first settings have come
	acked      bool    // the peer has ours
	recvWindow int32
	consumed   int32 // of that window, not yet given back
	pinged     bool
	readUntil  time.Time
	lingering  bool // readUntil is the last one

	// inline is the call that the reader serves. Who takes it away must read.
	inline  atomic.Pointer[Call]
	closed  atomic.Bool   // nothing more is sent
	leaving chan struct{} // closed when calls that are not unary are to end

	mu          sync.Mutex
	calls       map[uint32]*Call
	headerBytes int    // of the calls
	latest      uint32 // the highest id of a call
	last        uint32 // calls above are ignored, if bye
	greeted     bool   // our settings are sent
	bye         bool   // the last farewell is sent
	draining    bool
	dead        bool
	out, spare  []byte
	taken       int64   // bytes that were taken out of out to be written
	written     int64   // bytes of these that the system has taken
	unwritten   []*Call // of whose answers no byte has left
	table       tableSize
	pending     int64 // what calls have to send, and may not yet
	flushing    bool
	flushed     sync.Cond
	writeUntil  time.Time
	sendWindow  int64
	callWindow  int64 // what the peer takes of a new call
	blocked     map[*Call]struct{}
	resets      [forgotten]uint32
	nresets     int
	aged        *time.Timer
	drained     *time.Timer
	parting     *time.Timer
	sweeper     *time.Timer
	sweeping    bool // it is set
}

func newConn(s *Server, connection net.Conn) *conn {
	c := &conn{
		server: s, net: connection, born: time.Now(), recvWindow: connWindow,
		calls: map[uint32]*Call{}, sendWindow: defaultWindow, callWindow: defaultWindow,
		leaving: make(chan struct{}),
	}
	c.input.conn, c.flushed.L = c, &c.mu
	c.framer = http2.NewFramer(nil, &c.input)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.block = newHeaderBlock(func(f hpack.HeaderField) { c.request.add(f) })
	return c
}

// Ends of reading.
var (
	// errLeft: another goroutine reads.
	errLeft = errors.New("left")
	errGone = errors.New("the peer has gone")
)

// serve greets and reads until the end.
func (c *conn) serve() {
	// One deadline for all of it: a peer that sends a byte now and then is none.
	c.mu.Lock()
	if c.readUntil = time.Now().Add(prefaceTime); !c.draining {
		_ = c.net.SetReadDeadline(c.readUntil) // on a broken connection reading fails
	}
	c.mu.Unlock()
	var preface [len(http2.ClientPreface)]byte
	if _, err := io.ReadFull(c.net, preface[:]); err != nil || string(preface[:]) != http2.ClientPreface {
		c.end(http2.ErrCodeProtocol)
		return
	}
	c.mu.Lock()
	c.out = appendSettings(c.out, c.server.config.Streams, uint32(c.server.config.Window))
	c.out = appendWindowUpdate(c.out, 0, connWindow-defaultWindow)
	c.greeted = true
	if c.draining {
		c.askToGo()
	}
	c.mu.Unlock()
	c.read()
}

// read reads frames until the connection ends, or until another goroutine does.
func (c *conn) read() {
	for {
		err := c.step()
		if err == nil {
			continue
		}
		if errors.Is(err, errLeft) {
			return
		}
		code := http2.ErrCodeNo
		if e, ok := errors.AsType[http2.ConnectionError](err); ok {
			code = http2.ErrCode(e)
		} else if errors.Is(err, http2.ErrFrameTooLarge) {
			code = http2.ErrCodeFrameSize
		}
		c.end(code)
		return
	}
}

// step takes one frame.
func (c *conn) step() error {
	h, err := c.framer.ReadFrameHeader()
	if err != nil {
		return err
	}
	if !c.settled {
		if h.Type != http2.FrameSettings || h.Flags.Has(http2.FlagSettingsAck) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		c.settled, c.readUntil = true, time.Time{} // the time of the preface is over
		c.spoke.Store(true)
	}
	if h.Type == http2.FrameData {
		return c.data(h)
	}
	f, err := c.framer.ReadFrameForHeader(h)
	if e, ok := errors.AsType[http2.StreamError](err); ok {
		return c.badFrame(h, e)
	}
	if err != nil {
		return err
	}
	return c.frame(f)
}

// end says goodbye with a code and takes the connection down. Only the reader
// may call it, as its last deed.
func (c *conn) end(code http2.ErrCode) {
	c.closed.Store(true)
	c.mu.Lock()
	if code != http2.ErrCodeNo && !c.dead {
		c.out = appendGoAway(c.out, c.latest, code)
		c.flush()
	}
	c.mu.Unlock()
	if code != http2.ErrCodeNo {
		c.linger()
	}
	c.kill()
	c.mu.Lock()
	for c.flushing { // not for long: the connection is closed
		c.flushed.Wait()
	}
	for _, call := range c.unwritten { // and nobody writes any more
		if call.unsent != nil {
			c.giveUp(call)
		}
	}
	c.unwritten = nil
	calls := c.calls
	c.calls = nil
	if c.aged != nil {
		c.aged.Stop()
	}
	if c.drained != nil {
		c.drained.Stop()
	}
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	if c.parting != nil {
		c.parting.Stop()
	}
	c.mu.Unlock()
	for _, call := range calls {
		c.abandon(call)
	}
	c.input.drop()
	c.server.forget(c)
}

// linger lets the peer read what was sent: who closes a connection with unread
// data in it takes the sent data back.
func (c *conn) linger() {
	c.halfClose()
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, c.net)
}

func (c *conn) halfClose() {
	if half, ok := c.net.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // closed a moment later, whatever this says
	}
}

// abandon ends a call from the reader's side.
func (c *conn) abandon(call *Call) {
	call.cancel()
	if call.queue != nil {
		call.queue.end()
		return
	}
	call.receiving.Lock()
	if !call.running {
		call.release()
	}
	call.receiving.Unlock()
}

// kill closes the connection. The reader notices.
func (c *conn) kill() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	_ = c.net.Close()
}

// drain asks the peer to go: first a warning, and when that has come back, or
// soon, the number of the last call that is served.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.dead {
		return
	}
	c.draining = true
	if c.greeted {
		c.askToGo()
		return
	}
	// Our settings are to be the first that it gets.
	_ = c.net.SetReadDeadline(time.Now().Add(drainTime))
}

// askToGo sends the warning, with mu held.
func (c *conn) askToGo() {
	c.out = appendGoAway(c.out, maxID, http2.ErrCodeNo)
	c.out = appendPing(c.out, false, farewell)
	c.flushApart()
	c.drained = time.AfterFunc(drainTime, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sayBye()
	})
}

// sayBye sends the last farewell, with mu held.
func (c *conn) sayBye() {
	if c.bye || c.dead {
		return
	}
	c.bye, c.last = true, c.latest
	c.out = appendGoAway(c.out, c.last, http2.ErrCodeNo)
	c.parting = time.AfterFunc(c.server.config.Linger, func() { close(c.leaving) })
	c.flush()
}

// closeIfIdle ends a connection that has said goodbye and has no calls, with mu
// held. The reader ends when the peer closes, or soon.
func (c *conn) closeIfIdle() {
	if !c.bye || len(c.calls)+len(c.out) > 0 || c.closed.Load() {
		return
	}
	c.closed.Store(true)
	c.server.running.Add(1) // the connection counts still: its end closes it first
	go func() {             // with TLS this writes
		defer c.server.running.Done()
		c.halfClose()
		_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	}()
}

// leave lets another goroutine read if a call is served by the reader.
func (c *conn) leave(call *Call) {
	if c.inline.CompareAndSwap(call, nil) {
		c.server.running.Add(1) // for the call; the connection has its own
		go c.read()
	}
}

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
	if int64(len(c.out))+c.pending > maxUnsent {
		c.dead = true
		_ = c.net.Close() // the reader notices
	}
}
