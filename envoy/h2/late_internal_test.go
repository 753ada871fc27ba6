package h2

import (
	"testing"
	"time"
)

// callBytes is what a call of 1 KiB takes.
const callBytes = 2300

// served is a reader of one connection: each step reads, and takes so long for each of
// some calls.
type served struct {
	t       *testing.T
	now     time.Time
	backlog backlog
	refused int
	served  int
}

// batch reads so many calls, all that there are or not, and serves those that are not
// late, each in that time.
func (s *served) batch(calls int, all bool, each time.Duration) {
	s.backlog.read(s.now, s.now, calls*callBytes, all)
	for range calls {
		if s.backlog.waits(s.now, patience) && s.backlog.late(s.now, mostOfAStep) {
			s.refused++
			continue
		}
		s.served++
		s.now = s.now.Add(each)
	}
}

// rests waits for the peer, which then sends something.
func (s *served) rests(length time.Duration) {
	began := s.now
	s.now = s.now.Add(length)
	s.backlog.read(began, s.now, 1, true)
}

func TestOnlyWhatLastsIsOverload(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      func(s *served)
		refused bool
	}{
		{"a little after long silence", func(s *served) { s.rests(time.Hour); s.batch(10, true, time.Millisecond/10) }, false},
		{"always a little", func(s *served) {
			for range 10_000 {
				s.batch(10, true, time.Millisecond/10)
				s.rests(time.Millisecond)
			}
		}, false},
		{"large calls one by one, whose reads are never short", func(s *served) {
			for range 1000 {
				began := s.now
				s.now = s.now.Add(10 * time.Millisecond)
				s.backlog.read(began, s.now, blockSize, false)
				s.batch(1, false, 5*time.Millisecond)
			}
		}, false},
		{"a burst of 90 ms", func(s *served) {
			s.batch(0, true, 0)
			for range 9 {
				s.batch(10, false, time.Millisecond)
			}
		}, false},
		{"bursts, and a pause after each", func(s *served) {
			for range 100 {
				for range 9 {
					s.batch(10, false, time.Millisecond)
				}
				s.batch(0, true, 0)
				s.rests(10 * time.Millisecond)
				s.batch(1, true, time.Millisecond)
			}
		}, false},
		{"no processor for a second, and what gathered meanwhile", func(s *served) {
			s.batch(1, true, time.Millisecond)
			s.now = s.now.Add(time.Second)
			for range 10 {
				s.batch(50, false, time.Millisecond/10)
			}
		}, false},
		{"a call of a second before others", func(s *served) {
			s.batch(1, false, time.Second)
			s.batch(50, false, time.Millisecond)
		}, false},
		{"large messages without an end, faster than they are read", func(s *served) {
			for range 1_000_000 {
				s.backlog.read(s.now, s.now.Add(50*time.Microsecond), blockSize, false)
				s.now = s.now.Add(55 * time.Microsecond)
				if s.backlog.waits(s.now, patience) && s.backlog.late(s.now, mostOfAStep) {
					s.refused++
				}
			}
		}, false},
		{"more than can be served", func(s *served) {
			for range 100 {
				s.batch(40, false, time.Millisecond/10)
			}
		}, true},
		{"more, in parts that each are all", func(s *served) {
			for range 100 {
				s.batch(100, true, time.Millisecond/10)
			}
		}, true},
	} {
		s := &served{t: t, now: time.Unix(1_800_000_000, 0)}
		if c.do(s); (s.refused > 0) != c.refused {
			t.Errorf("%s: %d refused, %d served", c.name, s.refused, s.served)
		}
	}
}

