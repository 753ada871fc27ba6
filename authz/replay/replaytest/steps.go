package replaytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// script is what one delivery goes through: the steps of the attempt whose
// answer Envoy takes, unless it is gone. Where Envoy asks twice, the other
// attempt comes at any time, before or after that, and is cancelled at any time
// after it has come.
type script struct {
	name  string
	gone  bool
	steps []string
	twice bool
}

var scripts = []script{
	{"log lost", false, []string{"ask"}, false},
	{"delivered", false, []string{"ask", "ok"}, false},
	{"failed", false, []string{"ask", "failed"}, false},
	{"unknown", false, []string{"ask", "unknown"}, false},
	{"cancelled", true, []string{"ask", "cancel"}, false},
	{"asked twice, delivered", false, []string{"ask", "ok"}, true},
	{"asked twice, failed", false, []string{"ask", "failed"}, true},
	{"asked twice, cancelled", true, []string{"ask", "cancel"}, true},
}

// other are the steps of the attempt whose answer nobody takes.
func (s script) other() []string {
	if !s.twice {
		return nil
	}
	return []string{"other ask", "other cancel"}
}

func (s script) delivery(check uint64) *delivery {
	d := &delivery{check: check, gone: s.gone, attempts: make([]attempt, 1, 2)}
	if s.twice {
		d.attempts = d.attempts[:2]
	}
	return d
}

// step does one step of a delivery's script. The other attempt is at the other
// replica.
func (m *model) step(c *content, d *delivery, step string, replica int) error {
	switch step {
	case "ask":
		return m.reserve(c, d, 0, replica)
	case "cancel":
		return m.cancel(d, 0, replica)
	case "other ask":
		return m.reserve(c, d, 1, 1-replica)
	case "other cancel":
		return m.cancel(d, 1, replica)
	default:
		return m.settle(d, step, 1-replica)
	}
}

// interleave calls f with every way to merge the lists that keeps their orders.
func interleave(lists [][]string, f func(order []int)) {
	var order []int
	var walk func(left []int, remaining int)
	left := make([]int, len(lists))
	total := 0
	for i, l := range lists {
		left[i] = len(l)
		total += len(l)
	}
	walk = func(left []int, remaining int) {
		if remaining == 0 {
			f(order)
			return
		}
		for i := range left {
			if left[i] == 0 {
				continue
			}
			left[i]--
			order = append(order, i)
			walk(left, remaining-1)
			order = order[:len(order)-1]
			left[i]++
		}
	}
	walk(left, total)
}

// Models is how much of the model a store goes through.
type Models struct {
	// New returns an empty store with room for so many nonces of one webhook.
	New func(room int) Subject
	// Every is 1 for all orders of events, n for every nth.
	Every int
	// Steps is the number of random steps.
	Steps int
	// Around is how many of the kinds of events around are tried; 0: all.
	Around int
}

// Model compares a store with the truth. It goes through the ways in which two
// deliveries of one content, at two replicas, and what happens around them can
// follow each other, and then lets an honest third delivery come. After that it
// does random steps with many contents at once.
func Model(t *testing.T, m Models) {
	t.Run("every interleaving", m.everyInterleaving)
	t.Run("random steps", m.randomSteps)
}

func (o Models) everyInterleaving(t *testing.T) {
	around := [][]string{nil, {"lease"}, {"restart"}, {"expiry"}, {"eviction"}, {"widen"}, {"ahead"}, {"behind"}, {"sweep"}}
	both := [][]string{{"lease", "restart"}, {"widen", "lease"}, {"lease", "sweep"}, {"ahead", "lease"}, {"behind", "lease"}, {"eviction", "lease"}, {"lease", "lease"}, {"lease", "expiry"}}
	orders := &orders{t: t, every: max(o.Every, 1), build: o.New}
	for _, signed := range []bool{true, false} {
		for _, unknown := range []replay.Fate{replay.Taken, replay.Unsure} {
			for i, first := range scripts {
				for _, second := range scripts[i:] {
					events := around
					switch {
					case first.twice && second.twice:
						events = around[:3] // twenty thousand orders for each
					case !first.twice && !second.twice:
						events = append(around[:len(around):len(around)], both...)
					}
					if o.Around > 0 {
						events = events[:min(o.Around, len(events))]
					}
					for _, e := range events {
						orders.of(signed, unknown, first, second, e)
					}
				}
			}
		}
	}
	t.Logf("%d of %d orders of events, %d deliveries marked as possible", orders.runs, orders.seen, orders.marked)
	if orders.runs < 1_000 || orders.marked == 0 {
		t.Error("that shows little")
	}
}

