package logwatch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
)

var start = time.Unix(1_800_000_000, 0)

// site is a watch on a clock of the test, swept each second.
type site struct {
	*logwatch.Watch
	t       *testing.T
	now     time.Time
	id      uint64
	changes []logwatch.Node
	peers   map[string]int
}

func watched(t *testing.T, config logwatch.Config) *site {
	s := &site{t: t, now: start, peers: map[string]int{"a": 1, "b": 1}}
	config.Peers = func() map[string]int { return s.peers }
	config.OnChange = func(n logwatch.Node) { s.changes = append(s.changes, n) }
	s.Watch = logwatch.New(config)
	return s
}

// deliver lets an Envoy be allowed a delivery.
func (s *site) deliver(envoy string) (r authz.Reservation, ask bool) {
	s.id++
	r = authz.Reservation{ID: s.id, Ends: s.now.Add(time.Minute).UnixNano()}
	return r, s.Expect(envoy, r, s.now)
}

// comes is the entry of a delivery.
func (s *site) comes(envoy string, r authz.Reservation, took time.Duration) {
	s.Message(envoy, nil, s.now)
	s.Heard(r)
	s.Entry(envoy, took, s.now)
}

// later lets time pass.
func (s *site) later(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(min(time.Second, end.Sub(s.now)))
		s.Sweep(s.t.Context(), s.now)
	}
}

func (s *site) node(envoy string) logwatch.Node {
	for _, n := range s.Nodes() {
		if n.Address == envoy {
			return n
		}
	}
	return logwatch.Node{}
}

func (s *site) is(what, envoy string, lost bool) {
	s.t.Helper()
	if n := s.node(envoy); !n.Judged || n.Lost != lost {
		s.t.Errorf("%s: %+v", what, n)
	}
}

// An Envoy whose entries do not come is told of within ten seconds, once, and when they
// come again.
func TestLostAndFound(t *testing.T) {
	s := watched(t, logwatch.Config{})
	for range 5 {
		r, ask := s.deliver("a")
		if ask {
			t.Error("every delivery is logged, and one was asked for")
		}
		s.comes("a", r, 0)
		s.later(time.Second)
	}
	s.later(10 * time.Second)
	s.is("all came", "a", false)
	cut := s.now
	for len(s.changes) == 0 && s.now.Sub(cut) < 10*time.Second {
		s.deliver("a")
		s.later(time.Second)
	}
	if len(s.changes) != 1 || !s.changes[0].Lost || !s.changes[0].Since.Equal(cut) || s.changes[0].Missing == 0 {
		t.Fatalf("%s after the cut: %+v", s.now.Sub(cut), s.changes)
	}
	for range 20 {
		s.deliver("a")
		s.later(time.Second)
	}
	s.is("still lost", "a", true)
	for range 30 {
		r, _ := s.deliver("a")
		s.comes("a", r, 0)
		s.later(time.Second)
	}
	if s.is("found", "a", false); len(s.changes) != 2 || s.changes[1].Lost {
		t.Errorf("%+v", s.changes)
	}
	if n := s.node("a"); n.Expected < 60 || n.Entries != 35 || n.Missing < 20 {
		t.Errorf("%+v", n)
	}
}

func TestWhenItIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		deliveries, missing int // in this order: missing ones are spread evenly
		stream              bool
		other               bool // an entry comes that is about nothing of ours
		took                time.Duration
		lost                bool
	}{
		"one, and no stream":                 {deliveries: 1, missing: 1, lost: true},
		"one, which may have left by itself": {deliveries: 1, missing: 1, stream: true, other: true},
		"one, and nothing at all since":      {deliveries: 1, missing: 1, stream: true, lost: true},
		"two":                                {deliveries: 2, missing: 2, stream: true, lost: true},
		"one of many":                        {deliveries: 30, missing: 1, stream: true, other: true},
		"one of ten":                         {deliveries: 30, missing: 3, stream: true, other: true},
		"one of four workers":                {deliveries: 40, missing: 10, stream: true, lost: true},
		"all":                                {deliveries: 40, missing: 40, stream: true, lost: true},
		"none":                               {deliveries: 40, stream: true},
		"none, without a stream":             {deliveries: 40}, // at another replica, which told the store
	} {
		t.Run(name, func(t *testing.T) {
			s := watched(t, logwatch.Config{})
			if c.stream {
				defer s.Stream("a")()
			}
			for i := range c.deliveries {
				r, _ := s.deliver("a")
				if c.missing == 0 || i*c.missing/c.deliveries == (i+1)*c.missing/c.deliveries {
					s.comes("a", r, 0)
				}
				s.now = s.now.Add(250 * time.Millisecond)
			}
			if c.other {
				s.Message("a", nil, s.now)
			}
			s.later(9 * time.Second)
			s.is(name, "a", c.lost)
			if s.node("b").Judged {
				t.Error("another is judged by it")
			}
		})
	}
}

// Of what takes long the entry is late, and that is learned. What came late has come.
func TestSlowApplications(t *testing.T) {
	s := watched(t, logwatch.Config{})
	defer s.Stream("a")()
	under := map[time.Time][]authz.Reservation{}
	for range 90 {
		r, _ := s.deliver("a")
		under[s.now] = append(under[s.now], r)
		s.later(time.Second)
		for _, r := range under[s.now.Add(-20*time.Second)] {
			s.comes("a", r, 20*time.Second)
		}
	}
	if s.is("answers after 20 s", "a", false); len(s.changes) > 2 { // the first could not be known
		t.Errorf("%d changes", len(s.changes))
	}
	told := len(s.changes)
	for range 30 {
		s.deliver("a")
		s.later(time.Second)
	}
	if s.is("lost", "a", true); len(s.changes) != told+1 {
		t.Errorf("%+v", s.changes[told:])
	}
}

// Where only failures are logged, answers ask for the entries of a few, and only these are
// waited for.
func TestOnlyFailures(t *testing.T) {
	s := watched(t, logwatch.Config{OnlyFailures: true})
	asked := 0
	for i := range 400 { // 40 a second
		r, ask := s.deliver("a")
		if ask {
			asked++
			s.comes("a", r, 0)
		}
		if i%40 == 39 {
			s.later(time.Second)
		}
	}
	s.later(8 * time.Second)
	if s.is("all that were asked for", "a", false); asked != 10 || s.node("a").Expected != 10 {
		t.Errorf("%d were asked for, %+v", asked, s.node("a"))
	}
	s.deliver("a")
	s.Message("a", nil, s.now.Add(time.Millisecond)) // of a failure
	s.later(9 * time.Second)
	s.is("one that was asked for", "a", false)
	s.deliver("a")
	s.later(9 * time.Second)
	s.is("another one, and nothing since", "a", true)
}

// Entries may come to another replica. The store knows, or nobody does.
func TestEntriesElsewhere(t *testing.T) {
	settled, down := true, false
	questions := 0
	s := watched(t, logwatch.Config{Open: func(context.Context, authz.Reservation, time.Time) (bool, error) {
		questions++
		if down {
			return false, errors.New("away")
		}
		return !settled, nil
	}})
	deliver := func() {
		for range 10 {
			s.deliver("a")
			s.later(time.Second)
		}
	}
	deliver()
	if s.is("settled elsewhere", "a", false); questions == 0 {
		t.Error("the store was not asked")
	}
	down = true
	deliver()
	s.is("a store that is away", "a", false)
	down, settled = false, false
	s.later(10 * time.Second)
	deliver()
	s.is("settled nowhere", "a", true)
}

// Who has gone took its entries along; who is connected has lost them.
func TestGoneEnvoys(t *testing.T) {
	s := watched(t, logwatch.Config{})
	for range 3 {
		s.deliver("a")
		s.deliver("b")
		s.later(time.Second)
	}
	delete(s.peers, "a")
	s.later(10 * time.Second)
	if s.is("it is there", "b", true); s.node("a").Judged {
		t.Errorf("it has gone: %+v", s.node("a"))
	}
	delete(s.peers, "b")
	s.later(50 * time.Minute)
	s.is("it was judged before", "b", true)
	s.later(time.Hour)
	if all := s.Nodes(); len(all) != 0 {
		t.Errorf("remembered: %+v", all)
	}
}

