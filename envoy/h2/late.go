package h2

import (
	"sync"
	"sync/atomic"
	"time"
)

// A reader that has more to serve than it has time for is behind, and what it reads then
// has waited where nobody looks: in the system's memory. For how long follows from when it
// has last found nothing more to read: nothing came before that. Where calls have
// had to wait for a while without exception, it is no burst, and those that have waited
// are refused, which costs little, so that the others need not wait. This is the idea of
// CoDel (RFC 8289), with a queue that is not ours.
const (
	// patience is how long a call may have waited to be read while its connection is
	// pressed. Where more connections are pressed than there are processors, their
	// readers take turns, for which nobody can see the calls wait: then they have the
	// time of a turn together, but leastPatience each.
	patience      = 5 * time.Millisecond
	leastPatience = 200 * time.Microsecond
	// calmPatience is that while it is not pressed, or a tenth of the call's time if that
	// is less: what waits so long is answered in time still.
	calmPatience = 100 * time.Millisecond
	// pressedAfter is for how long calls must have waited for longer than that until
	// the connection is pressed, and easedAfter for how long none may have until it no
	// longer is. Of all pressed ones together no more than one call of fewInLate is enough:
	// that is what pauses of a busy machine make late, and would be refused for ever. Each
	// alone does not know: where connections take turns, one may have luck. Between two calls
	// no more than mostOfAStep counts: where the process got no processor, what has gathered
	// is served. Where connections take turns, a step is that much longer.
	pressedAfter = 250 * time.Millisecond
	mostOfAStep  = 25 * time.Millisecond
	easedAfter   = time.Second
	fewInLate    = 4
	// stoodStill is how long a read takes that has waited for its bytes. One that
	// the system interrupts may take as long, which only makes its calls look younger.
	stoodStill = time.Millisecond
)

// may counts one unary call more, and reports whether it may go on: there is a place, and
// it has not waited for too long.
func (c *conn) may(r *request, now time.Time) bool {
	switch {
	case !c.enter(now):
		c.server.met[Places].Add(1)
	case c.late(r, now):
		c.server.met[Late].Add(1)
	default:
		return true
	}
	return false
}

// late reports whether a call whose headers were read now has waited too long.
func (c *conn) late(r *request, now time.Time) bool {
	b, s := &c.input.backlog, c.server
	var limit time.Duration
	switch {
	case b.pressed:
		limit = max(patience*s.processors/s.readers(now), leastPatience)
	case r.timed:
		limit = max(patience, min(r.left/10, calmPatience))
	default:
		limit = calmPatience
	}
	pressed, waits := b.pressed, b.waits(now, limit)
	if !pressed && !waits {
		return false
	}
	second := s.second(now)
	if pressed {
		s.pressed.count(second, waits)
		if s.pressed.few.Load() > b.since {
			b.pressed, b.behind = false, 0
			return false
		}
	}
	if !waits {
		return false
	}
	if b.second != second {
		b.second = second
		s.crowd.join(second)
	}
	late := b.late(now, mostOfAStep*s.readers(now)/s.processors)
	if late && !pressed {
		b.since = second
	}
	return late
}

// second counts from 1.
func (s *Server) second(now time.Time) int64 { return int64(now.Sub(s.born)/time.Second) + 1 }

// readers is how many connections take turns, or the number of processors if none need to.
func (s *Server) readers(now time.Time) time.Duration {
	return max(time.Duration(s.crowd.size(s.second(now))), s.processors)
}

// crowd counts the connections on which a call has waited for too long in this second or
// the one before. It is safe for concurrent use.
type crowd struct {
	known     atomic.Int64 // second<<32 | the larger of both counts
	mu        sync.Mutex
	now       int64 // the second that is counted
	here, was int64 // so many in it, and in the one before
}

// join counts one connection, once in a second.
func (c *crowd) join(second int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case second == c.now+1:
		c.was, c.here, c.now = c.here, 0, second
	case second > c.now:
		c.was, c.here, c.now = 0, 0, second
	}
	c.here++
	c.known.Store(c.now<<32 | max(c.here, c.was))
}

// size is how many there are.
func (c *crowd) size(second int64) int64 {
	known := c.known.Load()
	if second > known>>32+1 {
		return 0
	}
	return known & (1<<32 - 1)
}

// toll counts calls of pressed connections in one second. It is safe for concurrent use;
// what is counted while a second ends may count for either.
type toll struct {
	second, calls, late atomic.Int64
	few                 atomic.Int64 // the last second of which few calls were late
}

func (t *toll) count(second int64, late bool) {
	if at := t.second.Load(); second > at && t.second.CompareAndSwap(at, second) {
		if calls := t.calls.Swap(0); t.late.Swap(0)*fewInLate <= calls && calls > 0 {
			t.few.Store(at)
		}
	}
	t.calls.Add(1)
	if late {
		t.late.Add(1)
	}
}

const (
	// kernelBuffer is more than the system mostly keeps of what a peer has sent: what is
	// read now has come after what lies so far before it was read.
	kernelBuffer = 8 << 20
	marks        = 32
	markBytes    = kernelBuffer / marks
)

// backlog tells how long calls have waited to be read. Only what the reader does with calls
// counts as waiting, and not what the system takes to hand over bytes. It is the reader's
// alone.
type backlog struct {
	ended time.Time     // of the last read
	work  time.Duration // of the reader, without reading
	bytes int64         // that were read
	// empty is the work that was done when there was last nothing more to read, came when
	// what was read last can have come, and marked at each so many bytes.
	empty, came time.Duration
	marked      [marks]time.Duration

	waited  time.Time     // when a call had last waited too long
	behind  time.Duration // for how long all have
	second  int64         // in which it last joined the crowd
	pressed bool
	since   int64 // the second in which it became pressed
}

// read notes that so many bytes were read from began to ended, and whether that left
// nothing.
func (b *backlog) read(began, ended time.Time, n int, all bool) {
	if !b.ended.IsZero() {
		b.work += began.Sub(b.ended)
	}
	b.ended = ended
	from := b.bytes / markBytes
	b.bytes += int64(n)
	for at := from + 1; at <= b.bytes/markBytes; at++ {
		b.marked[at%marks] = b.work
	}
	if ended.Sub(began) >= stoodStill {
		b.empty = b.work // nothing was there yet
	}
	b.came = max(b.empty, b.marked[(b.bytes/markBytes+1)%marks])
	if all {
		b.empty = b.work
	}
}

// waits reports whether a call that is looked at now has waited for longer than that.
func (b *backlog) waits(now time.Time, limit time.Duration) bool {
	if b.work+now.Sub(b.ended)-b.came > limit {
		return true
	}
	b.behind = 0
	if b.pressed && now.Sub(b.waited) > easedAfter {
		b.pressed = false
	}
	return false
}

// late notes a call that has waited for too long, of which the time since the last one
// counts up to a step, and reports whether it is refused.
func (b *backlog) late(now time.Time, step time.Duration) bool {
	if b.behind == 0 {
		b.behind = 1 // it begins
	} else {
		b.behind += min(now.Sub(b.waited), step)
	}
	b.waited = now
	b.pressed = b.pressed || b.behind >= pressedAfter
	return b.pressed
}
