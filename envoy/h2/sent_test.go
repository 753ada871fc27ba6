package h2_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// wire is the server's side of a connection which fails when the answer to call
// 1 is written.
type wire struct {
	net.Conn
	// takes is how many bytes of the answer the system takes before it fails.
	takes int
	// goes: all is taken, and the peer closes before the server goes on.
	goes   bool
	peer   net.Conn
	closed chan struct{}
	once   sync.Once
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

func (w *wire) Write(p []byte) (int, error) {
	at := answerIn(p)
	switch {
	case at < 0:
		return w.Conn.Write(p)
	case w.goes:
		n, err := w.Conn.Write(p)
		w.peer.Close()
		<-w.closed // the server has seen it
		return n, err
	default:
		n, _ := w.Conn.Write(p[:min(at+w.takes, len(p))])
		return n, errors.New("broken pipe")
	}
}

// answerIn returns where the answer to call 1 begins, or -1.
func answerIn(p []byte) int {
	for at := 0; at+9 <= len(p); {
		if http2.FrameType(p[at+3]) == http2.FrameHeaders && p[at+8] == 1 {
			return at
		}
		at += 9 + int(p[at])<<16 + int(p[at+1])<<8 + int(p[at+2])
	}
	return -1
}

// What was sent is what the system has taken, whatever becomes of the
// connection then. Only an answer of which no byte has left was not sent.
func TestAnswersThatHaveLeft(t *testing.T) {
	small, _ := message(100)
	large, _ := message(100 << 10) // it is served apart
	window := func(n uint32) http2.Setting {
		return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
	}
	ask := func(question []byte) func(*peer) {
		return func(p *peer) { p.call(1, toldPath, false); p.data(1, true, question, 1<<14) }
	}
	for _, c := range []struct {
		name     string
		wire     *wire // whole if nil
		settings []http2.Setting
		do       func(p *peer)
		then     func(s *service, p *peer)
		unsent   int64
	}{
		{name: "whole", do: ask(small)},
		{name: "whole, and large", do: ask(large)},
		{name: "the peer has it and goes", wire: &wire{goes: true}, do: ask(small)},
		{name: "the peer has it and goes, and the call was large", wire: &wire{goes: true}, do: ask(large)},
		{name: "a write that takes nothing of it", wire: &wire{}, do: ask(small), unsent: 1},
		{name: "of a large call", wire: &wire{}, do: ask(large), unsent: 1},
		{name: "a write that takes a byte of it", wire: &wire{takes: 1}, do: ask(small)},
		{name: "a byte, of a large call", wire: &wire{takes: 1}, do: ask(large)},
		{name: "a write that fails after the last byte", wire: &wire{takes: 1 << 10}, do: ask(small)},
		{name: "no window, and a reset", settings: []http2.Setting{window(0)}, do: ask(small), then: func(_ *service, p *peer) {
			_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
		}, unsent: 1},
		{name: "no window, and the end", settings: []http2.Setting{window(0)}, do: ask(small), unsent: 1},
		{name: "no window, and we close", settings: []http2.Setting{window(0)}, do: ask(large), then: func(s *service, _ *peer) {
			s.Close()
		}, unsent: 1},
		{name: "a window that opens", settings: []http2.Setting{window(0)}, do: ask(small), then: func(_ *service, p *peer) {
			_ = p.WriteWindowUpdate(1, 100)
		}},
		{name: "a window for a part, and a reset", settings: []http2.Setting{window(3)}, do: ask(small), then: func(_ *service, p *peer) {
			_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
		}},
		{name: "a window for a part, and the end", settings: []http2.Setting{window(3)}, do: ask(large)},
		{name: "a time that is over", do: func(p *peer) { p.call(1, toldPath, false, "grpc-timeout", "0n"); p.data(1, true, small, 1<<14) }, unsent: 1},
		{name: "a reset that crosses with it", do: ask(small), then: func(_ *service, p *peer) {
			_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
		}},
		{name: "a GOAWAY of the peer", do: func(p *peer) { _ = p.WriteGoAway(0, http2.ErrCodeNo, nil); ask(small)(p) }},
		{name: "a GOAWAY of ours", do: ask(small), then: func(s *service, _ *peer) { s.Drain() }},
	} {
		timed(t, c.name, testConfig(), func(t *testing.T, s *service) {
			client, server := net.Pipe()
			if c.wire != nil {
				w := &wire{Conn: server, takes: c.wire.takes, goes: c.wire.goes, peer: client, closed: make(chan struct{})}
				s.pipes.conns <- w
			} else {
				s.pipes.conns <- server
			}
			p := newPeer(t, client)
			p.hear()
			p.raw([]byte(http2.ClientPreface))
			p.must(p.WriteSettings(c.settings...))
			c.do(p)
			synctest.Wait()
			if c.then != nil {
				c.then(s, p)
				synctest.Wait()
			}
			client.Close()
			s.Close()
			s.Wait()
			if got := s.unsent.Load(); got != c.unsent {
				t.Errorf("%d times; it was said: %q", got, p.noted)
			}
		})
	}
}

// The same with real connections and many of them.
func TestAnswersThatThePeerHas(t *testing.T) {
	s := serve(t, testConfig())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	large, _ := message(30 << 10)
	const conns = 500
	for range conns {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn)
		p.greet()
		p.call(1, toldPath, false)
		p.rude = true
		p.data(1, true, large, 1<<14)
		for ended := false; !ended; {
			f, err := p.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			h, ok := f.(*http2.MetaHeadersFrame)
			ended = ok && h.StreamEnded()
		}
		conn.Close()
	}
	s.Close()
	s.Wait()
	if got := s.unsent.Load(); got != 0 {
		t.Errorf("%d of %d answers were said not to have left", got, conns)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
