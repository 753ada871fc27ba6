package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// outcomes are what it means that the application did as it was told.
var outcomes = map[string]oracle.Outcome{
	take: oracle.Took, slow: oracle.Took, refuse: oracle.Refused, busy: oracle.Refused, reject: oracle.Rejected, die: oracle.Perhaps, late: oracle.Perhaps, cut: oracle.Half,
}

// answers are what Envoy makes of them.
var answers = map[string]int{take: 200, slow: 200, refuse: 500, busy: 429, reject: 404, die: 503, late: 504}

func deed(r *rand.Rand) string {
	switch n := r.IntN(200); {
	case n < 12:
		return refuse
	case n < 16:
		return busy
	case n < 20:
		return reject
	case n < 26:
		return die
	case n < 30:
		return cut
	case n < 31:
		return late
	case n < 36:
		return slow
	default:
		return take
	}
}

// deliver sends a delivery until the application has taken it, as an honest sender does.
// What does not succeed at once goes on beside.
func (t *traffic) deliver(e *oracle.Endpoint, r *rand.Rand) {
	c := e.Honest(r, time.Now())
	travel(c.Request, r)
	x := &oracle.Content{Case: c}
	if t.attempt(c, x, deed(r), r) {
		return
	}
	own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) //nolint:gosec // to be repeated
	select {
	case t.retries <- struct{}{}:
		t.late.Go(func() {
			defer func() { <-t.retries }()
			t.persist(c, x, own)
		})
	default: // too many retry: this one is given up, and not counted
	}
}

// attempt sends once and reports whether there is nothing left to do.
func (t *traffic) attempt(c *oracle.Case, x *oracle.Content, act string, r *rand.Rand) (done bool) {
	patience := impatience
	if r.IntN(50) == 0 {
		patience = time.Duration(1+r.IntN(30)) * time.Millisecond // it leaves before the answer
	}
	if x.Outcome != oracle.None {
		c.Copy = x
	}
	a := t.send(c, false, act, patience)
	if note(x, a, act) == oracle.Took {
		t.delivered.Add(1)
		if followed(x, a) {
			t.keep(x, r)
		}
		return true
	}
	if a.Status == http.StatusConflict && x.Untaken() {
		t.lost.Add(1)
	}
	return a.Status == http.StatusConflict || a.Status == http.StatusOK // taken before, as far as the service knows
}

// followed reports whether the service looks at what became of what it has forwarded: under
// MARK it does not where that had a mark.
func followed(x *oracle.Content, a oracle.Answer) bool {
	return x.Case.Endpoint.Copies != oracle.Marked || a.Arrived.Get("X-Hookbastion-Replay") == ""
}

// note keeps what became of a content.
func note(x *oracle.Content, a oracle.Answer, act string) oracle.Outcome {
	switch {
	case a.Arrived != nil && a.Err == nil && answers[act] == a.Status && a.Reason != "":
		x.Outcome = outcomes[act]
	case a.Arrived != nil && act == cut && a.Status == 200:
		x.Outcome = oracle.Half
	case a.Arrived != nil, a.Err != nil, a.Reason == "", a.Reason == "store_unavailable", a.Reason == "timeout":
		x.Outcome = oracle.Uncertain // it may be reserved, and nobody told the sender
	case a.Reason == "ok": // allowed, and the application could not be reached
		if x.Outcome == oracle.None {
			x.Outcome = oracle.Refused
		}
	default:
		return oracle.None
	}
	if a.Arrived != nil {
		x.Arrived = x.Arrived || outcomes[act] > oracle.Rejected
		x.Marked = x.Marked || a.Arrived.Get("X-Hookbastion-Replay") == "possible"
	}
	x.Doubt = x.Doubt || x.Outcome == oracle.Perhaps || x.Outcome == oracle.Half || x.Outcome == oracle.Uncertain
	x.Began, x.Ended = a.Sent, a.Done
	return x.Outcome
}

