package replay

import (
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Stats is what a store has done and holds.
type Stats struct {
	// Nonces are those held, expired ones that were not swept yet included;
	// Pending are those whose outcome is open; Bytes is the size of the slots.
	Nonces, Pending, Bytes int64
	// Reserved counts reservations, Possible those of them that followed an
	// unknown outcome or may have been forgotten, Adopted the repetitions by Envoy, Redelivered the copies
	// that an operator let through.
	Reserved, Possible, Adopted, Redelivered int64
	// Copies counts second deliveries, InFlight those of open ones.
	Copies, InFlight int64
	// Delivered, Released and Unknown count how reservations ended by the
	// access log; LeaseTaken and LeaseReleased those whose lease ended without
	// a word; GivenBack those of cancelled checks.
	Delivered, Released, Unknown, LeaseTaken, LeaseReleased, GivenBack int64
	// Evicted counts nonces that had to make room, Full refusals for want of it,
	// Uncertain refusals of what may have been forgotten.
	Evicted, Full, Uncertain int64
	// Watermark is the latest time at which an evicted nonce would have
	// expired; zero if nothing was evicted.
	Watermark time.Time
	// LogBytes is the size of the log on disk, LogFailures how often it could
	// not be written; 0 where there is none.
	LogBytes, LogFailures int64
}

// Remote is what a store that lies elsewhere has met since the start.
type Remote struct {
	// Up: calls are made.
	Up bool
	// Opened counts how often calls were stopped since they failed, Refused the
	// calls that were not made then, Busy those that were not made since too many
	// were on their way, Abandoned the reservations whose answer did not come in
	// time.
	Opened, Refused, Busy, Abandoned int64
	// Near counts copies that were known without a call, Local the deliveries
	// that were decided without the store while it was away.
	Near, Local int64
	// Lost counts parts of the store that were empty, Restarted those that may
	// have forgotten, Evicted those that have.
	Lost, Restarted, Evicted int64
	// Elsewhere counts entries of the access log for reservations that another
	// replica made while the store was away, Told those that it could be told.
	Elsewhere, Told int64
}

type counters struct {
	reserved, possible, adopted, redelivered, copies, inFlight atomic.Int64
	delivered, released, unknown, leaseTaken, leaseReleased    atomic.Int64
	givenBack, evictions, full, uncertain, watermark           atomic.Int64
}

func (c *counters) answered(a Answer) {
	switch a.Outcome {
	case Reserved:
		switch {
		case a.Adopted:
			c.adopted.Add(1)
			return
		case a.Mark == authz.MarkPossible:
			c.possible.Add(1)
		}
		c.reserved.Add(1)
	case Copy, CopyUnknown:
		c.copies.Add(1)
	case Pending:
		c.inFlight.Add(1)
	case Full:
		c.full.Add(1)
	case Uncertain:
		c.uncertain.Add(1)
	case Failed:
	}
}

// undone takes back what answered has counted.
func (c *counters) undone(a Answer) {
	if a.Adopted {
		c.adopted.Add(-1)
		return
	}
	c.reserved.Add(-1)
	switch a.Mark {
	case authz.MarkPossible:
		c.possible.Add(-1)
	case authz.MarkRedelivered:
		c.redelivered.Add(-1)
	default:
	}
}

func (c *counters) settled(fate Fate) {
	switch fate {
	case Delivered:
		c.delivered.Add(1)
	case Undelivered:
		c.released.Add(1)
	case Taken, Unsure:
		c.unknown.Add(1)
	case Undecided:
	}
}

func (c *counters) expired(fate Fate) {
	if fate == Unsure {
		c.leaseReleased.Add(1)
	} else {
		c.leaseTaken.Add(1)
	}
}

func (c *counters) evicted(n int, floor time.Time) {
	c.evictions.Add(int64(n))
	for at := floor.UnixNano(); ; {
		before := c.watermark.Load()
		if at <= before || c.watermark.CompareAndSwap(before, at) {
			return
		}
	}
}

// Stats returns what the store has done and holds.
func (m *Memory) Stats() Stats {
	c := &m.counters
	s := Stats{
		Nonces: m.all.nonces.Load(), Pending: m.all.open.Load(), Bytes: m.bytes.Load(),
		Reserved: c.reserved.Load(), Possible: c.possible.Load(), Adopted: c.adopted.Load(), Redelivered: c.redelivered.Load(),
		Copies: c.copies.Load(), InFlight: c.inFlight.Load(),
		Delivered: c.delivered.Load(), Released: c.released.Load(), Unknown: c.unknown.Load(),
		LeaseTaken: c.leaseTaken.Load(), LeaseReleased: c.leaseReleased.Load(), GivenBack: c.givenBack.Load(),
		Evicted: c.evictions.Load(), Full: c.full.Load(), Uncertain: c.uncertain.Load(),
	}
	if at := c.watermark.Load(); at != 0 {
		s.Watermark = time.Unix(0, at)
	}
	return s
}

// Entries returns the number of nonces held, those that have expired and were
// not swept yet included.
func (m *Memory) Entries() int64 { return m.all.nonces.Load() }
