package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// traffic is what many providers, and those who attack them, send at once. Each answer is
// judged when it comes.
type traffic struct {
	world   *world
	clients *clients
	judge   *oracle.Judge

	endpoints []*oracle.Endpoint

	ids       atomic.Int64
	told      atomic.Int64 // verdicts that were judged
	untold    atomic.Int64 // answers that say nothing, as of an Envoy that is away
	delivered atomic.Int64
	copies    atomic.Int64 // refused or acknowledged
	forged    atomic.Int64 // refused
	lost      atomic.Int64 // retries refused although the first was not taken, as documented where an entry of the log was lost
	passed    atomic.Int64 // copies that came through as documented, with a mark

	mu      sync.Mutex
	wrong   []string
	bad     int
	reasons map[string]int
	cases   map[string]int
	alike   map[string]int    // wrong ones that say the same
	taken   []*oracle.Content // of which copies are sent
	ending  chan struct{}
	over    atomic.Bool // senders retry no more
	workers sync.WaitGroup
	late    sync.WaitGroup // senders that retry
	retries chan struct{}
}

const (
	tardy    = 250 * time.Millisecond // an answer that took longer shows that the machine is busy
	known    = 4000                   // contents of which copies are sent
	stubborn = 400                    // senders that retry at once, at most
)

func newTraffic(w *world) *traffic {
	j := &oracle.Judge{Weather: w.weather, Lease: lease, Alone: !w.shared(), Since: w.began}
	if w.shared() {
		j.Pause = recovery
	}
	endpoints := slices.DeleteFunc(slices.Clone(w.endpoints), func(e *oracle.Endpoint) bool {
		return w.at != "" && !slices.Contains(strings.Split(w.at, ","), e.Name)
	})
	return &traffic{
		world: w, endpoints: endpoints, judge: j, clients: &clients{world: w, pools: map[oracle.Via]*http.Client{}}, reasons: map[string]int{}, cases: map[string]int{}, alike: map[string]int{},
		ending: make(chan struct{}), retries: make(chan struct{}, stubborn),
	}
}

func (t *traffic) start() {
	for i := range t.world.streams {
		t.workers.Go(func() { t.work(newRandom(t.world.seed, "traffic"+strconv.Itoa(i))) })
	}
}

// finish ends the traffic; who retries may do so for as long as patience is.
func (t *traffic) finish(patience time.Duration) {
	close(t.ending)
	t.workers.Wait()
	timer := time.AfterFunc(patience, func() { t.over.Store(true) })
	t.late.Wait()
	timer.Stop()
	t.clients.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.world.application.requests.mu.Lock()
	defer t.world.application.requests.mu.Unlock()
	for _, id := range t.world.application.requests.forged {
		t.bad++
		t.wrong = append(t.wrong, "a forgery reached the application: "+id)
	}
}

func (t *traffic) work(r *rand.Rand) {
	for {
		if t.world.pace > 0 {
			time.Sleep(time.Duration(r.Int64N(2 * int64(t.world.pace))))
		}
		select {
		case <-t.ending:
			return
		default:
		}
		began := time.Now()
		t.next(r)
		if time.Since(began) < time.Millisecond { // nothing answers
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// next does one thing of the mix.
func (t *traffic) next(r *rand.Rand) {
	e := t.endpoints[r.IntN(len(t.endpoints))]
	now := time.Now()
	switch n := r.IntN(100); {
	case n < 38:
		t.try(e.Attack(r, now), r)
	case n < 40:
		if c := e.Retired(r, now); c != nil {
			t.try(c, r)
		}
	case n < 43:
		if c := e.Handshake(r, now); c != nil {
			t.try(c, r)
		}
	case n < 72:
		t.again(r)
	case n < 75:
		t.burst(e, r)
	default:
		t.deliver(e, r)
	}
}

// travel chooses how a request gets to Envoy.
func travel(q *oracle.Request, r *rand.Rand) {
	q.Via.HTTP2 = r.IntN(3) == 0
	q.Via.Cycled = r.IntN(20) == 0
}

// try sends what is judged by itself.
func (t *traffic) try(c *oracle.Case, r *rand.Rand) {
	travel(c.Request, r)
	t.send(c, false, take, impatience)
}

// send sends a case and judges the answer.
func (t *traffic) send(c *oracle.Case, unlike bool, act string, patience time.Duration) oracle.Answer {
	id := strconv.FormatInt(t.ids.Add(1), 10)
	if !c.Honest && c.Copy == nil && !c.Endpoint.Shadow && !c.Endpoint.Open {
		id = forged + c.Endpoint.Name + "-" + id
	}
	a := t.clients.send(c.Request, id, act, patience)
	if took := a.Done.Sub(a.Sent); took > tardy && act != late && act != slow {
		t.world.weather.Was(oracle.Busy, a.Sent, a.Done)
	}
	told, wrong := t.judge.Verdict(c, a, unlike)
	if told {
		t.told.Add(1)
	} else {
		t.untold.Add(1)
	}
	kind := "delivery: "
	switch {
	case c.Copy != nil && c.Copy.Outcome != oracle.None:
		kind = "copy: "
		switch {
		case a.Arrived != nil && c.Copy.Outcome >= oracle.Perhaps:
			t.passed.Add(1)
		case told:
			t.copies.Add(1)
		}
	case !c.Honest && c.Copy == nil:
		kind = "attack: "
		if told {
			t.forged.Add(1)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reasons[kind+a.Reason]++
	t.cases[c.Name]++
	if wrong != "" {
		t.bad++
		if t.alike[wrong]++; t.alike[wrong] == 1 && len(t.wrong) < 30 { // of each kind the first
			t.wrong = append(t.wrong, t.tell(c, a, wrong))
		}
	}
	return a
}

// tell says all that is needed to look at it again.
func (t *traffic) tell(c *oracle.Case, a oracle.Answer, wrong string) string {
	body := c.Request.Body
	if len(body) > 300 {
		body = body[:300] + "…"
	}
	history := ""
	if x := c.Copy; x != nil {
		history = fmt.Sprintf("; before: outcome %d, sent %s, answered %s", x.Outcome, x.Began.Format("05.000"), x.Ended.Format("05.000"))
	}
	return fmt.Sprintf("%s\n    sent %s, answered %s: %d %q, error %v; arrived %v%s\n    %s %s host %s via %+v %q %s", wrong,
		a.Sent.Format("05.000"), a.Done.Format("05.000"), a.Status, a.Reason, a.Err, a.Arrived != nil, history,
		c.Request.Method, c.Request.Target, c.Request.Host, c.Request.Via, c.Request.Headers, body)
}

// report adds what the traffic has shown.
func (t *traffic) report(v *verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v.told, v.untold, v.delivered = t.told.Load(), t.untold.Load(), t.delivered.Load()
	v.copies, v.forged, v.passed, v.lost = t.copies.Load(), t.forged.Load(), t.passed.Load(), t.lost.Load()
	v.reasons, v.cases = maps.Clone(t.reasons), maps.Clone(t.cases)
	v.bad += t.bad
	v.wrong = append(v.wrong, t.wrong...)
	came, said, wrong := t.judge.Others()
	if came > 0 {
		v.partly = said
	}
	if wrong != "" {
		v.fail("%s", wrong)
	}
}

func (t *traffic) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bad > 0
}
