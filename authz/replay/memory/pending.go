package memory

import (
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// stripe is the lock of a part of a partition's fingerprints, and what is known of
// those whose outcome is open.
type stripe struct {
	mu   sync.Mutex
	dead bool // its partition was given up
	open openSet
	// more are the owners of those that have more than one, by number. Few have.
	more    map[uint32]owners
	permits map[authz.Fingerprint]time.Time
}

// open is a reservation that has not been settled. It has no pointers, so that
// the garbage collector need not look at hundreds of thousands of them.
type open struct {
	fingerprint authz.Fingerprint
	check       authz.CheckID
	id          uint64
	owner       uint64 // the only one, unless the stripe knows more
	ends        int64
	// number is its own, from 1; next and previous are its neighbours in the order
	// in which they came, 0 where there is none.
	number, next, previous uint32
	unknown                replay.Fate
	mark                   authz.Mark
	// final: others see a copy, and the end of the lease changes nothing.
	final bool
	// several: it has more owners than one.
	several bool
	absent  bool // nothing was known of it before
	// before is the state that it came from otherwise, to which a release goes back.
	before state
}

// owners are the attempts of one check that have not given back: each that
// reserved or adopted. There is always one. An attempt that was held up may come
// after the one whose answer Envoy took, so none owns more than another.
type owners struct {
	first uint64
	more  []uint64
	// many: there were more than are told apart, and none can give back.
	many bool
}

// maxOwners is more attempts than Envoy makes of one check in practice.
const maxOwners = 16

// join adds an owner, and reports whether it was none before.
func (o *owners) join(owner uint64) bool {
	switch {
	case o.first == owner || slices.Contains(o.more, owner) || o.many:
		return false
	case len(o.more) == maxOwners-1:
		o.more, o.many = nil, true
	default:
		o.more = append(o.more, owner)
	}
	return true
}

// leave takes an owner out. It reports whether it was one, and whether it is the
// last, which stays.
func (o *owners) leave(owner uint64) (was, last bool) {
	if o.many {
		return false, false
	}
	if i := slices.Index(o.more, owner); i >= 0 {
		o.more = slices.Delete(o.more, i, i+1)
		return true, false
	}
	if o.first != owner {
		return false, false
	}
	if len(o.more) == 0 {
		return true, true
	}
	o.first, o.more = o.more[0], o.more[1:]
	return true, false
}

// adoptable is how long an attempt can adopt what is final already: longer than
// any timeout that Envoy gives a check.
const adoptable = 10 * time.Second

// maxPermits bounds the permits of a stripe.
const maxPermits = 256

// owners returns those of a reservation.
func (st *stripe) owners(o *open) owners {
	if o.several {
		return st.more[o.number]
	}
	return owners{first: o.owner}
}

// own sets them.
func (st *stripe) own(o *open, who owners) {
	o.owner = who.first
	if several := who.many || len(who.more) > 0; several {
		if st.more == nil {
			st.more = map[uint32]owners{}
		}
		o.several, st.more[o.number] = true, who
	} else if o.several {
		o.several = false
		delete(st.more, o.number)
	}
}

// forget removes a reservation.
func (st *stripe) forget(o *open) {
	if o.several {
		delete(st.more, o.number)
	}
	st.open.remove(o)
}

// permitted is until when a copy may pass, in nanoseconds since 1970; 0: none may.
func (st *stripe) permitted(f authz.Fingerprint) int64 {
	if until, ok := st.permits[f]; ok {
		return until.UnixNano()
	}
	return 0
}

// permit takes the permit for a copy, if there is one.
func (st *stripe) permit(f authz.Fingerprint, now time.Time) bool {
	until, ok := st.permits[f]
	if ok {
		delete(st.permits, f)
	}
	return ok && now.Before(until)
}

func (st *stripe) addPermit(f authz.Fingerprint, until, now time.Time) bool {
	for other, t := range st.permits {
		if !now.Before(t) {
			delete(st.permits, other)
		}
	}
	if len(st.permits) >= maxPermits {
		return false
	}
	if st.permits == nil {
		st.permits = map[authz.Fingerprint]time.Time{}
	}
	st.permits[f] = until
	return true
}
