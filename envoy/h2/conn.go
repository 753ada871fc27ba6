package h2

import (
	"errors"
	"io"
	"net"
	"os"
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
	// drainTime is how long calls that cross with our GOAWAY are taken.
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
	peer   string      // its address without the port
	asked  atomic.Bool // there was a call
	placed bool        // it has a place; with the server's mu
	// inFlight are its unary calls that are counted.
	inFlight atomic.Int64
	streams  atomic.Int64 // its calls that are not unary
	turns    turns
	// stalledUntil is until when the peer is known for messages that it announces
	// and does not send, in Unix nanoseconds.
	stalledUntil atomic.Int64

	// The reader's alone.
	input       input
	framer      *http2.Framer
	block       *headerBlock
	known       knownBlocks
	request     request // whose headers are read
	gotSettings bool    // the peer's first settings have come
	acked       bool    // the peer has ours
	recvWindow  int32
	consumed    int32 // of that window, not yet given back
	pinged      bool
	readUntil   time.Time
	lingering   bool // readUntil is the last one

	// inline is the call that the reader serves. Who takes it away must read.
	inline  atomic.Pointer[Call]
	closed  atomic.Bool   // nothing more is sent
	leaving chan struct{} // closed when calls that are not unary are to end

	mu          sync.Mutex
	calls       map[uint32]*Call
	headerBytes int    // of the calls
	latest      uint32 // the highest id of a call
	last        uint32 // calls above are ignored, if wentAway
	greeted     bool   // our settings are sent
	wentAway    bool   // the last GOAWAY is sent
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

// hostOf is an address without the port; "unix" for a Unix socket, of which all peers are
// one.
func hostOf(address net.Addr) string {
	switch a := address.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("").String()
	case *net.UnixAddr:
		return "unix"
	case nil:
		return ""
	default:
		host, _, err := net.SplitHostPort(a.String())
		if err != nil {
			return a.String()
		}
		return host
	}
}

func newConn(s *Server, connection net.Conn) *conn {
	c := &conn{
		server: s, net: connection, born: time.Now(), peer: hostOf(connection.RemoteAddr()), recvWindow: connWindow,
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
	if n, err := io.ReadFull(c.net, preface[:]); err != nil || string(preface[:]) != http2.ClientPreface {
		if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) { // who connects and leaves only looks whether we are there
			c.server.met[Protocol].Add(1)
		}
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
		if code != http2.ErrCodeNo {
			c.server.met[Protocol].Add(1)
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
	if !c.gotSettings {
		if h.Type != http2.FrameSettings || h.Flags.Has(http2.FlagSettingsAck) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		c.gotSettings, c.readUntil = true, time.Time{} // the time of the preface is over
		if !c.server.place(c) {
			return errGone
		}
	}
	switch {
	case h.Type == http2.FrameData:
		return c.data(h)
	case c.whole(h):
		r, err := c.wholeHeaders(h, c.input.next(int(h.Length)))
		if err != nil {
			return err
		}
		return c.headers(r)
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

// leave lets another goroutine read if a call is served by the reader.
func (c *conn) leave(call *Call) {
	if c.inline.CompareAndSwap(call, nil) {
		c.server.running.Add(1) // for the call; the connection has its own
		go c.read()
	}
}
