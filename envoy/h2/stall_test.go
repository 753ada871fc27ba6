package h2_test

import (
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
