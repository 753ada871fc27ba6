package oracle

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// Parts are the slots in which a cluster has nonces: a sixteenth of them in each
// (docs/replay.md).
const Parts = 16

// away is some of the parts, which could not be asked for a while.
type away struct {
	parts    int
	from, to time.Time // to is zero while it lasts
	again    bool      // they have begun again then: nothing was lost, and nobody can know
}

// Away says that some parts of a cluster cannot be asked until the returned function is
// called, which says whether they begin again then. It is part of a fault of kind [Part].
func (w *Weather) Away(parts int) (end func(again bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &away{parts: parts, from: time.Now()}
	w.aways = append(w.aways, a)
	return func(again bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		a.to, a.again = time.Now(), again
	}
}

// Began reports whether a part began again at some time from from to to, although it has
// all that it had.
func (w *Weather) Began(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.aways {
		if a.again && !a.to.Before(from) && !a.to.After(to) {
			return true
		}
	}
	return false
}

// shares are how many of the parts, at most, could not be asked from near to to, and how
// many have begun again from from to to.
func (w *Weather) shares(from, near, to time.Time) (gone, again float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.aways {
		switch {
		case a.from.After(to):
		case a.to.IsZero() || !a.to.Before(near):
			gone += float64(a.parts) / Parts
			again += float64(a.parts) / Parts // it may have, already
		case a.again && !a.to.Before(from):
			again += float64(a.parts) / Parts
		}
	}
	return min(1, gone), min(1, again)
}

// others counts deliveries that came while some parts of a cluster were away or had begun
// again, and nothing else was broken. Those of the others pass.
type others struct {
	mu            sync.Mutex
	came          int
	away, unknown tally // refused as store_unavailable, and as replay_uncertain
}

type tally struct {
	refused           int
	expected, against float64 // of those refused, at most, and the variance
}

func (t *tally) add(share float64, refused bool) {
	t.expected += share
	t.against += share * (1 - share)
	if refused {
		t.refused++
	}
}

// most is how many may have been refused by chance; some calls were on their way.
func (t *tally) most() int {
	const deviations, few = 6, 20
	return int(t.expected+deviations*math.Sqrt(t.against)) + few
}

// crowded is the share of parts from which on too few others are left to tell anything.
const crowded = 0.75

// count notes what became of a delivery that is sent first: one that is refused is sent
// again, and has the same part.
func (j *Judge) count(c *Case, a Answer) {
	if !c.Honest || c.Retry || c.Copy != nil || c.Reasons[0] != "ok" || c.Endpoint.Copies == Unknown || c.Endpoint.Shadow {
		return
	}
	if a.Reason != "ok" && a.Reason != "replay_uncertain" && a.Reason != "store_unavailable" {
		return
	}
	near, from := a.Sent.Add(-slack), j.remembers(c, a)
	if j.Weather.broken(near, a.Done, false, Service, Proxy) || j.Weather.broken(from, a.Done, false, Store, Forgot) {
		return
	}
	gone, again := j.Weather.shares(from, near, a.Done)
	if again == 0 || again > crowded {
		return
	}
	j.others.mu.Lock()
	defer j.others.mu.Unlock()
	j.others.came++
	j.others.away.add(gone, a.Reason == "store_unavailable")
	j.others.unknown.add(again, a.Reason == "replay_uncertain")
}

// late is the share of deliveries that a busy machine may hold up until the budget of a
// call has ended.
const late = 0.1

// Others says what became of deliveries that came while parts of a cluster were away, and
// what is wrong with that, if anything.
func (j *Judge) Others() (came int, said, wrong string) {
	o := &j.others
	o.mu.Lock()
	defer o.mu.Unlock()
	away, unknown := o.away.most()+int(late*float64(o.came)), o.unknown.most()
	said = fmt.Sprintf("%d, of which %d met a part that was away and %d one that had begun again; no more than %d and %d may", o.came, o.away.refused, o.unknown.refused, away, unknown)
	if o.away.refused > away || o.unknown.refused > unknown {
		wrong = "of deliveries that came while parts of the cluster were away, more were refused than had these parts: " + said
	}
	return o.came, said, wrong
}
