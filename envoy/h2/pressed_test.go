package h2

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A connection that asks for more than can be served has each call answered: what has
// waited is refused, and what is served is served soon.
func TestMoreThanCanBeServed(t *testing.T) {
	const path, calls, work = "/a/b", 1500, time.Millisecond
	config := testConfig()
	config.Streams, config.InFlight = 2*calls, 2*calls
	var served, refused atomic.Int64
	config.Methods = map[string]*Method{path: {Unary: true, Serve: func(c *Call) {
		if _, refusal := c.Message(); refusal == Overloaded {
			refused.Add(1)
		} else {
			served.Add(1)
			for began := time.Now(); time.Since(began) < work; { // it takes the processor
			}
		}
		c.Deny([]byte("said"))
	}}}
	s := New(config)
	conn, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // all was read
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}, {"content-type", "application/grpc"}, {"te", "trailers"}, {"grpc-timeout", "200m"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true}); err != nil { // the same bytes for each call
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, conn)
	_ = framer.WriteSettings() // to memory, as what follows
	for i := range uint32(calls) {
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = framer.WriteData(2*i+1, true, []byte{0, 0, 0, 0, 1, 'x'})
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(out.Bytes())
		wrote <- err
	}()
	for answered := 0; answered < calls; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %d answers: %v", answered, err)
		}
		if frame.Header().Type == http2.FrameData {
			answered++
		}
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	met := s.Met()
	if served.Load()+refused.Load() != calls || refused.Load() < calls/2 || served.Load() == 0 || met["late"] != refused.Load() {
		t.Errorf("%d served and %d refused of %d, %d of them late", served.Load(), refused.Load(), calls, met["late"])
	}
}
