package redis

import (
	"sync/atomic"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

type counters struct {
	reserved, possible, adopted, redelivered, copies        atomic.Int64
	delivered, released, unknown, leaseTaken, leaseReleased atomic.Int64
	givenBack, full, uncertain                              atomic.Int64
	opened, refused, busy, near, abandoned, lost, restarted atomic.Int64
	evicted, elsewhere, told                                atomic.Int64
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
		case a.Mark == authz.MarkRedelivered:
			c.redelivered.Add(1)
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

// endedLease counts a lease that a script found to be over.
func (c *counters) endedLease(what int64) {
	switch what {
	case 1:
		c.leaseTaken.Add(1)
	case 2:
		c.leaseReleased.Add(1)
	}
}

// Stats returns what this replica has done. What Redis holds, Redis tells.
func (s *Store) Stats() replay.Stats {
	c := &s.counters
	return replay.Stats{
		Reserved: c.reserved.Load(), Possible: c.possible.Load(), Adopted: c.adopted.Load(), Redelivered: c.redelivered.Load(),
		Copies:    c.copies.Load(),
		Delivered: c.delivered.Load(), Released: c.released.Load(), Unknown: c.unknown.Load(),
		LeaseTaken: c.leaseTaken.Load(), LeaseReleased: c.leaseReleased.Load(), GivenBack: c.givenBack.Load(),
		Full: c.full.Load(), Uncertain: c.uncertain.Load(),
	}
}

// Remote returns what this replica has met of Redis.
func (s *Store) Remote() replay.Remote {
	c := &s.counters
	return replay.Remote{
		Up: s.refuses() == nil, Opened: c.opened.Load(), Refused: c.refused.Load(), Busy: c.busy.Load(), Abandoned: c.abandoned.Load(),
		Near: c.near.Load(), Lost: c.lost.Load(), Restarted: c.restarted.Load(), Evicted: c.evicted.Load(),
		Elsewhere: c.elsewhere.Load(), Told: c.told.Load(), Dropped: s.later.dropped.Load(),
	}
}
