package h2_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

const linger = 500 * time.Millisecond

// leaving dials, makes a lasting call with one message, and has the connection
// go away.
func (s *service) leaving(t *testing.T) *peer {
	t.Helper()
	p := s.dial(t)
	p.call(1, logPath, false)
	entry, _ := message(1000)
	p.data(1, false, entry, 1000)
	synctest.Wait()
	s.Drain()
	p.awaits("PING false go away?")
	p.must(p.WritePing(true, goAwayPing))
	p.awaits("GOAWAY 1 NO_ERROR")
	return p
}

// wants compares what a lasting call was told, and how many messages came.
func (s *service) wants(t *testing.T, p *peer, when, said string, logged int64) {
	t.Helper()
	synctest.Wait()
	if got := p.said(1); got != said {
		t.Errorf("%s: %q, want %q", when, got, said)
	}
	if got := s.logged.Load(); got != logged {
		t.Errorf("%s: %d messages, want %d", when, got, logged)
	}
}

// A lasting call is answered when its connection is to go, and what the peer sent
// before it knew is received.
func TestLastingCallsLoseNothing(t *testing.T) {
	config := testConfig()
	config.Linger = linger
	entry, _ := message(1000)
	for name, end := range map[string]func(p *peer) error{
		"reset by the peer": func(p *peer) error { return p.WriteRSTStream(1, http2.ErrCodeCancel) },
		"ended by the peer": func(p *peer) error { return p.WriteData(1, true, nil) },
	} {
		timed(t, name, config, func(t *testing.T, s *service) {
			p := s.leaving(t)
			p.data(1, false, entry, 1000)
			s.wants(t, p, "at the GOAWAY", "", 2)
			time.Sleep(linger)
			s.wants(t, p, "later", answered(""), 2)
			for range 100 { // more than a window
				p.data(1, false, entry, 1000)
				synctest.Wait()
			}
			p.must(end(p))
			s.wants(t, p, "in the end", answered(""), 102)
			p.ends()
			s.Wait()
		})
	}
	timed(t, "with half a message", config, func(t *testing.T, s *service) {
		p := s.leaving(t)
		p.data(1, false, entry[:100], 100)
		time.Sleep(2 * linger)
		s.wants(t, p, "before the rest", "", 1)
		p.data(1, false, entry[100:], 1000)
		s.wants(t, p, "after it", answered(""), 2)
	})
	timed(t, "with half a message for good", config, func(t *testing.T, s *service) {
		p, began := s.leaving(t), time.Now()
		p.data(1, false, entry[:100], 100)
		p.ends()
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("after %v", took)
		}
		s.wants(t, p, "in the end", "HEADERS :status=200 status=13 message=not answered, RST NO_ERROR", 1)
		s.Wait()
	})
	timed(t, "never ended", config, func(t *testing.T, s *service) {
		p := s.leaving(t)
		time.Sleep(linger)
		for range 10 {
			time.Sleep(time.Second)
			p.data(1, false, entry, 1000)
		}
		s.wants(t, p, "while it goes on", answered(""), 11)
		time.Sleep(2 * time.Second)
		s.wants(t, p, "after a silence", answered("")+", RST NO_ERROR", 11)
		p.ends()
		s.Wait()
	})
	timed(t, "with a connection that ends", config, func(t *testing.T, s *service) {
		p := s.leaving(t)
		time.Sleep(linger)
		p.data(1, false, entry, 1000)
		synctest.Wait()
		p.Conn.Close()
		s.Wait()
		s.wants(t, p, "in the end", answered(""), 2)
	})
}

// A peer that has sent all it might has more to send, perhaps; so has one that
// waits for the answer of another call.
func TestLastingCallsWaitForWhatIsUnderWay(t *testing.T) {
	config := testConfig()
	config.Linger = linger
	entry, _ := message(1000)
	fill, _ := message(int(config.Window) - len(entry) - 5)
	timed(t, "the window", config, func(t *testing.T, s *service) {
		p := s.leaving(t)
		p.data(1, false, fill, 10_000)
		time.Sleep(linger)
		s.wants(t, p, "at once", "", 2)
		time.Sleep(100 * time.Millisecond)
		p.data(1, false, entry, 1000)
		s.wants(t, p, "after the rest", answered(""), 3)
	})
	timed(t, "a window that was enough", config, func(t *testing.T, s *service) {
		p := s.leaving(t)
		p.data(1, false, fill, 10_000)
		time.Sleep(linger)
		s.wants(t, p, "at once", "", 2)
		time.Sleep(250 * time.Millisecond)
		s.wants(t, p, "after a silence", answered(""), 2)
	})
	timed(t, "another call", config, func(t *testing.T, s *service) {
		p := s.dial(t)
		p.call(1, logPath, false)
		p.call(3, waitPath, false)
		p.data(3, true, entry, 1000)
		<-s.entered
		s.Drain()
		p.must(p.WritePing(true, goAwayPing))
		time.Sleep(linger)
		for range 10 {
			p.data(1, false, entry, 1000)
			time.Sleep(200 * time.Millisecond)
		}
		s.wants(t, p, "while it is served", "", 10)
		close(s.leave)
		synctest.Wait()
		p.data(1, false, entry, 1000)
		s.wants(t, p, "after it", answered(""), 11)
	})
}

// Whoever waits for nothing but the end of a call learns that it is time.
func TestLeaving(t *testing.T) {
	config := testConfig()
	config.Linger, config.MaxAge, config.Grace = linger, time.Minute, time.Minute
	timed(t, "", config, func(t *testing.T, s *service) {
		p := s.dial(t)
		p.call(1, waitPath, true)
		call := <-s.entered
		p.awaits("PING false go away?")
		p.must(p.WritePing(true, goAwayPing))
		began := time.Now()
		<-call.Leaving()
		if took := time.Since(began); took != linger {
			t.Errorf("after %v", took)
		}
		call.End(h2.Status{Code: 14})
		if got := p.answer(1); got != "HEADERS :status=200 status=14" {
			t.Error(got)
		}
		p.ends()
	})
}
