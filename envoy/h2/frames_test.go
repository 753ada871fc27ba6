package h2_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// What a hostile or broken peer says, and how that ends.
func TestFramesThatBreakRules(t *testing.T) {
	whole, said := message(10)
	ok := answered(said)
	const protocol, closed = "PROTOCOL_ERROR", "STREAM_CLOSED"
	reserved := []string{":method", "POST", ":scheme", "http", ":path", unaryPath, "content-type", "application/grpc"}
	for _, c := range []struct {
		name   string
		send   func(p *peer)
		answer string // to call 1
		goaway string // or the connection goes on
	}{
		{"data on a call that never was", func(p *peer) { p.data(1, true, whole, 100) }, "", protocol},
		{"data of no call", func(p *peer) { p.data(0, true, whole, 100) }, "", protocol},
		{"an even id", func(p *peer) { p.call(2, unaryPath, true) }, "", protocol},
		{"a window for a call that never was", func(p *peer) { p.WriteWindowUpdate(1, 1) }, "", protocol},
		{"a reset for a call that never was", func(p *peer) { p.WriteRSTStream(1, 0) }, "", protocol},
		{"an older id", func(p *peer) { p.call(5, unaryPath, true); p.call(3, unaryPath, true) }, "", closed},
		{"an id again", func(p *peer) {
			p.call(1, unaryPath, false)
			p.data(1, true, whole, 100)
			p.call(1, unaryPath, false)
		}, ok, closed},
		{"data after the end", func(p *peer) {
			p.call(1, unaryPath, false)
			p.data(1, true, whole, 100)
			p.data(1, true, whole, 100)
		}, ok + ", RST " + closed, ""},
		{"data after a reset", func(p *peer) {
			p.call(1, unaryPath, false)
			p.WriteRSTStream(1, 0)
			p.data(1, true, whole, 100)
		}, "RST " + closed, ""},
		{"a window beyond what there is", func(p *peer) {
			p.call(1, unaryPath, false)
			p.WriteWindowUpdate(1, 1<<31-1)
		}, "RST FLOW_CONTROL_ERROR", ""},
		{"that for all", func(p *peer) { p.WriteWindowUpdate(0, 1<<31-1) }, "", "FLOW_CONTROL_ERROR"},
		{"that by settings", func(p *peer) {
			p.call(1, unaryPath, false)
			p.WriteWindowUpdate(1, 1<<30)
			p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		}, "", "FLOW_CONTROL_ERROR"},
		{"padding of more than the frame", func(p *peer) {
			p.call(1, unaryPath, false)
			p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{2, 0})
		}, "", protocol},
		{"padding without a length", func(p *peer) {
			p.call(1, unaryPath, false)
			p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, nil)
		}, "", "FRAME_SIZE_ERROR"},
		{"a frame that is too large", func(p *peer) { p.WriteRawFrame(99, 0, 0, make([]byte, 1<<14+1)) }, "", "FRAME_SIZE_ERROR"},
		{"a frame that does not exist", func(p *peer) { p.WriteRawFrame(99, 0xff, 7, make([]byte, 1<<14)) }, "", ""},
		{"a promise", func(p *peer) { p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true}) }, "", protocol},
		{"a continuation of nothing", func(p *peer) { p.WriteContinuation(1, true, nil) }, "", protocol},
		{"headers that never end", func(p *peer) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for range 2200 {
				p.WriteContinuation(1, false, []byte("\x00\x01a\x7f\x81\x7c"+strings.Repeat("x", 16000)))
			}
		}, "", "ENHANCE_YOUR_CALM"},
		{"headers that grow when they are unpacked", func(p *peer) {
			bomb := []byte("\x40\x01a\x7f\xe1\x1d" + strings.Repeat("x", 3936))
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: append(bomb, strings.Repeat("\xbe", 10000)...), EndHeaders: true})
		}, "", ""},
		{"headers that mean nothing", func(p *peer) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\xff\xff\xff\xff\x0f"), EndHeaders: true})
		}, "", "COMPRESSION_ERROR"},
		{"trailers with a path", func(p *peer) { p.call(1, unaryPath, false); p.call(1, unaryPath, true) }, "RST " + protocol, ""},
		{"trailers without an end", func(p *peer) { p.call(1, unaryPath, false); p.headers(1, false, "a", "b") }, "RST " + protocol, ""},
		{"no path", func(p *peer) { p.headers(1, true, reserved[:4]...) }, "RST " + protocol, ""},
		{"an upper-case name", func(p *peer) { p.call(1, unaryPath, true, "A", "b") }, "RST " + protocol, ""},
		{"a line in a value", func(p *peer) { p.call(1, unaryPath, true, "a", "b\r\nc: d") }, "RST " + protocol, ""},
		{"a header of HTTP/1.1", func(p *peer) { p.call(1, unaryPath, true, "connection", "close") }, "RST " + protocol, ""},
		{"no POST", func(p *peer) { p.headers(1, true, append([]string{":method", "GET"}, reserved[2:]...)...) }, "HEADERS :status=405", ""},
		{"no gRPC", func(p *peer) { p.headers(1, true, append(reserved[:6:6], "content-type", "application/grpcx")...) }, "HEADERS :status=415", ""},
		{"an unknown method", func(p *peer) { p.call(1, "/test/Other", false) }, "HEADERS :status=200 status=12 message=unknown method, RST NO_ERROR", ""},
		{"GOAWAY", func(p *peer) {
			p.WriteGoAway(0, 0, nil)
			p.call(1, unaryPath, false)
			p.data(1, true, whole, 100)
		}, ok, ""},
	} {
		timed(t, c.name, testConfig(), func(t *testing.T, s *service) {
			p := s.dial(t)
			p.awaits("SETTINGS true")
			p.rude = true
			c.send(p)
			if c.goaway != "" {
				if got := p.ends(); !strings.HasSuffix(got, " "+c.goaway) {
					t.Errorf("the last word is %s", got)
				}
			} else {
				p.must(p.WritePing(false, [8]byte{'d', 'o', 'n', 'e'}))
				p.awaits("PING true done")
			}
			if got := p.said(1); c.answer != "" && got != c.answer {
				t.Errorf("%s, want %s", got, c.answer)
			}
		})
	}
}

