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
	mu      sync.Mutex
	dead    bool // its partition was given up
	open    []open
	index   map[authz.Fingerprint]int
	cursor  int
	permits map[authz.Fingerprint]time.Time
}

// open is a reservation that has not been settled.
type open struct {
	fingerprint authz.Fingerprint
	check       authz.CheckID
	id          uint64
	owners      owners
	ends        int64
	unknown     replay.Fate
	mark        authz.Mark
	// final: others see a copy, and the end of the lease changes nothing.
	final bool
	// before is the state that it came from, to which a release goes back.
	before state
	absent bool // there was none
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

func (st *stripe) find(f authz.Fingerprint) *open {
	if i, ok := st.index[f]; ok {
		return &st.open[i]
	}
	return nil
}

func (st *stripe) add(o open) {
	if st.index == nil {
		st.index = map[authz.Fingerprint]int{}
	}
	st.index[o.fingerprint] = len(st.open)
	st.open = append(st.open, o)
}

func (st *stripe) remove(o *open) {
	i, last := st.index[o.fingerprint], len(st.open)-1
	delete(st.index, o.fingerprint)
	if i != last {
		st.open[i] = st.open[last]
		st.index[st.open[i].fingerprint] = i
	}
	st.open[last] = open{}
	st.open = st.open[:last]
	if last == 0 {
		st.open, st.index = nil, nil // after a flood
	}
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
