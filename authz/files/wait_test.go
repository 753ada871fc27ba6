package files

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// waiting is a running wait that is fed by hand.
type waiting struct {
	events  chan fsnotify.Event
	errs    chan error
	count   chan int
	changed chan Sign
}

func inTime(t *testing.T, test func(t *testing.T, w *waiting)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{make(chan fsnotify.Event), make(chan error), make(chan int, 1), make(chan Sign, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { wait(ctx, w.events, w.errs, w.count, w.changed); close(done) }()
		test(t, w)
		cancel()
		<-done
	})
}

// next returns how long the next sign takes.
func (w *waiting) next(t *testing.T, want Sign) time.Duration {
	t.Helper()
	begin := time.Now()
	if got := <-w.changed; got != want {
		t.Errorf("sign %d after %s, want %d", got, time.Since(begin), want)
	}
	return time.Since(begin)
}

func TestDebounce(t *testing.T) {
	inTime(t, func(t *testing.T, w *waiting) {
		for range 4 {
			w.events <- fsnotify.Event{}
			time.Sleep(Debounce / 2)
		}
		if took := w.next(t, Notified); took != Debounce/2 {
			t.Errorf("told %s after half of the pause", took)
		}
		w.events <- fsnotify.Event{}
		if took := w.next(t, Notified); took != Debounce {
			t.Errorf("one event is told after %s", took)
		}
	})
}

// A neighbour that never rests does not keep a change out.
func TestPatience(t *testing.T) {
	for n, want := range map[int]time.Duration{0: patienceBase, 1000: 600 * time.Millisecond, 1_000_000: patienceMost} {
		inTime(t, func(t *testing.T, w *waiting) {
			w.count <- n
			synctest.Wait()
			const pause = 10 * time.Millisecond
			begin := time.Now()
			for len(w.changed) == 0 {
				w.events <- fsnotify.Event{}
				time.Sleep(pause)
			}
			if took := time.Since(begin); took < want || took > want+pause+breath {
				t.Errorf("%d files: told after %s, want %s", n, took, want)
			}
			w.next(t, Notified)
		})
	}
}

// One that writes all the time is listened to now and then, and all that it has said by
// then is taken at once.
func TestBreath(t *testing.T) {
	inTime(t, func(t *testing.T, w *waiting) {
		const burst = 100
		for range burst {
			w.events <- fsnotify.Event{}
		}
		begin := time.Now()
		w.events <- fsnotify.Event{} // the second pause
		if took := time.Since(begin); took > breath {
			t.Errorf("an event waits for %s", took)
		}
		if took := w.next(t, Notified); took > 2*breath+Debounce {
			t.Errorf("told after %s", took)
		}
	})
}

// restless is a neighbour that writes again while the last event is taken, for as long as
// more says so. It returns how many events were taken: the system joins the others.
func restless(events chan<- fsnotify.Event, more func() bool) (taken int) {
	for ; more(); time.Sleep(time.Millisecond / 2) {
		select {
		case events <- fsnotify.Event{}:
			taken++
		default:
		}
	}
	return taken
}

// It is heard no more often than others, and keeps no change out.
func TestBreathWithoutRest(t *testing.T) {
	inTime(t, func(t *testing.T, w *waiting) {
		begin := time.Now()
		taken := restless(w.events, func() bool { return len(w.changed) == 0 })
		if took := time.Since(begin); took > patienceBase+2*breath {
			t.Errorf("told after %s", took)
		}
		if most := 5 * int(patienceBase/breath); taken > most {
			t.Errorf("%d events wake the watcher, want %d at most", taken, most)
		}
	})
}

func TestTheEndNeedsNoRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, gone := make(chan fsnotify.Event), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { wait(ctx, events, nil, nil, make(chan Sign, 1)); close(gone) }()
		for range 2 { // before the end and after it
			begin := time.Now()
			restless(events, func() bool { return time.Since(begin) < 2*breath })
			cancel()
		}
		select {
		case <-gone:
		default:
			t.Error("the watcher goes on after its end")
		}
		<-gone
	})
}

func TestPolls(t *testing.T) {
	for n, want := range map[int]time.Duration{0: pollBase, 100: 600 * time.Millisecond, 1_000_000: pollMost} {
		inTime(t, func(t *testing.T, w *waiting) {
			w.count <- n
			synctest.Wait()
			for range 3 {
				if took := w.next(t, Polled); took != want {
					t.Errorf("%d files: polled after %s, want %s", n, took, want)
				}
			}
			w.errs <- fsnotify.ErrEventOverflow
			if took := w.next(t, Polled); took != 0 {
				t.Errorf("lost events are looked for after %s", took)
			}
		})
	}
}

// Nobody needs to receive: the next sign is there, and only one.
func TestSignsAreNotCounted(t *testing.T) {
	inTime(t, func(t *testing.T, w *waiting) {
		time.Sleep(10 * pollBase)
		if n := len(w.changed); n != 1 {
			t.Errorf("%d signs", n)
		}
	})
}

func TestOnce(t *testing.T) {
	var said []error
	o := Once{Tell: func(err error) { said = append(said, err) }}
	first, second := errors.New("first"), errors.New("second")
	for _, err := range []error{nil, first, errors.New("first"), second, nil, nil, second} {
		o.Say(err)
	}
	if len(said) != 4 || said[0] != first || said[1] != second || said[2] != nil || said[3] != second { //nolint:errorlint // these themselves
		t.Errorf("said %v", said)
	}
	(&Once{}).Say(first)
}