// orders goes through orders of events.
type orders struct {
	t          *testing.T
	every      int
	build      func(room int) Subject
	seen, runs int
	marked     int64
}

func (o *orders) of(signed bool, unknown replay.Fate, first, second script, around []string) {
	lists := [][]string{first.steps, second.steps, around, first.other(), second.other()}
	interleave(lists, func(order []int) {
		if o.seen++; o.seen%o.every != 0 {
			return
		}
		o.runs++
		m := newModel(o.build(24), 24, signed, unknown)
		c := m.content(1)
		d := []*delivery{first.delivery(1), second.delivery(2)}
		c.deliveries = d
		next := [5]int{}
		fail := func(err error) {
			var trace []string
			next := [5]int{}
			for _, list := range order {
				trace = append(trace, fmt.Sprint(list, lists[list][next[list]]))
				next[list]++
			}
			o.t.Fatalf("signed %t, unknown %d, %q and %q: %v: %v", signed, unknown, first.name, second.name, trace, err)
		}
		for _, list := range order {
			step := lists[list][next[list]]
			next[list]++
			switch list {
			case 2:
				m.happens(step)
			default:
				which := list % 3 // lists 3 and 4 are those of deliveries 0 and 1
				if err := m.step(c, d[which], step, which); err != nil {
					fail(err)
				}
			}
		}
		m.now = m.now.Add(Ended)
		third := script{}.delivery(3)
		c.deliveries = append(c.deliveries, third)
		if err := m.reserve(c, third, 0, 0); err != nil {
			fail(err)
		}
		if err := m.counted(); err != nil {
			fail(err)
		}
		o.marked += m.possible
	})
}

// counted compares what the store has counted.
func (m *model) counted() error {
	if m.Possible == nil {
		return nil
	}
	if got := m.Possible(); got != m.possible {
		return fmt.Errorf("%d counted as possible, %d were", got, m.possible)
	}
	return nil
}

// randomSteps is with many contents at once and all that can happen, in any
// order.
func (o Models) randomSteps(t *testing.T) {
	const room = 2_000
	random := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // steps that can be repeated
	for _, signed := range []bool{true, false} {
		for _, unknown := range []replay.Fate{replay.Taken, replay.Unsure} {
			m := newModel(o.New(room), room, signed, unknown)
			number, check := uint64(0), uint64(0)
			for step := range o.Steps / 4 {
				if err := m.random(random, &number, &check); err != nil {
					t.Fatalf("signed %t, unknown %d, step %d: %v", signed, unknown, step, err)
				}
			}
			if err := m.counted(); err != nil {
				t.Error(err)
			}
		}
	}
}

// random does one random step.
func (m *model) random(random *rand.Rand, number, check *uint64) error {
	m.now = m.now.Add(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
	if len(m.contents) < 50 {
		*number++
		m.content(*number)
	}
	c := m.contents[random.IntN(len(m.contents))]
	switch n := random.IntN(10_000); {
	case n < 2:
		m.happens([]string{"eviction", "restart"}[n]) //nolint:gosec // n is below 2
	case n < 60:
		m.happens([]string{"lease", "ahead", "behind", "sweep"}[n%4])
	case n < 600 && len(c.deliveries) > 0: // it is forgotten
		i := slices.Index(m.contents, c)
		m.contents = slices.Delete(m.contents, i, i+1)
		return nil
	}
	if len(c.deliveries) == 0 || random.IntN(4) == 0 && len(c.deliveries) < 12 {
		*check++
		made := script{twice: random.IntN(2) == 0, gone: random.IntN(5) == 0}
		c.deliveries = append(c.deliveries, made.delivery(*check))
	}
	d := c.deliveries[random.IntN(len(c.deliveries))]
	n, replica := random.IntN(len(d.attempts)), random.IntN(2)
	switch {
	case !d.attempts[n].asked:
		return m.reserve(c, d, n, replica)
	case random.IntN(4) == 0:
		if n == 0 && !d.gone {
			return nil // Envoy took this answer
		}
		return m.cancel(d, n, replica)
	default:
		return m.settle(d, []string{"ok", "failed", "unknown"}[random.IntN(3)], replica)
	}
}
