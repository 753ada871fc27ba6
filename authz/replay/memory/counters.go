package memory

import (
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

type counters struct {
	reserved, possible, adopted, redelivered, copies        atomic.Int64
	delivered, released, unknown, leaseTaken, leaseReleased atomic.Int64
	givenBack, evictions, full, uncertain, watermark        atomic.Int64
}

func (c *counters) answered(a replay.Answer) {
	switch a.Outcome {
	case replay.Reserved:
		switch {
		case a.Adopted:
			c.adopted.Add(1)
			return
		case a.Mark == authz.MarkPossible:
			c.possible.Add(1)
		}
		c.reserved.Add(1)
	case replay.Copy, replay.CopyUnknown:
		c.copies.Add(1)
	case replay.Full:
		c.full.Add(1)
	case replay.Uncertain:
		c.uncertain.Add(1)
	case replay.Pending, replay.Failed, replay.Busy: // the check asks again, and counts once
	}
}

// undone takes back what answered has counted.
func (c *counters) undone(a replay.Answer) {
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

func (c *counters) settled(fate replay.Fate) {
	switch fate {
	case replay.Delivered:
		c.delivered.Add(1)
	case replay.Undelivered:
		c.released.Add(1)
	case replay.Taken, replay.Unsure:
		c.unknown.Add(1)
	case replay.Undecided:
	}
}

func (c *counters) expired(fate replay.Fate) {
	if fate == replay.Unsure {
		c.leaseReleased.Add(1)
	} else {
		c.leaseTaken.Add(1)
	}
}

func (c *counters) evicted(n int, watermark time.Time) {
	c.evictions.Add(int64(n))
	for at := watermark.UnixNano(); ; {
		before := c.watermark.Load()
		if at <= before || c.watermark.CompareAndSwap(before, at) {
			return
		}
	}
}

// Stats returns what the store has done and holds.
func (m *Store) Stats() replay.Stats {
	c := &m.counters
	s := replay.Stats{
		Nonces: m.all.nonces.Load(), Pending: m.all.open.Load(), Bytes: m.bytes.Load(),
		Reserved: c.reserved.Load(), Possible: c.possible.Load(), Adopted: c.adopted.Load(), Redelivered: c.redelivered.Load(),
		Copies:    c.copies.Load(),
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
func (m *Store) Entries() int64 { return m.all.nonces.Load() }