// A clock that is set back by an hour keeps it from nothing.
func TestClockSetBack(t *testing.T) {
	s := watched(t, logwatch.Config{})
	for range 3 {
		r, _ := s.deliver("a")
		s.comes("a", r, 0)
		s.later(time.Second)
	}
	s.now = s.now.Add(-time.Hour)
	s.later(10 * time.Second)
	for range 4 {
		s.deliver("a")
		s.later(time.Second)
	}
	s.later(8 * time.Second)
	s.is("lost after it", "a", true)
}

// What was taken back is not waited for.
func TestWithdrawn(t *testing.T) {
	s := watched(t, logwatch.Config{})
	for range 5 {
		r, _ := s.deliver("a")
		s.Withdraw("a", r)
		s.later(time.Second)
	}
	s.later(10 * time.Second)
	if n := s.node("a"); n.Judged || n.Expected != 0 {
		t.Errorf("%+v", n)
	}
}

// Strangers cannot make it large: neither by addresses nor by names nor by deliveries.
func TestBounds(t *testing.T) {
	s := watched(t, logwatch.Config{})
	s.peers = nil
	for i := range 1000 {
		s.deliver(fmt.Sprintf("10.0.%d.%d", i/256, i%256))
	}
	s.Message("10.0.0.1", fmt.Appendf(nil, "envoy\"\n\x1b[2J%01000d", 7), start)
	all := s.Nodes()
	if len(all) != 257 || s.node(logwatch.Others).Expected != 744 {
		t.Errorf("%d nodes, %d in others", len(all), s.node(logwatch.Others).Expected)
	}
	if id := s.node("10.0.0.1").ID; len(id) != 128 || id[:9] != "envoy[2J0" {
		t.Errorf("%q", id)
	}
	for range 100_000 { // all in a moment: one is watched
		s.deliver("10.0.0.2")
	}
	s.later(9 * time.Second)
	if n := s.node("10.0.0.2"); n.Missing != 1 || n.Expected != 100_001 {
		t.Errorf("%+v", n)
	}
	var none *logwatch.Watch
	none.Expect("a", authz.Reservation{}, start)
	none.Stream("a")()
	none.Heard(authz.Reservation{})
	none.Entry("a", 0, start)
	none.Message("a", []byte("x"), start)
	none.Withdraw("a", authz.Reservation{})
	none.Sweep(t.Context(), start)
	if none.Nodes() != nil {
		t.Error("a watch of nobody knows somebody")
	}
}

func TestConcurrentUse(t *testing.T) {
	w := logwatch.New(logwatch.Config{})
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			defer w.Stream("a")()
			for i := range 2000 {
				at := start.Add(time.Duration(i) * 100 * time.Millisecond)
				r := authz.Reservation{ID: uint64(worker*10_000 + i + 1)}
				w.Expect("a", r, at)
				w.Message("a", []byte("envoy"), at)
				w.Heard(r)
				w.Entry("a", time.Millisecond, at)
				if i%10 == 0 && worker == 0 {
					w.Sweep(t.Context(), at)
				}
				w.Nodes()
			}
		})
	}
	all.Wait()
	w.Sweep(t.Context(), start.Add(time.Hour))
	if n := w.Nodes(); len(n) != 1 || n[0].Lost || n[0].Entries != 8000 || n[0].Streams != 0 {
		t.Errorf("%+v", n)
	}
}

// BenchmarkExpect is what a watch costs each delivery that is allowed.
func BenchmarkExpect(b *testing.B) {
	w := logwatch.New(logwatch.Config{})
	now := start
	b.RunParallel(func(pb *testing.PB) {
		for i := uint64(1); pb.Next(); i++ {
			w.Expect("10.0.0.1", authz.Reservation{ID: i}, now)
		}
	})
}
