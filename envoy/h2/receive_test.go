package h2_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// Messages of calls that are not unary count, have a quarter of the budget, and
// must come in ten seconds.
func TestMessagesOfStreams(t *testing.T) {
	config := testConfig()
	config.Bytes, config.Window = 8<<20, 64<<10
	large, _ := message(900 << 10)
	timed(t, "", config, func(t *testing.T, s *service) {
		p := s.dial(t)
		for i := range uint32(3) {
			p.call(2*i+1, echoPath, false)
			p.data(2*i+1, false, large[:700<<10], 1<<14)
		}
		synctest.Wait()
		if held, _ := s.Held(); held < 1400<<10 || held > 2<<20 {
			t.Errorf("%d bytes are held", held)
		}
		p.data(5, false, large[700<<10:], 1<<14)
		p.awaits(`5 DATA "too large"`) // there was no room for it
		time.Sleep(11 * time.Second)
		for _, id := range []uint32{1, 3} {
			p.awaits("1 RST NO_ERROR")
			if got := p.answer(id); got != "HEADERS :status=200 status=13 message=half a message, RST NO_ERROR" {
				t.Errorf("%d: %s", id, got)
			}
		}
		if held, _ := s.Held(); held != 0 {
			t.Errorf("%d bytes are held", held)
		}
		time.Sleep(time.Hour / 2) // between two messages there may be any time
		small, _ := message(5)
		p.data(5, false, small, 1<<14)
		p.awaits(`5 DATA "\x00\x01\x02\x03\x04"`)
	})
}
