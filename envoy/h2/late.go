package h2

import "time"

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
	// longer is. Between two calls no more than mostOfAStep counts: where the process
	// got no processor, what has gathered is served.
	pressedAfter = 250 * time.Millisecond
	mostOfAStep  = 25 * time.Millisecond
	easedAfter   = time.Second
	// stoodStill is how long a read takes that has waited for its bytes. One that
	// the system interrupts may take as long, which only makes its calls look younger.
	stoodStill = time.Millisecond
)

// may counts one unary call more, and reports whether it may go on: there is a place, and
// it has not waited for too long.
func (c *conn) may(r *request, now time.Time) bool {
	switch {
	case !c.enter():
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
	limit, before := patience, b.pressed
	n := time.Duration(s.pressed.Load())
	switch {
	case !before && r.timed:
		limit = max(patience, min(r.left/10, calmPatience))
	case !before:
		limit = calmPatience
	case n > s.processors:
		limit = max(patience*s.processors/n, leastPatience)
	}
	late := b.late(now, limit)
	if b.pressed != before {
		c.countPressed(b.pressed)
	}
	return late
}

func (c *conn) countPressed(pressed bool) {
	if pressed {
		c.server.pressed.Add(1)
	} else {
		c.server.pressed.Add(-1)
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
	pressed bool
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

// late reports whether a call that is looked at now has waited for longer than that.
func (b *backlog) late(now time.Time, limit time.Duration) bool {
	if b.work+now.Sub(b.ended)-b.came <= limit {
		b.behind = 0
		if b.pressed && now.Sub(b.waited) > easedAfter {
			b.pressed = false
		}
		return false
	}
	if b.behind == 0 {
		b.behind = 1 // it begins
	} else {
		b.behind += min(now.Sub(b.waited), mostOfAStep)
	}
	b.waited = now
	b.pressed = b.pressed || b.behind >= pressedAfter
	return b.pressed
}
