package h2_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// The time of these tests is not real: it passes when all wait.
func timed(t *testing.T, name string, config h2.Config, test func(t *testing.T, s *service)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, serve(t, config)) })
	})
}

// Whoever begins a call and does not go on gives back what the call holds.
func TestHalfSentCallsEnd(t *testing.T) {
	denied := func(why string) string { return answered(why) + ", RST NO_ERROR" }
	config := testConfig()
	config.InFlight, config.Bytes = 2, 4<<20
	small, said := message(1000)
	large, _ := message(500 << 10)
	for _, c := range []struct {
		name, timeout string
		send          func(p *peer)
		after         time.Duration
		want          string
	}{
		{"headers alone", "", func(*peer) {}, time.Minute, "overloaded"},
		{"headers with a deadline", "2S", func(*peer) {}, 2 * time.Second, "overloaded"},
		{"a long deadline", "99999999H", func(*peer) {}, time.Minute, "overloaded"},
		{"no time at all", "0n", func(*peer) {}, 0, "overloaded"},
		{"half a prefix", "2S", func(p *peer) { p.data(1, false, small[:3], 1) }, 2 * time.Second, "overloaded"},
		{"half a message", "2S", func(p *peer) { p.data(1, false, small[:500], 100) }, 2 * time.Second, "overloaded"},
		{"all but the end", "2S", func(p *peer) { p.data(1, false, small, 100) }, 2 * time.Second, "overloaded"},
		{"half a large message", "2S", func(p *peer) { p.data(1, false, large[:300<<10], 1<<14) }, 2 * time.Second, "overloaded"},
		{"a message that is too large", "2S", func(p *peer) { p.data(1, false, []byte{0, 255, 0, 0, 0, 0}, 9) }, 2 * time.Second, "too large"},
		{"one that is compressed", "2S", func(p *peer) { p.data(1, false, []byte{1, 0, 0, 0, 0, 0}, 9) }, 2 * time.Second, "unreadable"},
	} {
		timed(t, c.name, config, func(t *testing.T, s *service) {
			p := s.dial(t)
			began := time.Now()
			if c.timeout == "" {
				p.call(1, unaryPath, false)
			} else {
				p.call(1, unaryPath, false, "grpc-timeout", c.timeout)
			}
			c.send(p)
			p.awaits("1 RST NO_ERROR")
			if got := p.said(1); got != denied(c.want) {
				t.Error(got)
			}
			if took := time.Since(began); took < c.after || took > c.after+1100*time.Millisecond {
				t.Errorf("after %v", took)
			}
			synctest.Wait()
			if bytes, calls := s.Held(); bytes != 0 || calls != 0 {
				t.Errorf("%d bytes, %d calls are held", bytes, calls)
			}
			p.call(3, unaryPath, false)
			p.data(3, true, small, 100)
			if got := p.answer(3); got != answered(said) {
				t.Errorf("the next call: %s", got)
			}
		})
	}
}

// Nor can a frame that does not end keep what its call holds.
func TestHalfSentFramesHoldNothingForLong(t *testing.T) {
	timed(t, "", testConfig(), func(t *testing.T, s *service) {
		p := s.dial(t)
		large, _ := message(500 << 10)
		p.call(1, unaryPath, false, "grpc-timeout", "2S")
		p.data(1, false, large[:20<<10], 1<<14)
		p.raw([]byte{0, 64, 0, byte(http2.FrameData), 0, 0, 0, 0, 1, 'x'})
		for range 5 { // and a byte now and then
			time.Sleep(time.Second)
			p.raw([]byte{'x'})
		}
		if bytes, calls := s.Held(); bytes != 0 || calls != 0 {
			t.Errorf("%d bytes, %d calls are held", bytes, calls)
		}
		p.awaits("1 RST NO_ERROR")
		if got := p.said(1); got != answered("overloaded")+", RST NO_ERROR" {
			t.Error(got)
		}
	})
}