// While a connection is pressed, it serves as long as nobody has waited, and goes back to
// patience when that has been so for a second.
func TestPressedConnectionsServeWhatIsFresh(t *testing.T) {
	s := &served{t: t, now: time.Unix(1_800_000_000, 0)}
	for range 200 {
		s.batch(40, false, time.Millisecond/10)
	}
	if s.refused == 0 {
		t.Fatal("nothing was refused")
	}
	// Four times as much as can be served comes, and to refuse costs nothing here.
	served, refused, before := s.served, s.refused, s.now
	for from := s.now; s.now.Sub(before) < 2*time.Second; {
		arrived := int(s.now.Sub(from) / (25 * time.Microsecond))
		from = s.now
		if arrived == 0 {
			s.rests(time.Millisecond)
			continue
		}
		s.batch(arrived, true, time.Millisecond/10)
		for range 10 {
			s.now = s.now.Add(time.Microsecond)
		}
	}
	served, refused = s.served-served, s.refused-refused
	if served < 18_000 || refused < 2*served {
		t.Errorf("%d served and %d refused of 80,000 in two seconds, of which 20,000 can be served", served, refused)
	}
	s.rests(500 * time.Millisecond)
	s.batch(1, true, time.Millisecond)
	s.rests(600 * time.Millisecond)
	s.batch(1, true, time.Millisecond)
	refused = s.refused
	s.batch(100, false, time.Millisecond/10) // a burst
	s.batch(100, false, time.Millisecond/10)
	if s.refused != refused {
		t.Error("a burst is refused after a second without any wait")
	}
}

// A machine that is busy with other things makes some calls late for ever. A connection
// that was pressed does not go on to refuse them when there is room for all; where there is
// not, it does, and however lucky it is itself.
func TestPausesKeepNoConnectionPressed(t *testing.T) {
	for late, eases := range map[int]bool{0: true, 5: true, 25: true, 35: false, 80: false} { // of 100 on all
		now := time.Unix(1_800_000_000, 0)
		s := &Server{processors: 1, born: now}
		c := &conn{server: s}
		c.input.backlog.pressed, c.input.backlog.since = true, 1
		for i := range 10_000 { // 3 s
			now = now.Add(300 * time.Microsecond)
			s.pressed.count(s.second(now), i%100 < late)
			if i%1000 == 999 { // few of its own, and some always are
				c.input.backlog.ended, c.input.backlog.work, c.input.backlog.came = now, time.Second, 0
				c.late(&request{}, now)
			}
		}
		if c.input.backlog.pressed == eases {
			t.Errorf("%d of 100 are late: pressed %t", late, !eases)
		}
	}
}

func TestACrowdIsOfThisSecondAndTheOneBefore(t *testing.T) {
	var c crowd
	for _, step := range []struct{ joins, second, size int64 }{
		{0, 1, 0}, {3, 1, 3}, {1, 2, 3}, {0, 3, 3}, {2, 3, 2}, {0, 5, 0}, {1, 5, 1}, {1, 9, 1},
	} {
		for range step.joins {
			c.join(step.second)
		}
		if size := c.size(step.second); size != step.size {
			t.Errorf("second %d: %d, not %d", step.second, size, step.size)
		}
	}
}

// Eight connections that ask for too much and take turns on one processor are all pressed
// within half a second, though each serves calls for an eighth of that only.
func TestConnectionsThatTakeTurns(t *testing.T) {
	const connections, turn = 8, 10 * time.Millisecond
	now := time.Unix(1_800_000_000, 0)
	s := &Server{processors: 1, born: now}
	var conns []*conn
	for range connections {
		conns = append(conns, &conn{server: s})
	}
	for began := now; now.Sub(began) < 500*time.Millisecond; {
		for _, c := range conns {
			b := &c.input.backlog
			b.read(now, now, 40*callBytes, false)
			for from := now; now.Sub(from) < turn; now = now.Add(time.Millisecond) {
				c.late(&request{}, now)
			}
		}
	}
	for i, c := range conns {
		if !c.input.backlog.pressed {
			t.Errorf("connection %d is not pressed", i)
		}
	}
	if n := s.readers(now); n != connections {
		t.Errorf("%d take turns", n)
	}
}
