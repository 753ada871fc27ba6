package h2_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// blockOf sends headers in as many frames as they need.
func (p *peer) blockOf(id uint32, end bool, fields ...hpack.HeaderField) {
	p.Helper()
	p.block.Reset()
	for _, f := range fields {
		p.must(p.encoder.WriteField(f))
	}
	rest := p.block.Bytes()
	n := min(len(rest), 16<<10)
	p.must(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: rest[:n], EndHeaders: n == len(rest), EndStream: end}))
	for rest = rest[n:]; len(rest) > 0; rest = rest[n:] {
		n = min(len(rest), 16<<10)
		p.must(p.WriteContinuation(id, n == len(rest), rest[:n]))
	}
}

// What a stranger makes Envoy put into the headers of a call ends neither the
// connection nor the call: it is answered, and calls beside it go on.
func TestStrangeHeaders(t *testing.T) {
	whole, said := message(10)
	state := func(n int) []hpack.HeaderField {
		return []hpack.HeaderField{{Name: "tracestate", Value: "v=" + strings.Repeat("t", n)}}
	}
	many := func(n, size int) (fields []hpack.HeaderField) {
		for i := range n {
			fields = append(fields, hpack.HeaderField{Name: fmt.Sprint("h", i), Value: strings.Repeat("x", size)})
		}
		return fields
	}
	for _, c := range []struct {
		name   string
		fields []hpack.HeaderField
		want   string
	}{
		{"a large one", state(60_000), said},
		{"one that is larger than a frame, and not indexed", []hpack.HeaderField{{Name: "baggage", Value: strings.Repeat("\xe4", 30_000), Sensitive: true}}, said},
		{"one too large", state(66_000), "unreadable"},
		{"one far too large", state(1 << 20), "unreadable"},
		{"the largest that Envoy takes", state(8 << 20), "unreadable"},
		{"the same, of many bytes", []hpack.HeaderField{{Name: "baggage", Value: strings.Repeat("\xe4", 8<<20), Sensitive: true}}, "unreadable"},
		{"too large together", append(state(40_000), hpack.HeaderField{Name: "baggage", Value: strings.Repeat("b", 40_000)}), "unreadable"},
		{"a name too large", []hpack.HeaderField{{Name: strings.Repeat("n", 1<<20), Value: "v"}}, "unreadable"},
		{"many", many(500, 10), said},
		{"too many", many(3000, 10), "unreadable"},
		{"far too many", many(30000, 50), "unreadable"},
		{"a control character", []hpack.HeaderField{{Name: "tracestate", Value: "a=\x01"}}, "unreadable"},
		{"bytes beyond ASCII", []hpack.HeaderField{{Name: "tracestate", Value: "a=\xff\xfe"}}, said},
		{"a content encoding", []hpack.HeaderField{{Name: "content-encoding", Value: "gzip"}}, "unreadable"},
		{"none in truth", []hpack.HeaderField{{Name: "content-encoding", Value: "identity"}}, said},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, testConfig())
			p := s.dial(t)
			p.call(1, waitPath, false)
			p.data(1, true, whole, 100)
			<-s.entered
			usual := []hpack.HeaderField{
				{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: unaryPath},
				{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
			}
			p.blockOf(3, false, append(usual, c.fields...)...)
			p.data(3, true, whole, 100)
			if got := p.answer(3); got != answered(c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			p.blockOf(5, false, usual...) // from the table, if it is still the same
			p.data(5, true, whole, 100)
			if got := p.answer(5); got != answered(said) {
				t.Errorf("the next call: %s", got)
			}
			close(s.leave)
			if got := p.answer(1); got != answered(said) {
				t.Errorf("the call beside it: %s", got)
			}
		})
	}
}

// A peer that does not know yet how many calls it may have gets an answer for
// each; one that knows it and has more is reset.
func TestMoreCallsThanThereMayBe(t *testing.T) {
	whole, said := message(10)
	config := testConfig()
	config.Streams = 3
	for _, knows := range []bool{false, true} {
		s := serve(t, config)
		p := s.dial(t)
		want, last := answered("overloaded")+", RST NO_ERROR", "RST NO_ERROR"
		if knows {
			p.must(p.WriteSettingsAck())
			want, last = "RST REFUSED_STREAM", "RST REFUSED_STREAM"
		}
		for id := uint32(1); id < 6; id += 2 {
			p.call(id, unaryPath, false)
		}
		for id := uint32(7); id < 400; id += 2 {
			p.call(id, unaryPath, false)
			p.awaits(fmt.Sprint(id, " ", last))
			if got := p.said(id); got != want {
				t.Errorf("%d: %s, want %s", id, got, want)
			}
			p.rude = true // it may be under way
			p.data(id, true, whole, 100)
		}
		if knows {
			s.counted(t, "calls", 197)
		} else {
			s.counted(t, "in_flight", 197)
		}
		p.rude = false
		for id := uint32(1); id < 6; id += 2 {
			p.data(id, true, whole, 100)
			if got := p.answer(id); got != answered(said) {
				t.Errorf("%d: %s", id, got)
			}
		}
	}
}
