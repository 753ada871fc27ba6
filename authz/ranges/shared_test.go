package ranges_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz/ranges"
)

// Two replicas that share a directory and read two versions, as behind caches or where
// ranges.urls of each is another: each change has its day, and either can be accepted.
func TestReplicasThatReadTwoVersions(t *testing.T) {
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		one, two := &server{body: ten}, &server{body: ten}
		w, other := begin(t, one, directory, document()), begin(t, two, directory, document())
		defer w.stop()
		defer other.stop()
		one.say(lines(4), nil)
		two.say(lines(3), nil)
		time.Sleep(90 * time.Minute)
		w.state(t, "the one", ranges.ChangeHeld, "6 of 10")
		other.state(t, "the other", ranges.ChangeHeld, "7 of 10")
		if err := w.list.Accept(w.list.Status(time.Now()).Held.Digest, time.Now()); err != nil {
			t.Errorf("accepted at the one: %v", err)
		}
		w.state(t, "accepted", ranges.Current, "")
		other.state(t, "accepted at the other one only", ranges.ChangeHeld, "7 of 10")
		time.Sleep(26 * time.Hour)
		other.state(t, "after a day", ranges.Current, "")
		if other.in(3) || !other.in(2) {
			t.Error("it does not count after a day")
		}
	})
}

// A clock that was ahead when the last good one was fetched, and is right again: a change
// can be accepted, and has its day from now on.
func TestClockWasAhead(t *testing.T) {
	for _, accept := range []bool{true, false} {
		directory := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(10 * 365 * 24 * time.Hour) // the next bubble begins where this one did
			w := begin(t, &server{body: ten}, directory, document())
			w.stop()
			synctest.Wait()
		})
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, &server{body: lines(4)}, directory, document())
			defer w.stop()
			w.state(t, "at first", ranges.ChangeHeld, "6 of 10")
			if accept {
				if err := w.list.Accept(w.list.Status(time.Now()).Held.Digest, time.Now()); err != nil {
					t.Error(err)
				}
			} else {
				time.Sleep(26 * time.Hour)
			}
			w.state(t, fmt.Sprintf("accepted: %v", accept), ranges.Current, "")
		})
	}
}
