package h2

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxBlock bounds what the headers of one call take on their way. Envoy lets
	// senders have 8 MiB at most.
	maxBlock = 32 << 20
	// maxKept is the size of the largest header that is kept, and maxCallHeld
	// that of all of a call: the time that is left, and the place in a trace.
	maxKept     = 1 << 10
	maxCallHeld = 4 << 10
	// usualFields is more than calls of Envoy mostly have.
	usualFields = 16
)

// Pseudo-headers that a request must have.
const (
	hasMethod = 1 << iota
	hasScheme
	hasPath
	hasAuthority
)

// request is what the headers of a call say. Of a call only a part of what it
// sends is kept, and all of it is looked at.
type request struct {
	id         uint32
	ended      bool
	pseudo     uint8
	regular    bool // the pseudo-headers are over
	bad        bool // it breaks a rule that no stranger can make Envoy break
	strange    bool // more, or other, than we take; a stranger may have caused it
	packed     bool // the messages are compressed in a way that is not gRPC's
	post       bool
	path       string
	kind       string
	size, kept int
	fields     []hpack.HeaderField
	left       time.Duration // to the end of the call's time, if timed
	timed      bool
	promised   int64 // of the body; below 0 if nothing says how long it is
}

// add takes a field.
func (r *request) add(f hpack.HeaderField) {
	r.size += int(f.Size())
	r.strange = r.strange || r.size > maxHeaders || !httpguts.ValidHeaderFieldValue(f.Value)
	r.bad = r.bad || strings.ContainsAny(f.Value, "\x00\r\n") // RFC 9113, section 8.2.1
	if strings.HasPrefix(f.Name, ":") {
		r.addPseudo(f)
		return
	}
	r.regular = true
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		r.bad = true // of HTTP/1.1's connections (RFC 9113, section 8.2.2)
	case "te":
		r.bad = r.bad || f.Value != "trailers"
	case "content-type":
		r.kind = f.Value
	case "content-encoding":
		r.packed = r.packed || f.Value != "identity"
	default:
		r.bad = r.bad || !validName(f.Name)
	}
	if size := int(f.Size()); size <= maxKept && r.kept+size <= maxCallHeld {
		if r.fields == nil {
			r.fields = make([]hpack.HeaderField, 0, usualFields)
		}
		r.kept += size
		r.fields = append(r.fields, f)
	}
}

func (r *request) addPseudo(f hpack.HeaderField) {
	bit := uint8(0)
	switch f.Name {
	case ":method":
		bit, r.post = hasMethod, f.Value == "POST"
	case ":scheme":
		bit = hasScheme
	case ":path":
		bit, r.path = hasPath, f.Value
	case ":authority":
		bit = hasAuthority
	}
	r.bad = r.bad || r.regular || bit == 0 || r.pseudo&bit != 0
	r.pseudo |= bit
}

// validName reports whether a name is a token without capital letters.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return name != ""
}

// readHeaders reads the headers that begin with a frame, to their end. The table
// that compresses them is kept whatever they are.
func (c *conn) readHeaders(f *http2.HeadersFrame) (*request, error) {
	c.request = request{id: f.StreamID, ended: f.StreamEnded()}
	r := &c.request
	if f.HasPriority() && f.Priority.StreamDep == f.StreamID {
		r.bad = true
	}
	c.known.note(nil, nil) // what follows may change the table
	fragment, over, size := f.HeaderBlockFragment(), f.HeadersEnded(), 0
	for {
		if size += frameHeader + len(fragment); size > maxBlock {
			return nil, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
		if err := c.block.write(fragment); err != nil {
			return nil, http2.ConnectionError(http2.ErrCodeCompression)
		}
		if over {
			break
		}
		next, err := c.framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		more, ok := next.(*http2.ContinuationFrame)
		if !ok {
			return nil, protocolError() // the framer does not let it through
		}
		fragment, over = more.HeaderBlockFragment(), more.HeadersEnded()
	}
	return r, c.closeHeaders()
}

// wholeHeaders reads headers that are one frame, without padding and priority, which
// is there: it is as most are, and most blocks have come before.
func (c *conn) wholeHeaders(h http2.FrameHeader, block []byte) (*request, error) {
	id, ended := h.StreamID, h.Flags.Has(http2.FlagHeadersEndStream)
	if r := c.known.find(block); r != nil {
		c.request = *r
		c.request.id, c.request.ended = id, ended
		return &c.request, nil
	}
	c.request = request{id: id, ended: ended}
	if c.block.write(block) != nil {
		return nil, http2.ConnectionError(http2.ErrCodeCompression)
	}
	if err := c.closeHeaders(); err != nil {
		return nil, err
	}
	c.known.note(block, &c.request)
	return &c.request, nil
}

// whole reports whether a frame is one for wholeHeaders.
func (c *conn) whole(h http2.FrameHeader) bool {
	return h.Type == http2.FrameHeaders && h.StreamID != 0 && h.Flags&^http2.FlagHeadersEndStream == http2.FlagHeadersEndHeaders &&
		int(h.Length) <= c.input.buffered()
}

// closeHeaders ends a block and reads what the call's headers say of it.
func (c *conn) closeHeaders() error {
	r := &c.request
	if c.block.close() != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	r.strange = r.strange || c.block.skipped
	c.block.skipped = false
	r.left, r.timed = timeLeft(r.fields)
	r.promised = -1
	if text := only(r.fields, "content-length"); text != "" { // an error of strconv is memory
		if length, err := strconv.ParseInt(text, 10, 64); err == nil {
			r.promised = length
		}
	}
	return nil
}

// only returns the value of a field that stands there once; otherwise it is empty.
func only(fields []hpack.HeaderField, name string) string {
	value, n := "", 0
	for i := range fields {
		if fields[i].Name == name {
			value = fields[i].Value
			n++
		}
	}
	if n != 1 {
		return ""
	}
	return value
}

// method returns the method of a call; or none, and the status of HTTP or the
// code for what is no call. Without any of these the method is unknown.
func (c *conn) method(r *request) (m *Method, status string, code http2.ErrCode) {
	const needed = hasMethod | hasScheme | hasPath
	switch kind := r.kind; {
	case r.bad, r.pseudo&needed != needed, r.path == "":
		return nil, "", http2.ErrCodeProtocol
	case c.server.anything != nil:
		return c.server.anything, "", http2.ErrCodeNo
	case !r.post:
		return nil, "405", http2.ErrCodeNo
	case !strings.HasPrefix(kind, grpcType) || len(kind) > len(grpcType) && kind[len(grpcType)] != '+' && kind[len(grpcType)] != ';':
		return nil, "415", http2.ErrCodeNo
	default:
		return c.server.config.Methods[r.path], "", http2.ErrCodeNo
	}
}

// timeLeft reads the time that is left of a call, and the time that Envoy gives a
// single attempt, which can be shorter.
func timeLeft(fields []hpack.HeaderField) (left time.Duration, ok bool) {
	left, ok = timeout(only(fields, "grpc-timeout"))
	if text := only(fields, "x-envoy-expected-rq-timeout-ms"); text != "" { // an error of strconv is memory
		if ms, err := strconv.ParseUint(text, 10, 31); err == nil && ms > 0 {
			if attempt := time.Duration(ms) * time.Millisecond; !ok || attempt < left {
				left, ok = attempt, true
			}
		}
	}
	return left, ok
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
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	// A number of hours may be more than a Duration has.
	const most = 1 << 53
	if n > most/uint64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
