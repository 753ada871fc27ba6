package h2_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// peer is a client that says what it likes. It always reads, unless it is told
// to be deaf, and notes what it reads.
type peer struct {
	testing.TB
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	mu      sync.Mutex
	changed *sync.Cond
	noted   []string
	ended   bool
	rude    bool // sends more than the windows allow
	window  int  // of new calls
	windows map[uint32]int
}

// dial connects, and speaks first.
func (s *service) dial(t testing.TB) *peer {
	t.Helper()
	p := s.mute(t)
	p.hear()
	p.greet()
	return p
}

// mute connects, and says and hears nothing.
func (s *service) mute(t testing.TB) *peer {
	t.Helper()
	conn, err := s.pipes.dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, conn)
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	p := &peer{TB: t, Conn: conn, Framer: http2.NewFramer(conn, conn), windows: map[uint32]int{}}
	p.encoder = hpack.NewEncoder(&p.block)
	p.changed = sync.NewCond(&p.mu)
	p.AllowIllegalWrites = true
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	t.Cleanup(func() { conn.Close() })
	return p
}

func (p *peer) greet() {
	p.Helper()
	p.raw([]byte(http2.ClientPreface))
	p.must(p.WriteSettings())
}

// raw writes bytes. A server that has closed the connection is no error.
func (p *peer) raw(data []byte) { _, _ = p.Conn.Write(data) }

func (p *peer) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// hear notes what the server says until the end.
func (p *peer) hear() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			f, err := p.ReadFrame()
			if err != nil {
				p.note("end", true)
				return
			}
			p.count(f)
			p.note(describe(f), false)
		}
	}()
	p.Cleanup(func() { p.Conn.Close(); <-ended })
}

func (p *peer) note(what string, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noted, p.ended = append(p.noted, what), ended
	p.changed.Broadcast()
}

// count keeps the windows of calls.
func (p *peer) count(f http2.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if n, ok := f.Value(http2.SettingInitialWindowSize); ok {
			p.window = int(n)
		}
	case *http2.WindowUpdateFrame:
		p.windows[f.StreamID] += int(f.Increment)
	}
}

// take waits until the window of a call has n bytes, or at least one of them,
// and takes them. It gives up when the call has ended.
func (p *peer) take(id uint32, n, least int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.rude && !p.ended && (p.window == 0 || p.window+p.windows[id] < least) && !p.over(id) {
		p.changed.Wait()
	}
	if !p.rude && p.window+p.windows[id] >= least {
		n = min(n, p.window+p.windows[id])
	}
	p.windows[id] -= n
	return n
}

// over reports whether the server has ended a call, with mu held.
func (p *peer) over(id uint32) bool {
	return slices.ContainsFunc(p.noted, func(what string) bool {
		return strings.HasPrefix(what, fmt.Sprint(id, " RST")) || strings.HasPrefix(what, fmt.Sprint(id, " HEADERS")) && strings.Contains(what+" ", " status=")
	})
}

func describe(f http2.Frame) string {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		var all []string
		for _, h := range f.Fields {
			if h.Name != "content-type" {
				all = append(all, strings.TrimPrefix(h.Name, "grpc-")+"="+h.Value)
			}
		}
		return fmt.Sprintf("%d HEADERS %s", id, strings.Join(all, " "))
	case *http2.DataFrame:
		data := f.Data()
		if len(data) >= 5 && len(data) < 100 {
			return fmt.Sprintf("%d DATA %q", id, data[5:])
		}
		return fmt.Sprintf("%d DATA of %d", id, len(data))
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("%d RST %v", id, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	case *http2.PingFrame:
		return fmt.Sprintf("PING %v %s", f.IsAck(), bytes.TrimRight(f.Data[:], "\x00"))
	case *http2.SettingsFrame:
		return fmt.Sprintf("SETTINGS %v", f.IsAck())
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("%d WINDOW %d", id, f.Increment)
	default:
		return fmt.Sprint(f)
	}
}

// awaits waits until the server has said that, or has gone.
func (p *peer) awaits(what string) {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !slices.Contains(p.noted, what) {
		if p.ended {
			p.Fatalf("the server has gone without %q: %q", what, p.noted)
		}
		p.changed.Wait()
	}
}

// said returns what the server has said of a call, without windows.
func (p *peer) said(id uint32) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, what := range p.noted {
		if rest, ok := strings.CutPrefix(what, fmt.Sprint(id, " ")); ok && !strings.HasPrefix(rest, "WINDOW") {
			all = append(all, rest)
		}
	}
	return strings.Join(all, ", ")
}

// call sends the headers of a call, and more of them.
func (p *peer) call(id uint32, path string, end bool, more ...string) {
	p.Helper()
	p.headers(id, end, append([]string{
		":method", "POST", ":scheme", "http", ":path", path, "content-type", "application/grpc", "te", "trailers",
	}, more...)...)
}

func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.Helper()
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.must(p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: end})
}

// data sends frames of at most that size.
func (p *peer) data(id uint32, end bool, data []byte, size int) {
	for {
		n := min(len(data), size)
		n = p.take(id, n, min(n, 1))
		_ = p.WriteData(id, end && n == len(data), data[:n])
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

// padded sends one padded frame.
func (p *peer) padded(id uint32, end bool, data []byte, padding int) {
	n := len(data) + padding + 1
	p.take(id, n, n)
	_ = p.WriteDataPadded(id, end, data, make([]byte, padding))
}

// message returns a message with its prefix, and what a method says of it.
func message(n int) (encoded []byte, said string) {
	encoded = binary.BigEndian.AppendUint32([]byte{0}, uint32(n))
	for i := range n {
		encoded = append(encoded, byte(i^i>>8^i>>16))
	}
	return encoded, summary([][]byte{encoded[5:]}, h2.None)
}

// answered is what the server says for a call that it answers so.
func answered(said string) string {
	return fmt.Sprintf("HEADERS :status=200, DATA %q, HEADERS status=0", said)
}

// answer waits for the end of a call, and returns what the server said of it.
func (p *peer) answer(id uint32) string {
	p.mu.Lock()
	for !p.ended && !p.over(id) {
		p.changed.Wait()
	}
	p.mu.Unlock()
	return p.said(id)
}

// ends waits for the end of the connection, and returns what the server
// said last.
func (p *peer) ends() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		p.changed.Wait()
	}
	if n := len(p.noted); n > 1 && strings.HasPrefix(p.noted[n-2], "GOAWAY") {
		return p.noted[n-2]
	}
	return "end"
}
