package h2

import (
	"encoding/binary"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxInline is the size of the largest message that the reader serves itself.
	maxInline = 20 << 10
	// maxTime is how long a call may take that says nothing of it, and how long a
	// large message may take to arrive.
	maxTime = time.Minute
	// defaultPatience is how long a call without a deadline waits for room.
	defaultPatience = 100 * time.Millisecond
)

func protocolError() error { return http2.ConnectionError(http2.ErrCodeProtocol) }

// frame takes a frame that is not DATA.
func (c *conn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.headers(f)
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
	default: // a farewell, after which the peer closes; or one that is unknown
	}
	return nil
}

// badFrame takes a frame that breaks a rule of its call alone.
func (c *conn) badFrame(h http2.FrameHeader, e http2.StreamError) error {
	c.mu.Lock()
	idle := e.StreamID > c.latest
	if idle && h.Type == http2.FrameHeaders && e.StreamID%2 == 1 {
		c.latest, idle = e.StreamID, false
	}
	c.mu.Unlock()
	if idle {
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
	call := c.find(id)
	c.reset(id, code)
	if call != nil {
		c.abandon(call)
	}
}

// headers begins a call, or ends what it sends.
func (c *conn) headers(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if id%2 == 0 {
		return protocolError()
	}
	if call := c.find(id); call != nil {
		switch {
		case call.ended:
			c.fail(id, http2.ErrCodeStreamClosed)
		case !f.StreamEnded() || len(f.PseudoFields()) > 0:
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
	if f.HasPriority() && f.Priority.StreamDep == id {
		c.mu.Lock()
		c.latest = id
		c.mu.Unlock()
		c.fail(id, http2.ErrCodeProtocol)
		return nil
	}
	return c.begin(f)
}

// begin begins a call.
func (c *conn) begin(f *http2.MetaHeadersFrame) error {
	call := &Call{conn: c, id: f.StreamID, headers: f.RegularFields()}
	method, status, code := c.method(f)
	c.mu.Lock()
	c.latest = f.StreamID
	ignored := c.bye && f.StreamID > c.last
	busy := len(c.calls) >= int(c.server.config.Streams)
	call.sendWindow = c.callWindow
	switch {
	case ignored:
	case code != http2.ErrCodeNo:
		c.resetLocked(f.StreamID, code)
	case busy:
		c.resetLocked(f.StreamID, http2.ErrCodeRefusedStream)
	case method == nil:
		if status != "" {
			c.out = appendHTTPError(c.out, f.StreamID, status)
		} else {
			c.out = appendTrailers(c.out, f.StreamID, false, Status{Code: 12, Message: "unknown method"})
		}
		if !f.StreamEnded() {
			c.resetLocked(f.StreamID, http2.ErrCodeNo)
		}
	default:
		c.calls[f.StreamID] = call
	}
	c.queued()
	c.mu.Unlock()
	if method == nil || busy || ignored {
		return nil
	}
	call.method = method
	call.window.Store(c.server.config.Window)
	call.deadline = deadline(call, time.Now())
	call.promised = -1
	if length, err := strconv.ParseInt(call.value("content-length"), 10, 64); err == nil {
		call.promised = length
	}
	if !method.Unary {
		call.queue = newQueue(call)
		c.serveApart(call)
	} else if c.server.inFlight.Add(1) > c.server.config.InFlight {
		call.refusal = Overloaded
	}
	if f.StreamEnded() {
		return c.ends(call)
	}
	return nil
}

// method returns the method of a call; or none, and the status of HTTP or the
// code for what is no call. Without any of these the method is unknown.
func (c *conn) method(f *http2.MetaHeadersFrame) (m *Method, status string, code http2.ErrCode) {
	var path string
	pseudo := 0
	for _, field := range f.PseudoFields() {
		switch field.Name {
		case ":method":
			pseudo |= 1
			if field.Value != "POST" {
				status = "405"
			}
		case ":scheme":
			pseudo |= 2
		case ":path":
			pseudo |= 4
			path = field.Value
		case ":authority":
		default:
			return nil, "", http2.ErrCodeProtocol
		}
	}
	if pseudo != 7 || path == "" || !allowed(f.RegularFields()) {
		return nil, "", http2.ErrCodeProtocol
	}
	kind := ""
	for _, field := range f.RegularFields() {
		if field.Name == "content-type" {
			kind = field.Value
		}
	}
	switch {
	case f.Truncated:
		return nil, "431", http2.ErrCodeNo
	case c.server.anything != nil:
		return c.server.anything, "", http2.ErrCodeNo
	case status != "":
		return nil, status, http2.ErrCodeNo
	case !strings.HasPrefix(kind, grpcType) || len(kind) > len(grpcType) && kind[len(grpcType)] != '+' && kind[len(grpcType)] != ';':
		return nil, "415", http2.ErrCodeNo
	default:
		return c.server.config.Methods[path], "", http2.ErrCodeNo
	}
}

// allowed looks for headers of HTTP/1.1's connections (RFC 9113, section 8.2.2).
func allowed(fields []hpack.HeaderField) bool {
	for i := range fields {
		switch fields[i].Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return false
		case "te":
			if fields[i].Value != "trailers" {
				return false
			}
		}
	}
	return true
}

// deadline reads the time that is left of a call, and the time that Envoy gives
// a single attempt, which can be shorter. The zero time is none.
func deadline(call *Call, now time.Time) time.Time {
	left, ok := timeout(call.value("grpc-timeout"))
	if ms, err := strconv.ParseUint(call.value("x-envoy-expected-rq-timeout-ms"), 10, 31); err == nil && ms > 0 {
		if attempt := time.Duration(ms) * time.Millisecond; !ok || attempt < left {
			left, ok = attempt, true
		}
	}
	if !ok {
		return time.Time{}
	}
	return now.Add(left)
}

// timeout reads grpc-timeout: at most eight digits and a unit.
func timeout(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 31)
	if err != nil {
		return 0, false
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	unit, ok := units[text[len(text)-1]]
	// A number of hours may be more than a Duration has.
	const most = 1 << 53
	if !ok || n > most/uint64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// ping answers a ping, or takes the answer to ours.
func (c *conn) ping(f *http2.PingFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !f.IsAck():
		c.out = appendPing(c.out, true, f.Data)
		c.queued()
	case f.Data == farewell:
		c.sayBye()
	}
}

// settings takes the peer's.
func (c *conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		if s.ID != http2.SettingInitialWindowSize {
			return nil // we send no large frames and no dynamic table
		}
		change := int64(s.Val) - c.callWindow
		c.callWindow = int64(s.Val)
		for _, call := range c.calls {
			if call.sendWindow += change; call.sendWindow > maxID {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
		}
		return nil
	})
	if err != nil {
		return err
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

// take reads n bytes of a frame into p.
func (c *conn) take(p []byte) error {
	_, err := io.ReadFull(&c.input, p)
	return err
}

// sizeOf reads the length in a prefix.
func sizeOf(prefix [prefixSize]byte) int { return int(binary.BigEndian.Uint32(prefix[1:])) }
