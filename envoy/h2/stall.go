package h2

import (
	"cmp"
	"slices"
	"time"
)

// Whoever announces a message and does not send it holds room that others need. As
// long as nobody needs it, it may take its time; and then the slowest lose it.
const (
	// stallTime is how long the beginning of a message may take anyhow.
	stallTime = 100 * time.Millisecond
	// leastRate is how many bytes of it must have come for each second since room
	// was found for it. A peer on the same network sends a hundred times that.
	leastRate = 1 << 20
	// scanStep is how often those who need room look for the slowest.
	scanStep = 20 * time.Millisecond
	// stalledTime is for how long a connection is known for such messages. It is
	// not waited for room for its next ones.
	stalledTime = 10 * time.Second
	// maxEnded is how many calls are ended at once for their number.
	maxEnded = 64
)

// slow is a call whose message comes slowly.
type slow struct {
	call    *Call
	rate    float64 // bytes for each second
	charged int64
	since   time.Time
}

// slowness tells how slowly the message of a call comes. It is not slow while it
// waits for room itself.
func (c *Call) slowness(now time.Time) (s slow, ok bool) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	age, least := now.Sub(c.since), stallTime
	if c.conn.stalled(now) {
		least /= 10
	}
	if c.running || c.released || c.waiting || c.uncounted || age < least {
		return slow{}, false
	}
	s = slow{c, float64(c.got) / age.Seconds(), c.charged, c.since}
	return s, s.rate < leastRate
}

// slowCalls returns the calls whose messages come slowly, the slowest first.
func (s *Server) slowCalls(now time.Time) []slow {
	var calls []*Call
	s.mu.Lock()
	for c := range s.conns {
		c.mu.Lock()
		for _, call := range c.calls {
			if call.method.Unary && !call.finishing {
				calls = append(calls, call)
			}
		}
		c.mu.Unlock()
	}
	s.mu.Unlock()
	var found []slow
	for _, call := range calls {
		if one, ok := call.slowness(now); ok {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b slow) int {
		return cmp.Or(cmp.Compare(a.rate, b.rate), a.since.Compare(b.since), cmp.Compare(a.call.id, b.call.id))
	})
	return found
}

// evict refuses the calls whose messages come slowest, until they give back so many
// bytes, or, if that is 0, places of calls. It reports whether there were any. Who
// comes while another one does so need not.
func (s *Server) evict(now time.Time, bytes int64) bool {
	if !s.scanning.TryLock() {
		return false
	}
	defer s.scanning.Unlock()
	if now.Sub(s.scanned) < scanStep/2 {
		return false
	}
	s.scanned = now
	ended := 0
	for _, one := range s.slowCalls(now) {
		if bytes > 0 && one.charged == 0 || !one.call.expire() {
			continue
		}
		one.call.conn.stalledUntil.Store(now.Add(stalledTime).UnixNano())
		if ended++; ended >= maxEnded {
			break
		}
		if bytes > 0 {
			if bytes -= one.charged; bytes <= 0 {
				break
			}
		}
	}
	return ended > 0
}

// stalled reports whether the connection has had messages that did not come.
func (c *conn) stalled(now time.Time) bool { return now.UnixNano() < c.stalledUntil.Load() }