// persist retries until the delivery is taken. A sender that signs the time signs anew.
func (t *traffic) persist(c *oracle.Case, x *oracle.Content, r *rand.Rand) {
	pause, began := 60*time.Millisecond, time.Now()
	for !t.over.Load() {
		time.Sleep(pause)
		pause = min(2*pause, 4*time.Second)
		e, now := c.Endpoint, time.Now()
		gone := e.Ring != nil && e.Rotates() && e.Ring.State(c.Key, now) != oracle.Counts
		if x.Outcome == oracle.Uncertain || gone || e.Timed && r.IntN(3) > 0 {
			if gone || e.Timed {
				fresh := e.Honest(r, now)
				fresh.Request.Body = c.Request.Body
				fresh.Request.Set("X-Event-Id", c.Request.Get("X-Event-Id"))
				e.Sign(fresh.Request, fresh.Key, now)
				fresh.Request.Via = c.Request.Via
				if e.Timed && (gone || fresh.Request.Signed != c.Request.Signed) {
					c, x = fresh, &oracle.Content{Case: fresh}
				} else if e.Timed {
					continue // within one second the time is the same, and so is the content
				} else {
					c = fresh // the same content by another key
				}
			}
		}
		act := take
		if r.IntN(6) == 0 {
			act = refuse
		}
		c.Retry = true
		if t.attempt(c, x, act, r) {
			return
		}
	}
	if !t.world.eager {
		t.fail(fmt.Sprintf("never taken: %s, %q, in %s", c.Endpoint.Name, c.Request.Body, time.Since(began)))
	}
}

func (t *traffic) fail(wrong string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bad++; len(t.wrong) < 20 {
		t.wrong = append(t.wrong, wrong)
	}
}

// keep remembers what the application took, for attackers.
func (t *traffic) keep(x *oracle.Content, r *rand.Rand) {
	if x.Case.Endpoint.Copies == oracle.Unknown || x.Case.Endpoint.Shadow {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.taken) < known {
		t.taken = append(t.taken, x)
		return
	}
	t.taken[r.IntN(known)] = x
}

func (t *traffic) forget(x *oracle.Content) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.taken, x); i >= 0 {
		t.taken[i] = t.taken[len(t.taken)-1]
		t.taken = t.taken[:len(t.taken)-1]
	}
}

// again sends a copy of what was taken some time ago.
func (t *traffic) again(r *rand.Rand) {
	t.mu.Lock()
	if len(t.taken) == 0 {
		t.mu.Unlock()
		return
	}
	x := t.taken[r.IntN(len(t.taken))]
	t.mu.Unlock()
	if !x.TryLock() {
		return
	}
	defer x.Unlock()
	c, unlike := x.Copy(r)
	travel(c.Request, r)
	a := t.send(c, unlike, take, impatience)
	if a.Reason == "" { // nobody knows whether it came through
		t.forget(x)
		return
	}
	if a.Arrived != nil && followed(x, a) {
		note(x, a, take)
		if x.Outcome != oracle.Took || unlike { // what it took last was another request
			t.forget(x)
		}
	}
}

// burst sends one content over several connections at once: it is taken once.
func (t *traffic) burst(e *oracle.Endpoint, r *rand.Rand) {
	if e.Copies == oracle.Unknown || e.Shadow {
		return
	}
	const many = 5
	c := e.Honest(r, time.Now())
	var requests [many]oracle.Request
	for i := range requests {
		requests[i] = *c.Request
		travel(&requests[i], r)
	}
	var got [many]oracle.Answer
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			one := *c
			one.Request, one.Name = &requests[i], "burst"
			// the others are copies, and which is the first only the answers tell
			one.Copy = &oracle.Content{Case: c, Outcome: oracle.Uncertain, Began: c.Now, Ended: c.Now}
			got[i] = t.send(&one, false, take, impatience)
		})
	}
	all.Wait()
	bare := 0
	for _, a := range got {
		if a.Arrived != nil && a.Arrived.Get("X-Hookbastion-Replay") == "" {
			bare++
		}
	}
	if bare > 1 {
		t.fail(fmt.Sprintf("%s: of %d at once, %d came through without a mark: %q", e.Name, many, bare, c.Request.Body))
	}
}
