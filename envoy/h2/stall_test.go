package h2_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// Whoever announces messages and does not send them keeps nobody out who does.
func TestMessagesThatDoNotCome(t *testing.T) {
	config := testConfig()
	config.Bytes, config.Copies, config.Overhead, config.Window = 4<<20, 1, 0, 64<<10
	large, said := message(900 << 10)
	small, _ := message(60 << 10)
	announce := func(p *peer, first uint32, n int, data []byte) {
		for i := range uint32(n) {
			p.call(first+2*i, unaryPath, false, "grpc-timeout", "1M")
			p.data(first+2*i, false, data, 1<<14)
		}
		synctest.Wait()
	}
	for _, c := range []struct {
		name string
		edit func(*h2.Config)
		do   func(p *peer)
	}{
		{"of large ones the length", nil, func(p *peer) { announce(p, 1, 90, large[:5]) }},
		{"a part", nil, func(p *peer) { announce(p, 1, 30, large[:50<<10]) }},
		{"of small ones the length", nil, func(p *peer) { announce(p, 1, 90, small[:5]) }},
		{"of small ones half", nil, func(p *peer) { announce(p, 1, 90, small[:30<<10]) }},
		{"calls without any", func(c *h2.Config) { c.InFlight = 10 }, func(p *peer) { announce(p, 1, 20, nil) }},
		{"what is too large", func(c *h2.Config) { c.InFlight = 10 }, func(p *peer) { announce(p, 1, 20, []byte{0, 255, 0, 0, 0}) }},
	} {
		edited := config
		if c.edit != nil {
			c.edit(&edited)
		}
		timed(t, c.name, edited, func(t *testing.T, s *service) {
			a, b := s.dial(t), s.dial(t)
			c.do(a)
			time.Sleep(200 * time.Millisecond)
			for i := range uint32(5) {
				synctest.Wait() // time does not pass while others give back what they had
				began := time.Now()
				b.call(2*i+1, unaryPath, false, "grpc-timeout", "1S")
				b.data(2*i+1, true, large, 1<<14)
				if got := b.answer(2*i + 1); got != answered(said) || time.Since(began) > 300*time.Millisecond {
					t.Errorf("%d: %s after %v", i, got, time.Since(began))
				}
			}
			if got := a.said(1); got != answered("overloaded")+", RST NO_ERROR" && got != answered("too large")+", RST NO_ERROR" {
				t.Errorf("the first one: %s", got)
			}
		})
	}
	timed(t, "and does so again", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		announce(a, 1, 20, large[:5])
		time.Sleep(200 * time.Millisecond)
		for i := range uint32(20) {
			announce(a, 101+20*i, 10, large[:5])
			began := time.Now()
			b.call(2*i+1, unaryPath, false, "grpc-timeout", "1S")
			b.data(2*i+1, true, large, 1<<14)
			if got := b.answer(2*i + 1); got != answered(said) || time.Since(began) > 300*time.Millisecond {
				t.Errorf("%d: %s after %v", i, got, time.Since(began))
			}
		}
	})
	many := config
	many.Bytes = 40 << 20
	timed(t, "and many wait", many, func(t *testing.T, s *service) {
		announce(s.dial(t), 1, 34, large[:5])
		time.Sleep(200 * time.Millisecond)
		began := time.Now()
		var all sync.WaitGroup
		for range 20 {
			p := s.dial(t)
			all.Go(func() {
				p.call(1, unaryPath, false, "grpc-timeout", "1S")
				p.data(1, true, large, 1<<14)
				if got := p.answer(1); got != answered(said) || time.Since(began) > 30*time.Millisecond { // one look, and not two
					t.Errorf("%s after %v", got, time.Since(began))
				}
			})
		}
		all.Wait()
	})
	timed(t, "but not one that comes slowly", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		announce(a, 1, 3, large[:5])
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			b.call(1, unaryPath, false, "grpc-timeout", "4S")
			b.data(1, true, large, 1<<14)
		}()
		for from := 5; from < len(large); from += 40 << 10 { // 2 MB/s
			time.Sleep(20 * time.Millisecond)
			for id := uint32(1); id < 6; id += 2 {
				a.data(id, from+40<<10 >= len(large), large[from:min(len(large), from+40<<10)], 1<<14)
			}
		}
		for id := uint32(1); id < 6; id += 2 {
			if got := a.answer(id); got != answered(said) {
				t.Errorf("%d: %s", id, got)
			}
		}
		if got := b.answer(1); got != answered(said) {
			t.Error(got)
		}
		<-sent
	})
	timed(t, "nor one that nobody else needs the room of", config, func(t *testing.T, s *service) {
		a := s.dial(t)
		announce(a, 1, 3, large[:5])
		time.Sleep(30 * time.Second)
		for id := uint32(1); id < 6; id += 2 {
			a.data(id, true, large[5:], 1<<14)
			if got := a.answer(id); got != answered(said) {
				t.Errorf("%d: %s", id, got)
			}
		}
	})
}

// A flood of calls whose messages do not come, on many connections and without end, keeps
// nobody out who sends, once it is known what they do.
func TestFloodOfMessagesThatDoNotCome(t *testing.T) {
	const connections, atOnce, known = 30, 5, 200 * time.Millisecond
	config := testConfig()
	config.InFlight, config.Streams, config.Bytes, config.Window = 1000, 1000, 200<<20, 96<<10 // 80 large ones
	large, _ := message(900 << 10)
	small, _ := message(1000)
	for _, c := range []struct {
		name       string
		held, sent []byte
		calls      uint32 // of each connection, so often
		pause      time.Duration
		after      time.Duration // that honest ones come
	}{
		{"of small ones", small[:999], small, 2, 10 * time.Millisecond, 7 * time.Millisecond},
		{"of large ones", large[:100], small, 2, 10 * time.Millisecond, 7 * time.Millisecond},
		{"before large ones", large[:100], large, 2, 10 * time.Millisecond, 7 * time.Millisecond},
		{"in bursts", large[:100], large, 80, 205 * time.Millisecond, 30 * time.Millisecond},
		{"without any", nil, large, 2, 10 * time.Millisecond, 7 * time.Millisecond},
	} {
		timed(t, c.name, config, func(t *testing.T, s *service) {
			honest := s.dial(t)
			var others []*peer
			for range connections {
				others = append(others, s.dial(t))
			}
			flood := func(first uint32) {
				for _, other := range others {
					for i := range c.calls {
						other.call(first+2*i, unaryPath, false, "grpc-timeout", "1M")
						if c.held != nil {
							other.data(first+2*i, false, c.held, 1<<14)
						}
					}
				}
			}
			began, next := time.Now(), time.Now()
			for id, theirs := uint32(1), uint32(1); time.Since(began) < 2*known+150*time.Millisecond; {
				if !time.Now().Before(next) {
					flood(theirs)
					theirs, next = theirs+2*c.calls, next.Add(c.pause)
				}
				time.Sleep(c.after)
				sent := time.Since(began)
				for range atOnce {
					honest.call(id, unaryPath, false, "grpc-timeout", "1S")
					honest.data(id, true, c.sent, 1<<14)
					if got := honest.answer(id); sent > known && strings.Contains(got, "overloaded") {
						t.Errorf("after %v: %s", sent, got)
					}
					id += 2
				}
			}
		})
	}
}