// Large calls that wait for room end with their time, whatever the rest does.
func TestWaitingForRoom(t *testing.T) {
	config := testConfig()
	config.Bytes, config.Copies, config.Overhead, config.Window = 1<<20, 1, 0, 1<<10
	large, said := message(600 << 10)
	timed(t, "overloaded", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		a.call(1, waitPath, false)
		a.data(1, true, large, 1<<14)
		b.call(1, unaryPath, false, "grpc-timeout", "4S")
		began := time.Now()
		b.data(1, true, large, 1<<14)
		if got := b.answer(1); got != answered("overloaded") || time.Since(began) != 2*time.Second {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
		close(s.leave)
		if got := a.answer(1); got != answered(said) {
			t.Error(got)
		}
	})
	timed(t, "in the end", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		a.call(1, waitPath, false)
		a.data(1, true, large, 1<<14)
		b.call(1, unaryPath, false, "grpc-timeout", "4S")
		sent := make(chan struct{})
		go func() { defer close(sent); b.data(1, true, large, 1<<14) }()
		time.Sleep(time.Second)
		_ = a.WriteRSTStream(1, http2.ErrCodeCancel)
		if got := b.answer(1); got != answered(said) {
			t.Error(got)
		}
		<-sent
	})
	timed(t, "more than it may", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		a.call(1, unaryPath, false)
		a.data(1, false, large[:300<<10], 1<<14)
		b.call(1, unaryPath, false)
		b.rude = true
		b.data(1, false, large[:2000], 1<<14)
		if got := b.answer(1); got != "RST FLOW_CONTROL_ERROR" {
			t.Error(got)
		}
	})
	timed(t, "cut off while it waits", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		a.call(1, unaryPath, false)
		a.data(1, false, large[:300<<10], 1<<14)
		b.call(1, waitPath, false, "grpc-timeout", "4S")
		b.data(1, false, large[:500], 1<<14)
		b.headers(1, true, "a", "b")
		<-s.entered
		_ = a.WriteRSTStream(1, http2.ErrCodeCancel) // room for a call that runs already
		synctest.Wait()
		close(s.leave)
		if got := b.answer(1); got != answered("malformed") {
			t.Error(got)
		}
		synctest.Wait()
		if bytes, calls := s.Held(); bytes != 0 || calls != 0 {
			t.Errorf("%d bytes, %d calls are held", bytes, calls)
		}
	})
	timed(t, "cut off, and no room is found", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		a.call(1, unaryPath, false)
		a.data(1, false, large[:300<<10], 1<<14)
		b.call(1, waitPath, false, "grpc-timeout", "4S")
		b.data(1, false, large[:500], 1<<14)
		b.headers(1, true, "a", "b")
		<-s.entered
		time.Sleep(3 * time.Second)
		close(s.leave)
		if got := b.answer(1); got != answered("malformed") {
			t.Error(got)
		}
	})
}

// A peer that takes no answers does not keep them forever.
func TestAnswersThatNobodyTakes(t *testing.T) {
	timed(t, "", testConfig(), func(t *testing.T, s *service) {
		p := s.mute(t)
		p.hear()
		p.raw([]byte(http2.ClientPreface))
		p.must(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3}))
		whole, _ := message(10)
		p.call(1, unaryPath, false, "grpc-timeout", "2S")
		p.data(1, true, whole, 100)
		if got := p.answer(1); got != "HEADERS :status=200, DATA of 3, RST CANCEL" {
			t.Error(got)
		}
	})
}

func TestSlowPeers(t *testing.T) {
	config := testConfig()
	config.Idle, config.Answer = time.Minute, 20*time.Second
	timed(t, "a preface in small chunks", config, func(t *testing.T, s *service) {
		p, began := s.mute(t), time.Now()
		p.hear()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for _, b := range []byte(http2.ClientPreface) {
				p.raw([]byte{b})
				time.Sleep(2 * time.Second)
			}
		}()
		if p.ends(); time.Since(began) > 22*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
		<-sent
	})
	timed(t, "a preface alone", config, func(t *testing.T, s *service) {
		p, began := s.mute(t), time.Now()
		p.hear()
		p.raw([]byte(http2.ClientPreface))
		if p.ends(); time.Since(began) != 20*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
		synctest.Wait()
		s.counted(t, "protocol", 1)
	})
	timed(t, "no answer to a ping", config, func(t *testing.T, s *service) {
		p, began := s.dial(t), time.Now()
		p.awaits("PING false alive?")
		if p.ends(); time.Since(began) > 81*time.Second || time.Since(began) < 70*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
		synctest.Wait()
		s.counted(t, "silent", 1)
	})
	timed(t, "an answer", config, func(t *testing.T, s *service) {
		p := s.dial(t)
		for range 5 {
			p.awaits("PING false alive?")
			p.mu.Lock()
			p.noted = nil
			p.mu.Unlock()
			p.must(p.WritePing(true, [8]byte{}))
		}
		whole, said := message(10)
		p.call(1, unaryPath, false)
		p.data(1, true, whole, 100)
		if got := p.answer(1); got != answered(said) {
			t.Error(got)
		}
	})
	timed(t, "a peer that does not read", config, func(t *testing.T, s *service) {
		p := s.mute(t)
		p.raw([]byte(http2.ClientPreface))
		began := time.Now()
		_ = p.WriteSettings()
		for p.WritePing(false, [8]byte{}) == nil { // until it hangs up
		}
		if took := time.Since(began); took > 21*time.Second {
			t.Errorf("after %v", took)
		}
		synctest.Wait()
		s.counted(t, "unread", 1)
	})
	timed(t, "who looks whether we are there", config, func(t *testing.T, s *service) {
		p := s.mute(t)
		_ = p.Close()
		synctest.Wait()
		s.counted(t, "", 0)
	})
}