// What a peer makes us keep is bounded, and what it makes us say as well.
func TestFloods(t *testing.T) {
	whole, said := message(10)
	for _, c := range []struct {
		name string
		send func(p *peer)
	}{
		{"pings", func(p *peer) {
			for range 20000 {
				p.WritePing(false, [8]byte{1})
			}
		}},
		{"settings", func(p *peer) {
			for i := range 2000 {
				p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16})
			}
		}},
		{"empty data", func(p *peer) {
			p.call(1, waitPath, false)
			for range 20000 {
				p.data(1, false, nil, 1)
			}
		}},
		{"calls that are reset", func(p *peer) {
			for i := range uint32(2000) {
				p.call(2*i+1, []string{unaryPath, echoPath, waitPath}[i%3], i%2 == 0)
				p.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			}
		}},
		{"calls that the server resets", func(p *peer) {
			for i := range uint32(2000) {
				p.call(2*i+1, unaryPath, false, "connection", "close")
				p.data(2*i+1, true, whole, 100)
			}
		}},
		{"too many calls", func(p *peer) {
			for i := range uint32(2000) {
				p.call(2*i+1, unaryPath, false)
			}
			for i := range uint32(2000) { // some have ended for others
				p.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, testConfig())
			p := s.dial(t)
			c.send(p)
			got := answered("overloaded") // as long as what was reset goes on to leave
			for next := uint32(10001); got == answered("overloaded") && next < 30001; next += 2 {
				p.call(next, unaryPath, false)
				p.data(next, true, whole, 100)
				got = p.answer(next)
			}
			if got != answered(said) {
				t.Error(got)
			}
			if _, peak, _ := s.pool.Outstanding(); peak > 64<<10+200 {
				t.Errorf("%d bytes of buffers", peak)
			}
		})
	}
}

// Headers that are kept of calls are bounded for each connection, and calls with
// more are served without them.
func TestHeadersThatAreHeld(t *testing.T) {
	config := testConfig()
	config.Streams, config.InFlight = 1000, 1000
	s := serve(t, config)
	p := s.dial(t)
	kept := func(id uint32) int {
		whole, said := message(10)
		p.call(id, waitPath, false, "a", "1", "b", strings.Repeat("x", 2000), "a", "2")
		p.data(id, true, whole, 100)
		call := <-s.entered
		n := len(call.Values("a")) + len(call.Values("b"))
		s.leave <- struct{}{}
		if got := p.answer(id); got != answered(said) {
			t.Error(got)
		}
		return n
	}
	if n := kept(1); n != 2 {
		t.Errorf("%d headers are kept", n)
	}
	x := strings.Repeat("x", 900)
	for i := range uint32(600) {
		p.call(2*i+3, unaryPath, false, "a", x, "b", x, "c", x, "d", x, "e", x)
	}
	for i := range uint32(50) { // the last ones fill the rest
		p.call(2*i+1203, unaryPath, false, "a", "1")
	}
	if n := kept(2001); n != 0 {
		t.Errorf("%d headers are kept, where there is no room", n)
	}
	for i := range uint32(650) {
		_ = p.WriteRSTStream(2*i+3, http2.ErrCodeCancel)
	}
	if n := kept(2003); n != 2 {
		t.Errorf("%d headers are kept, when there is room again", n)
	}
}

// Streams are counted for all connections, as unary calls are, and apart from those.
func TestStreamsAreBounded(t *testing.T) {
	config := testConfig()
	config.InFlight, config.Others = 1, 3
	s := serve(t, config)
	for i := range 2 {
		p := s.dial(t)
		p.call(1, echoPath, false)
		p.data(1, false, []byte{0, 0, 0, 0, 0}, 100)
		p.awaits(`1 DATA ""`)
		p.call(3, echoPath, false)
		want := "HEADERS :status=200 status=8 message=too many streams, RST NO_ERROR"
		if i == 0 {
			p.data(3, true, nil, 1)
			want = "HEADERS :status=200 status=0"
			p.call(5, echoPath, false)
			p.data(5, false, []byte{0, 0, 0, 0, 0}, 100)
			p.awaits(`5 DATA ""`)
		}
		if p.answer(3); i == 1 {
			p.awaits("3 RST NO_ERROR")
		}
		if got := p.said(3); got != want {
			t.Errorf("%d: %s", i, got)
		}
	}
	s.counted(t, "streams", 1)
}
