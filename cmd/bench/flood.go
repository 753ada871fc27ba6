package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A flood asks a server over connections of its own, in frames that cost the sender next
// to nothing, so that it can ask for many times what the server can judge.

// verdicts is what became of calls.
type verdicts struct {
	judgedIn  latencies // allowed, or found to be a copy
	refusedIn latencies // with 503 overloaded
	other     int       // no answer, or another one
}

// stream is one connection with many calls.
type stream struct {
	conn   net.Conn
	framer *http2.Framer
	first  []byte // block of the headers of the first call
	block  []byte // and of all others

	mu      sync.Mutex
	sent    map[uint32]time.Time
	next    uint32
	window  int64 // what we may send
	streams int   // what the server allows at once
	results verdicts
	counts  bool // results are kept
	dead    error
	answers chan struct{}
}

// openStream connects and begins to take answers.
func openStream(address string) (*stream, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &stream{conn: conn, sent: map[uint32]time.Time{}, next: 1, window: 65535, streams: 100, answers: make(chan struct{}, 1)}
	s.framer = http2.NewFramer(conn, bufio.NewReaderSize(conn, 64<<10))
	s.framer.SetReuseFrames()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, into := range []*[]byte{&s.first, &s.block} { // from the second on, all is in the table
		block.Reset()
		for _, h := range [][2]string{
			{":method", "POST"}, {":scheme", "http"}, {":path", authv3.Authorization_Check_FullMethodName}, {":authority", "hookbastion"},
			{"content-type", "application/grpc"}, {"te", "trailers"}, {"grpc-timeout", "1000m"},
		} {
			if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
				return nil, err
			}
		}
		*into = bytes.Clone(block.Bytes())
	}
	_, err = conn.Write([]byte(http2.ClientPreface))
	err = errors.Join(err, s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		s.framer.WriteWindowUpdate(0, 1<<30))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go s.read()
	return s, nil
}

// appendCall appends the frames of a call.
func (s *stream) appendCall(b []byte, id uint32, message []byte) []byte {
	block := s.block
	if id == 1 {
		block = s.first
	}
	b = append(b, byte(len(block)>>16), byte(len(block)>>8), byte(len(block)), byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders))
	b = append(binary.BigEndian.AppendUint32(b, id), block...)
	n := len(message) + 5
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(http2.FrameData), byte(http2.FlagDataEndStream))
	b = append(binary.BigEndian.AppendUint32(b, id), 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(message)))
	return append(b, message...)
}

// ask sends at most n calls, as the server's limits allow, and returns how many.
func (s *stream) ask(n int, message func() []byte) (int, error) {
	var out []byte
	s.mu.Lock()
	now := time.Now()
	asked := 0
	for ; asked < n && len(s.sent) < s.streams && s.dead == nil; asked++ {
		m := message()
		if s.window -= int64(len(m) + 5); s.window < 0 {
			s.window += int64(len(m) + 5)
			break
		}
		s.sent[s.next] = now
		out = s.appendCall(out, s.next, m)
		s.next += 2
	}
	dead := s.dead
	s.mu.Unlock()
	if dead != nil || len(out) == 0 {
		return asked, dead
	}
	_, err := s.conn.Write(out)
	return asked, err
}

// read takes answers until the connection ends.
func (s *stream) read() {
	for {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			s.mu.Lock()
			s.dead = err
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				if n, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
					s.streams = int(n)
				}
				_ = s.framer.WriteSettingsAck() // then reading fails, too
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				s.window += int64(f.Increment)
			}
		case *http2.DataFrame:
			s.answered(f.StreamID, f.Data())
		case *http2.RSTStreamFrame:
			if _, open := s.sent[f.StreamID]; open {
				s.results.other++
				delete(s.sent, f.StreamID)
			}
		}
		s.mu.Unlock()
		select {
		case s.answers <- struct{}{}:
		default:
		}
	}
}

// answered takes the answer of a call, which is one frame, with mu held.
func (s *stream) answered(id uint32, data []byte) {
	at, open := s.sent[id]
	if !open || len(data) < 7 {
		return
	}
	delete(s.sent, id)
	if !s.counts {
		return
	}
	took := time.Since(at)
	switch allowed := data[5] == 0x0a && data[6] == 0; { // google.rpc.Status is empty if the code is OK
	case allowed, bytes.Contains(data, []byte("replayed")):
		s.results.judgedIn = append(s.results.judgedIn, took)
	case bytes.Contains(data, []byte("overloaded")):
		s.results.refusedIn = append(s.results.refusedIn, took)
	default:
		s.results.other++
	}
}

// flood is several connections.
type flood struct {
	streams []*stream
	message func() []byte
}

func openFlood(address string, connections int, message func() []byte) (*flood, error) {
	f := &flood{message: message}
	for range connections {
		s, err := openStream(address)
		if err != nil {
			f.close()
			return nil, err
		}
		f.streams = append(f.streams, s)
	}
	return f, nil
}

func (f *flood) close() {
	for _, s := range f.streams {
		_ = s.conn.Close() // nothing is waited for
	}
}

// count begins to count, or ends and returns what was counted.
func (f *flood) count(on bool) verdicts {
	var all verdicts
	for _, s := range f.streams {
		s.mu.Lock()
		r := s.results
		s.results, s.counts = verdicts{}, on
		s.mu.Unlock()
		all.other += r.other
		all.judgedIn = append(all.judgedIn, r.judgedIn...)
		all.refusedIn = append(all.refusedIn, r.refusedIn...)
	}
	return all
}

// closed keeps a number of calls under way on each connection until the channel closes.
func (f *flood) closed(each int, end <-chan struct{}) error {
	return f.run(func(s *stream) error {
		for {
			select {
			case <-end:
				return nil
			case <-s.answers:
			case <-time.After(tick): // the first ones, and where answers come together
			}
			s.mu.Lock()
			n := each - len(s.sent)
			s.mu.Unlock()
			if _, err := s.ask(n, f.message); err != nil {
				return err
			}
		}
	})
}

// tick is how exact the pace is.
const tick = time.Millisecond

// paced sends so many calls a second, whether answers come or not, until the channel
// closes, and returns how many it could not send for the server's limits.
func (f *flood) paced(rate float64, end <-chan struct{}) (held int64, err error) {
	var unsent atomic.Int64
	err = f.run(func(s *stream) error {
		every := time.NewTicker(tick)
		defer every.Stop()
		began, due := time.Now(), 0
		for {
			select {
			case <-end:
				return nil
			case <-every.C:
			}
			n := int(rate/float64(len(f.streams))*time.Since(began).Seconds()) - due
			due += n
			sent, err := s.ask(n, f.message)
			if err != nil {
				return err
			}
			unsent.Add(int64(n - sent))
		}
	})
	return unsent.Load(), err
}

func (f *flood) run(each func(*stream) error) error {
	errs := make(chan error, len(f.streams))
	for _, s := range f.streams {
		go func() { errs <- each(s) }()
	}
	var all error
	for range f.streams {
		all = errors.Join(all, <-errs)
	}
	return all
}
