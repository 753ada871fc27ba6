package h2_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

var goAwayPing = [8]byte{'g', 'o', ' ', 'a', 'w', 'a', 'y', '?'}

// Calls that cross with the GOAWAY are served, and later ones are not.
func TestGoAways(t *testing.T) {
	whole, said := message(10)
	const warning, last = "GOAWAY 2147483647 NO_ERROR", "GOAWAY 3 NO_ERROR"
	timed(t, "a peer that heeds it", testConfig(), func(t *testing.T, s *service) {
		p := s.dial(t)
		p.call(1, unaryPath, false)
		synctest.Wait()
		s.Drain()
		p.awaits(warning)
		p.awaits("PING false go away?")
		p.call(3, unaryPath, false) // it has crossed
		p.must(p.WritePing(true, goAwayPing))
		p.awaits(last)
		p.call(5, unaryPath, false) // it comes too late
		p.data(5, true, whole, 100)
		p.data(3, true, whole, 100)
		p.data(1, true, whole, 100)
		for _, id := range []uint32{1, 3} {
			if got := p.answer(id); got != answered(said) {
				t.Errorf("%d: %s", id, got)
			}
		}
		p.ends()
		if got := p.said(5); got != "" {
			t.Errorf("the last one: %s", got)
		}
		s.Wait()
	})
	timed(t, "a peer that does not answer", testConfig(), func(t *testing.T, s *service) {
		p, began := s.dial(t), time.Now()
		synctest.Wait()
		s.Drain()
		p.awaits("GOAWAY 0 NO_ERROR")
		if p.ends(); time.Since(began) > 3*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
		s.Wait()
	})
	timed(t, "a peer that goes on calling", testConfig(), func(t *testing.T, s *service) {
		p, began := s.dial(t), time.Now()
		synctest.Wait()
		s.Drain()
		p.awaits("GOAWAY 0 NO_ERROR")
		for i := uint32(1); p.WritePriority(2*i+1, http2.PriorityParam{}) == nil; i++ {
			time.Sleep(100 * time.Millisecond)
			p.call(2*i+1, unaryPath, true)
		}
		if time.Since(began) > 3*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
		s.Wait()
	})
	timed(t, "a peer that has not spoken", testConfig(), func(t *testing.T, s *service) {
		silent, slow, began := s.mute(t), s.mute(t), time.Now()
		silent.hear()
		slow.hear()
		slow.raw([]byte(http2.ClientPreface[:5]))
		synctest.Wait()
		s.Drain()
		slow.raw([]byte(http2.ClientPreface[5:]))
		slow.must(slow.WriteSettings())
		slow.awaits(warning)
		s.Wait()
		slow.ends()
		if first := slow.noted[0]; first != "SETTINGS false" {
			t.Errorf("the first word is %s", first)
		}
		if time.Since(began) > 4*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
	})
	timed(t, "a peer that does not read", testConfig(), func(t *testing.T, s *service) {
		deaf := s.mute(t)
		deaf.raw([]byte(http2.ClientPreface))
		for range 2 { // settings and a window
			_, err := deaf.ReadFrame()
			deaf.must(err)
		}
		began := time.Now()
		s.Drain()
		if took := time.Since(began); took > 0 {
			t.Errorf("it takes %v to ask all to go", took)
		}
		s.Wait() // what cannot be written ends it
	})
	timed(t, "a wait for the end", testConfig(), func(t *testing.T, s *service) {
		p := s.dial(t)
		p.call(1, waitPath, false)
		p.data(1, true, whole, 100)
		call := <-s.entered
		s.Drain()
		p.must(p.WritePing(true, goAwayPing))
		ended := make(chan struct{})
		go func() { s.Wait(); close(ended) }()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("a call still runs")
		default:
		}
		s.Close()
		<-call.Done()
		<-ended
		if call.Answer(nil) {
			t.Error("nobody is there who could get it")
		}
	})
}

func TestAge(t *testing.T) {
	config := testConfig()
	config.MaxAge, config.Grace = time.Minute, 10*time.Second
	timed(t, "", config, func(t *testing.T, s *service) {
		p, began := s.dial(t), time.Now()
		p.call(1, echoPath, false)
		p.awaits("GOAWAY 2147483647 NO_ERROR")
		if took := time.Since(began); took < time.Minute || took > 72*time.Second {
			t.Errorf("asked to go after %v", took)
		}
		p.awaits("GOAWAY 1 NO_ERROR")
		asked := time.Now()
		p.data(1, false, []byte{0, 0, 0, 0, 0}, 100)
		p.awaits(`1 DATA ""`)
		if p.ends(); time.Since(asked) > 10*time.Second {
			t.Errorf("killed %v later", time.Since(asked))
		}
	})
}

// Whoever has gone is told so by the end of what we send, and may still read
// all of it.
func TestTheEndOfAConnection(t *testing.T) {
	s := serve(t, testConfig())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn)
	p.hear()
	p.greet()
	p.awaits("SETTINGS true")
	s.Drain()
	p.awaits("PING false go away?")
	p.must(p.WritePing(true, goAwayPing))
	if got := p.ends(); !strings.HasPrefix(got, "GOAWAY 0") {
		t.Error(got)
	}
	p.Conn.Close()
	s.Wait()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
