package memory

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// clock is what a store knows of the times that it is told.
type clock struct {
	// latest is the latest time, or a little before it, guard the latest time before
	// which deliveries may be forgotten, and behind since when all times have been
	// far behind the latest. All are nanoseconds since 1970, or 0.
	latest, guard, behind atomic.Int64
	// turns counts how often the clock was found to have gone back.
	turns atomic.Int64
	// onTurn is told of it.
	onTurn func(now time.Time)
}

const (
	// latestStep is how exact the latest time is.
	latestStep = int64(100 * time.Millisecond)
	// turnAfter is by how much the clock must have gone back. To begin again costs
	// as much as to wait for that long.
	turnAfter = int64(replay.Skew + time.Minute)
	// behindFor is for how long all times must be behind: a call that was held up
	// has an old time, too.
	behindFor = int64(time.Second)
	// maxTurns bounds the tables that turns leave behind.
	maxTurns = 256
)

// Guard says that what came before may be forgotten, as before the start of an
// empty store. Deliveries with a signed time that could have come before are
// refused, and others marked as possible, until none could be known any more.
func (m *Store) Guard(before time.Time) {
	if before.IsZero() {
		return
	}
	for at := before.UnixNano(); ; {
		was := m.clock.guard.Load()
		if at <= was || m.clock.guard.CompareAndSwap(was, at) {
			return
		}
	}
}

// Guarded is the time that Guard was given last; zero if there was none.
func (m *Store) Guarded() time.Time {
	if at := m.clock.guard.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

func (m *Store) guarded(nonce *replay.Nonce) bool {
	if nonce.Signed.IsZero() {
		return false
	}
	guard := m.clock.guard.Load()
	return guard != 0 && nonce.CouldHaveCome().UnixNano() <= guard
}

// doubted reports whether a nonce of which nothing is known may have been
// forgotten, though it is accepted.
func (m *Store) doubted(nonce *replay.Nonce, now time.Time) bool {
	guard := m.clock.guard.Load()
	return nonce.Doubtful || guard != 0 && nonce.Doubted(time.Unix(0, guard), now)
}

// told notices when the clock was ahead and has gone back.
// What the wrong clock took for expired may be forgotten, so that deliveries
// with a signed time that could have come before are uncertain, and others are
// marked; without a new beginning all would be uncertain, until the clock is where
// it was. What was accepted by the wrong clock stays in tables of its own.
func (m *Store) told(now time.Time) {
	c, at := &m.clock, now.UnixNano()
	latest := c.latest.Load()
	switch behind := c.behind.Load(); {
	case at > latest-turnAfter:
		if behind != 0 {
			c.behind.Store(0)
		}
		for at > latest+latestStep && !c.latest.CompareAndSwap(latest, at) {
			latest = c.latest.Load()
		}
	case behind == 0 || at < behind:
		c.behind.Store(at)
	case at-behind >= behindFor && c.turns.Load() < maxTurns:
		m.turn(now, latest)
	}
}

// turn begins again with the clock that went back from the latest time.
func (m *Store) turn(now time.Time, latest int64) {
	m.mu.Lock()
	if !m.clock.latest.CompareAndSwap(latest, now.UnixNano()) {
		m.mu.Unlock()
		return // another call was faster
	}
	m.clock.behind.Store(0)
	m.Guard(now)
	m.forgotten.Store(0)
	m.clock.turns.Add(1)
	partitions := slices.Clone(m.order)
	m.mu.Unlock()
	for _, pt := range partitions {
		for i := range pt.stripes {
			pt.stripes[i].shift(latest, now.UnixNano()-latest)
		}
	}
	if m.clock.onTurn != nil {
		m.clock.onTurn(now)
	}
}

// shift moves the leases that end after a time: those of a clock that was ahead.
func (st *stripe) shift(after, by int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.open.shift(after, by)
}

// OnTurn has f told when the clock has gone back, under no lock. It may not be
// called once the store is in use.
func (m *Store) OnTurn(f func(now time.Time)) { m.clock.onTurn = f }

// empty gives back the slots of a part of a table to which nothing is added any
// more, if it holds nothing. Its stripe is locked.
func (m *Store) empty(p *part) {
	bytes := int64(0)
	for i, s := range p.segments {
		if s.count > 0 {
			return
		}
		if i == 0 || s != p.segments[i-1] {
			bytes += s.size()
		}
	}
	m.bytes.Add(-bytes)
	*p = part{}
}
