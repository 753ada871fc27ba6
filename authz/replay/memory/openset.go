package memory

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/hookbastion/hookbastion/authz"
)

// openSet holds the open reservations of a stripe. They are found by fingerprint,
// and known in the order in which they came, which is nearly that in which their
// leases end. Each stays where it is until it is removed: nothing is copied when
// there are more, and the end of one does not touch another. The zero value is
// empty.
type openSet struct {
	// chunks hold them by number: 8, 8, 16, 32 and so on, up to chunkSize each.
	chunks [][]open
	made   uint32 // the highest number so far
	unused uint32 // the first number of those that were removed, which next links
	count  int
	// index is open-addressed with linear probing, and at most two thirds full: the
	// first bits of a fingerprint, and a number; 0: none. To look costs one line of
	// memory, as often as not.
	index []uint64
	// Those that are final have a lease of their own, and an order of their own.
	order [2]order
	// idle: it was empty when the sweep came by.
	idle bool
}

// order is a list of reservations, the oldest first.
type order struct {
	first, last uint32
	// due is when the lease of the first one ends.
	due int64
}

const (
	firstChunk, chunkSize = 8, 512
	minIndex              = 16
)

// at returns what has the number, if it is in use.
func (s *openSet) at(number uint32) *open {
	if number == 0 {
		return nil
	}
	chunk, place := chunkOf(number - 1)
	if o := &s.chunks[chunk][place]; o.number == number {
		return o
	}
	return nil
}

// chunkOf is where the nth of all lies, from 0.
func chunkOf(n uint32) (chunk, place int) {
	if n >= 2*chunkSize {
		return bits.Len32(2*chunkSize/firstChunk-1) + 1 + int((n-2*chunkSize)/chunkSize), int(n % chunkSize)
	}
	chunk = bits.Len32(n / firstChunk)
	if chunk == 0 {
		return 0, int(n)
	}
	return chunk, int(n) - firstChunk<<(chunk-1)
}

func chunkSizeOf(chunk int) int {
	if chunk > bits.Len32(chunkSize/firstChunk) {
		return chunkSize
	}
	return firstChunk << max(chunk-1, 0)
}

// tag is the part of a fingerprint that the index knows.
func tag(f authz.Fingerprint) uint64 { return binary.LittleEndian.Uint64(f[:8]) >> 32 << 32 }

func (s *openSet) start(entry uint64) int {
	high, _ := bits.Mul64(entry>>32<<32, uint64(len(s.index)))
	return int(high)
}

func (s *openSet) after(i int) int {
	if i++; i == len(s.index) {
		return 0
	}
	return i
}

func (s *openSet) find(f authz.Fingerprint) *open {
	if s.count == 0 {
		return nil
	}
	t := tag(f)
	for i := s.start(t); s.index[i] != 0; i = s.after(i) {
		if s.index[i]>>32<<32 != t {
			continue
		}
		if o := s.at(uint32(s.index[i])); o.fingerprint == f {
			return o
		}
	}
	return nil
}

// add adds a reservation that is not there. What it returns is good until it is
// removed.
func (s *openSet) add(o open) *open {
	if (s.count+1)*3 > len(s.index)*2 {
		s.grow()
	}
	n := s.unused
	if n == 0 {
		s.made++
		n = s.made
	}
	chunk, place := chunkOf(n - 1)
	if chunk == len(s.chunks) {
		s.chunks = append(s.chunks, make([]open, chunkSizeOf(chunk)))
	}
	to := &s.chunks[chunk][place]
	if s.unused != 0 {
		s.unused = to.next
	}
	o.number, o.several = n, false
	o.next, o.previous = 0, 0
	*to = o
	s.put(tag(o.fingerprint) | uint64(n))
	s.append(to)
	s.count++
	s.idle = false
	return to
}

func (s *openSet) put(entry uint64) {
	i := s.start(entry)
	for s.index[i] != 0 {
		i = s.after(i)
	}
	s.index[i] = entry
}

func (s *openSet) grow() {
	old := s.index
	s.index = make([]uint64, max(2*len(old), minIndex))
	for _, entry := range old {
		if entry != 0 {
			s.put(entry)
		}
	}
}

func (s *openSet) orderOf(o *open) *order {
	if o.final {
		return &s.order[1]
	}
	return &s.order[0]
}

func (s *openSet) append(o *open) {
	l := s.orderOf(o)
	if o.previous = l.last; l.last != 0 {
		s.at(l.last).next = o.number
	} else {
		l.first, l.due = o.number, o.ends
	}
	l.last = o.number
}

// remove removes one that is there.
func (s *openSet) remove(o *open) {
	l := s.orderOf(o)
	if o.previous != 0 {
		s.at(o.previous).next = o.next
	} else {
		l.first = o.next
	}
	if o.next != 0 {
		s.at(o.next).previous = o.previous
	} else {
		l.last = o.previous
	}
	if o.previous == 0 && o.next != 0 {
		l.due = s.at(o.next).ends
	}
	s.take(tag(o.fingerprint) | uint64(o.number))
	*o, s.unused = open{next: s.unused}, o.number
	if s.count--; s.count == 0 && s.made > chunkSize {
		*s = openSet{} // after a flood
	}
}

// take removes an entry from the index, and moves those back that it had put off.
func (s *openSet) take(entry uint64) {
	gap := s.start(entry)
	for s.index[gap] != entry {
		gap = s.after(gap)
	}
	for i := s.after(gap); s.index[i] != 0; i = s.after(i) {
		home := s.start(s.index[i])
		if between := gap < home && home <= i || i < gap && (gap < home || home <= i); !between {
			s.index[gap], gap = s.index[i], i
		}
	}
	s.index[gap] = 0
}

// due is a time before which no lease ends, nearly; math.MaxInt64 if there is none.
func (s *openSet) due() int64 {
	due := int64(math.MaxInt64)
	for i := range s.order {
		if l := &s.order[i]; l.first != 0 {
			due = min(due, l.due)
		}
	}
	return due
}

// oldest returns the oldest one of those that are due, or nil.
func (s *openSet) oldest(now int64) *open {
	for i := range s.order {
		if l := &s.order[i]; l.first != 0 && now >= l.due {
			return s.at(l.first)
		}
	}
	return nil
}

// shift moves the leases that end after a time.
func (s *openSet) shift(after, by int64) {
	for n := range s.made {
		if o := s.at(n + 1); o != nil && o.ends > after {
			o.ends += by
		}
	}
	for i := range s.order {
		if l := &s.order[i]; l.first != 0 {
			l.due = s.at(l.first).ends
		}
	}
}

// rest gives back what it holds, if it was empty the last time, too.
func (s *openSet) rest() {
	switch {
	case s.count > 0 || s.made == 0:
	case s.idle:
		*s = openSet{}
	default:
		s.idle = true
	}
}
