package monitor

import "sync/atomic"

// index finds the series of a webhook by a keyed hash of its name, with one look at the
// memory where a map would have three, and without a lock. Two names of one hash would be
// one webhook: of 12,000 names that happens with one in a hundred thousand million keys, and
// nobody knows the key. One goroutine at a time may add.
type index struct {
	places atomic.Pointer[[]atomic.Pointer[series]]
	used   int
}

// find returns nil where the webhook is not known.
func (x *index) find(hash uint64) *series {
	places := x.places.Load()
	if places == nil {
		return nil
	}
	all := *places
	mask := uint64(len(all) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		if s := all[at&mask].Load(); s == nil || s.hash == hash {
			return s
		}
	}
}

// add adds one that is not known yet. At least three of four places stay free.
func (x *index) add(s *series) {
	var old []atomic.Pointer[series]
	if places := x.places.Load(); places != nil {
		old = *places
	}
	if x.used++; 4*x.used <= len(old) {
		put(old, s)
		return
	}
	grown := make([]atomic.Pointer[series], max(16, 2*len(old)))
	for i := range old {
		if s := old[i].Load(); s != nil {
			put(grown, s)
		}
	}
	put(grown, s)
	x.places.Store(&grown)
}

func put(into []atomic.Pointer[series], s *series) {
	mask := uint64(len(into) - 1)
	at := s.hash & mask
	for into[at].Load() != nil {
		at = (at + 1) & mask
	}
	into[at].Store(s)
}
