package h2_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// However a message is cut into frames, it is the same one; and what is none is
// served as such.
func TestMessages(t *testing.T) {
	const malformed, most = "malformed", 1 << 20
	small, saidSmall := message(1000)
	large, saidLarge := message(300 << 10)
	largest, saidLargest := message(most)
	beyond, _ := message(most + 1)
	empty, saidEmpty := message(0)
	compressed := append([]byte{1}, small[1:]...)
	for _, c := range []struct {
		name string
		send func(p *peer)
		want string
	}{
		{"one frame", func(p *peer) { p.data(1, true, small, 1<<14) }, saidSmall},
		{"one byte in each frame", func(p *peer) { p.data(1, true, small, 1) }, saidSmall},
		{"no byte in some frames", func(p *peer) {
			for i := range small {
				p.data(1, false, nil, 1)
				p.data(1, false, small[i:i+1], 1)
			}
			p.data(1, true, nil, 1)
		}, saidSmall},
		{"an end of its own", func(p *peer) { p.data(1, false, small, 100); p.data(1, true, nil, 1) }, saidSmall},
		{"trailers", func(p *peer) { p.data(1, false, small, 100); p.headers(1, true, "a", "b") }, saidSmall},
		{"padding", func(p *peer) {
			p.padded(1, false, small[:3], 255)
			p.padded(1, false, nil, 255)
			p.padded(1, false, small[3:999], 0)
			p.padded(1, true, small[999:], 1)
		}, saidSmall},
		{"empty", func(p *peer) { p.data(1, true, empty, 2) }, saidEmpty},
		{"large", func(p *peer) { p.data(1, true, large, 1<<14) }, saidLarge},
		{"large, in small frames", func(p *peer) { p.data(1, true, large, 100) }, saidLarge},
		{"large, padded", func(p *peer) {
			for len(large) > 5000 {
				p.padded(1, false, large[:5000], 200)
				large = large[5000:]
			}
			p.padded(1, true, large, 200)
		}, saidLarge},
		{"the largest", func(p *peer) { p.data(1, true, largest, 1<<14) }, saidLargest},
		{"one byte more", func(p *peer) { p.data(1, true, beyond, 1<<14) }, "too large"},
		{"the largest length", func(p *peer) { p.data(1, true, []byte{0, 0xff, 0xff, 0xff, 0xff}, 9) }, "too large"},
		{"compressed", func(p *peer) { p.data(1, true, compressed, 1<<14) }, "unreadable"},
		{"an unknown flag", func(p *peer) { p.data(1, true, []byte{2, 0, 0, 0, 0}, 9) }, malformed},
		{"nothing", func(p *peer) { p.data(1, true, nil, 1) }, malformed},
		{"nothing but trailers", func(p *peer) { p.headers(1, true, "a", "b") }, malformed},
		{"half a prefix", func(p *peer) { p.data(1, true, small[:3], 1) }, malformed},
		{"a prefix", func(p *peer) { p.data(1, true, small[:5], 1) }, malformed},
		{"half a message", func(p *peer) { p.data(1, true, small[:500], 100) }, malformed},
		{"all but one byte", func(p *peer) { p.data(1, true, largest[:most+4], 1<<14) }, malformed},
		{"one byte after it", func(p *peer) { p.data(1, true, append(small[:1005:1005], 0), 1<<14) }, malformed},
		{"two", func(p *peer) { p.data(1, true, append(small[:1005:1005], small...), 1<<14) }, malformed},
		{"two, with the end between their frames", func(p *peer) { p.data(1, false, small, 1<<14); p.data(1, true, empty, 9) }, malformed},
		{"two empty ones", func(p *peer) { p.data(1, true, append(empty[:5:5], empty...), 9) }, malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := serve(t, testConfig()).dial(t)
			p.call(1, unaryPath, false)
			c.send(p)
			if got := p.answer(1); got != answered(c.want) {
				t.Errorf("%s, want %q", got, c.want)
			}
		})
	}
}

func TestLengthsThatHeadersPromise(t *testing.T) {
	whole, said := message(100)
	for length, want := range map[string]string{
		"105": answered(said), "104": "RST PROTOCOL_ERROR", "106": "RST PROTOCOL_ERROR", "0": "RST PROTOCOL_ERROR",
	} {
		p := serve(t, testConfig()).dial(t)
		p.call(1, unaryPath, false, "content-length", length)
		p.data(1, true, whole, 50)
		if got := p.answer(1); got != want {
			t.Errorf("%s: %s", length, got)
		}
	}
}

// A call that ends without data has no message.
func TestHeadersThatEndACall(t *testing.T) {
	p := serve(t, testConfig()).dial(t)
	p.call(1, unaryPath, true)
	if got := p.answer(1); got != answered("malformed") {
		t.Error(got)
	}
	p.call(3, echoPath, true)
	if got := p.answer(3); got != "HEADERS :status=200 status=0" {
		t.Error(got)
	}
}

func TestStreams(t *testing.T) {
	s := serve(t, testConfig())
	p := s.dial(t)
	p.call(1, echoPath, false)
	p.data(1, false, []byte{0, 0, 0, 0, 2, 'h', 'i', 0, 0}, 2)
	p.awaits(`1 DATA "hi"`)
	p.data(1, false, []byte{0, 0, 0, 0, 0, 0, 0, 3, 'y', 'o', 'u'}, 5)
	p.awaits(`1 DATA "you"`)
	beyond, _ := message(1<<20 + 1)
	p.data(1, true, beyond, 1<<14)
	if got := p.answer(1); got != `HEADERS :status=200, DATA "hi", DATA "", DATA "you", DATA "too large", HEADERS status=0` {
		t.Error(got)
	}
	s.counted(t, "stream_message", 1)
	for i, c := range []struct{ sent, want string }{
		{"\x01\x00\x00\x00\x01x", "HEADERS :status=200 status=13 message=compressed message"},
		{"\x00\x00\x00\x00\x02x", "HEADERS :status=200 status=13 message=unexpected EOF"},
		{"\x00\x00", "HEADERS :status=200 status=13 message=unexpected EOF"},
	} {
		id := uint32(2*i + 3)
		p.call(id, echoPath, false)
		p.data(id, true, []byte(c.sent), 9)
		if got := p.answer(id); got != c.want {
			t.Errorf("%q: %s", c.sent, got)
		}
	}
}

// An OK without a message is no answer of a unary call.
func TestAnEndSendsNoMessage(t *testing.T) {
	s := serve(t, testConfig())
	p := s.dial(t)
	p.call(1, waitPath, false)
	whole, _ := message(10)
	p.data(1, true, whole, 50)
	call := <-s.entered
	call.End(h2.Status{})
	if got := p.answer(1); got != "HEADERS :status=200 status=0" {
		t.Error(got)
	}
	if call.Answer([]byte("late")) || call.Send(nil) || call.End(h2.Status{}) {
		t.Error("a call ends once")
	}
}
