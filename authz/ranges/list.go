package ranges

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
)

// List is what a policy names: a document, or one service of it. It is safe for
// concurrent use.
type List struct {
	// Name is as policies write it: github, or aws:EVENTBRIDGE.
	Name string

	of      *Document
	service *Service
	keeper  *Keeper
	fetched *fetch.Document // nil: the snapshot is all that there is
}

// Document is what it is of.
func (l *List) Document() *Document { return l.of }

// Contains reports whether an address, unmapped and without a zone, is in the list; known
// is false where nothing has been fetched yet, and nothing can be said.
func (l *List) Contains(a netip.Addr, now time.Time) (in, known bool) {
	set, _ := l.current(now)
	if set == nil {
		return false, false
	}
	return set.Contains(a), true
}

// Set returns the networks in force; nil if there are none yet.
func (l *List) Set(now time.Time) *Set {
	set, _ := l.current(now)
	return set
}

// current are the networks in force, and when they were said to be so.
func (l *List) current(now time.Time) (*Set, time.Time) {
	if l.fetched == nil {
		return l.service.Snapshot, l.of.Read
	}
	return l.newest(l.fetched.Load(now))
}

// newest is the snapshot, or what was fetched where that is newer: a newer program may
// bring a newer snapshot than the disk has.
func (l *List) newest(v *fetch.Version) (*Set, time.Time) {
	if v == nil || l.service.Snapshot != nil && v.Confirmed.Before(l.of.Read) {
		if l.service.Snapshot == nil {
			return nil, time.Time{}
		}
		return l.service.Snapshot, l.of.Read
	}
	set, _ := v.Value.(*Set)
	return set, v.Confirmed
}

// Describe names the list and what it has, for explanations.
func (l *List) Describe(now time.Time) string {
	set, at := l.current(now)
	switch {
	case set == nil:
		return l.Name + " (not fetched yet)"
	case l.fetched == nil || at.Equal(l.of.Read):
		return fmt.Sprintf("%s (%d networks of %s)", l.Name, set.Len(), at.Format(time.DateOnly))
	default:
		return fmt.Sprintf("%s (%d networks)", l.Name, set.Len())
	}
}

// State says in one word what is known of a list. The set is closed.
type State string

// The states.
const (
	// Current: the document was fetched, and the last fetch was good.
	Current State = "current"
	// Snapshot: what stands in the program counts, since nothing is fetched, or nothing
	// has been yet.
	Snapshot State = "snapshot"
	// Failing: the last fetch failed, and what was good last counts.
	Failing State = "failing"
	// ChangeHeld: what was good last counts, and a change waits to be accepted.
	ChangeHeld State = "held"
	// Stale: what counts is older than StaleAfter, or a snapshot than SnapshotStaleAfter.
	Stale State = "stale"
	// Missing: nothing was fetched yet, and there is no snapshot; deliveries get 503.
	Missing State = "missing"
)

// Status is what is known of a list.
type Status struct {
	Name string
	Of   *Document
	// URL is where it is fetched; empty: nowhere.
	URL      string
	Networks int
	// At is when its networks were said to be so; zero: never.
	At    time.Time
	State State
	// Detail says why the last fetch failed, or what is held.
	Detail string
	// Held is the change that waits; nil: none does.
	Held *Held
}

// Healthy reports whether there is nothing to tell operators of.
func (s *Status) Healthy() bool { return s.State == Current || s.State == Snapshot }

// Age is how old its networks are; 0 where there are none.
func (s *Status) Age(now time.Time) time.Duration {
	if s.At.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.At))
}

// Status says what is known at a time.
func (l *List) Status(now time.Time) Status {
	set, at := l.current(now)
	s := Status{Name: l.Name, Of: l.of, At: at, State: Snapshot}
	stale := SnapshotStaleAfter
	if set == nil {
		s.State = Missing
	} else {
		s.Networks = set.Len()
	}
	if l.fetched != nil {
		known := l.fetched.Status(now)
		s.URL, s.Detail = known.URL, known.Detail
		stale = StaleAfter
		s.Held = l.keeper.held(l, l.fetched.Load(now), now)
		switch {
		case s.Held != nil:
			s.State, s.Detail = ChangeHeld, s.Held.String()
		case set == nil:
		case known.Failures > 0:
			s.State = Failing
		case !at.Equal(l.of.Read):
			s.State = Current
		default: // the first fetch is under way, and soon tells more
			return s
		}
	}
	if s.State != ChangeHeld && s.State != Missing && s.Age(now) > stale {
		s.State = Stale
	}
	return s
}

// Accept lets the change that is held count: what has that digest is fetched once more, at
// once, and then not held. The error is ErrNotHeld, or that of noting it on disk.
func (l *List) Accept(digest string, now time.Time) error {
	if l.fetched == nil {
		return ErrNotHeld
	}
	if err := l.keeper.accept(l, digest, l.fetched.Load(now), now); err != nil {
		return err
	}
	l.fetched.Again(now)
	return nil
}
