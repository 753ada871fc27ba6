package h2_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// A call whose time is over gets no answer but a denial, which comes before the
// peer has given up, or is ignored.
func TestAnswersAfterTheirTime(t *testing.T) {
	whole, _ := message(10)
	timed(t, "", testConfig(), func(t *testing.T, s *service) {
		p := s.dial(t)
		p.call(1, holdPath, false, "grpc-timeout", "2S")
		p.data(1, true, whole, 100)
		call := <-s.entered
		time.Sleep(2 * time.Second)
		unsent := 0
		if call.AnswerOr([]byte("allow"), func() { unsent++ }) || unsent != 1 {
			t.Errorf("an answer was sent too late; unsent %d times", unsent)
		}
		if !call.Deny([]byte("deny")) || call.Deny([]byte("again")) {
			t.Error("a denial is sent once")
		}
		close(s.leave)
		synctest.Wait()
		if got := p.answer(1); got != answered("deny") {
			t.Error(got)
		}
	})
}
