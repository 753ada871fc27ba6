package memory

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// table holds the nonces of one partition and one class of spans. A slot is 16
// bytes: 118 bits of the fingerprint, which is a keyed hash already, two that
// say what became of the delivery, and a byte that says in which epoch the
// nonce expires. An epoch is a 128th of the table's span, so that a nonce lives
// at most a 64th longer than it must.
//
// Slots lie in segments of at most maxSlots, open-addressed with linear
// probing. A segment that is three quarters full grows by half or a third, and
// splits in two when it cannot grow: nothing ever moves more than one segment.
// The garbage collector sees one pointer for each segment.
type table struct {
	epoch  time.Duration
	signed bool
	turn   int64 // of the clock; see told
	// parts are guarded by the stripes of the partition, one by one.
	parts []part
}

// part is a directory of segments, by the first bits of the fingerprint. Those
// that have not been split yet stand in it more than once.
type part struct {
	depth    uint8
	segments []*segment
	cursor   int // of the sweep that goes along with insertions
	toSweep  int // segments that it has yet to look at in this epoch
	epoch    int64
}

const (
	// spanEpochs is the number of epochs that a nonce can live.
	spanEpochs = 128
	// sweepEpochs is how many epochs may pass between two sweeps. Together
	// with spanEpochs and rounding it stays below the 255 epochs that the
	// byte can tell apart.
	sweepEpochs = 100
	minSlots    = 16
	maxSlots    = 1536
	slotBytes   = 16
	likeBytes   = 8
	// maxDepth is never reached by a keyed hash; a segment there grows on, to
	// deepSlots.
	maxDepth  = 30
	deepSlots = 1 << 15
)

// slot is a fingerprint; the last byte of low is the code of its epoch, the two
// bits above are its state. All zero: never used. Code zero: used no more.
type slot struct{ high, low uint64 }

type state uint64

// The states of a slot. What is pending has its details in the stripe.
const (
	stateDone state = iota << 8
	statePending
	stateTaken
	stateUnsure
	stateMask state = 3 << 8
)

const codeMask = 0xff

// segment is one line of memory, and its slots.
type segment struct {
	slots []slot
	// likes are the likenesses of what lies in the slots, 0 where there is none;
	// nil if there are none at all. Few webhooks ask for them.
	likes *[]authz.Likeness
	depth uint8
	used  uint16 // slots that are not empty
	count uint16 // of them, those with a code
	// swept is the epoch of the last sweep: all nonces expire in one of the
	// 255 epochs after it.
	swept int64
	// latest is the latest epoch seen: what has expired may be forgotten, so
	// it must not come to life again when the clock goes back.
	latest int64
	// watermark is the last epoch whose nonces may have been evicted.
	watermark int64
}

func newTable(class int, signed bool, parts int) *table {
	return &table{epoch: (time.Second << class) / spanEpochs, signed: signed, parts: make([]part, parts)}
}

func split(f authz.Fingerprint) slot {
	return slot{binary.LittleEndian.Uint64(f[:8]), uint64(f[8]&^3)<<8 | uint64(f[9])<<16 | uint64(f[10])<<24 |
		uint64(f[11])<<32 | uint64(f[12])<<40 | uint64(f[13])<<48 | uint64(f[14])<<56}
}

func (s slot) same(other slot) bool { return s.high == other.high && s.low>>10 == other.low>>10 }

func (s slot) state() state { return state(s.low) & stateMask }

func (s *slot) set(to state) { s.low = s.low&^uint64(stateMask) | uint64(to) }

// epochOf is the number of the epoch in which the time lies.
func (t *table) epochOf(at time.Time) int64 { return at.UnixNano() / int64(t.epoch) }

// lastEpoch is the first epoch at whose start the time has passed.
func (t *table) lastEpoch(at time.Time) int64 {
	return (at.UnixNano() + int64(t.epoch) - 1) / int64(t.epoch)
}

// segment returns the key's segment, or nil if there is none yet.
func (p *part) segment(key slot) *segment {
	if len(p.segments) == 0 {
		return nil
	}
	return p.segments[key.high>>(64-p.depth)] // a shift by 64 is 0
}

// advance returns the current epoch, which never goes back, and sweeps the
// segment if that is due. It returns the number of nonces that are no more.
func (s *segment) advance(epoch int64) (current int64, gone int) {
	current = max(epoch, s.latest)
	s.latest = current
	if current-s.swept > sweepEpochs {
		gone = s.sweep(current)
	}
	return current, gone
}

// code is the byte for an epoch; expires says which epoch a byte stands for.
func code(epoch int64) uint64 { return uint64(epoch%255) + 1 }

func (s *segment) expires(sl slot) int64 {
	first := s.swept + 1
	return first + (int64(sl.low&codeMask)-1-first%255+255)%255
}

func (s *segment) live(sl slot, current int64) bool {
	a := s.ages(current)
	return a.live(sl)
}

// ages tells live nonces of a segment from others, without a division for
// each: a code is as many epochs after the first as it is places after that
// one's.
type ages struct {
	first int64 // the place of the first epoch's code, from 0
	past  int64 // how many epochs from the first on have passed
}

func (s *segment) ages(current int64) ages {
	first := s.swept + 1
	return ages{first % 255, max(current, s.watermark) - first}
}

func (a ages) live(sl slot) bool {
	ahead := int64(sl.low&codeMask) - 1 - a.first
	if ahead < 0 {
		ahead += 255
	}
	return sl.low&codeMask != 0 && ahead > a.past
}

// start is where the search for a key begins.
func (s *segment) start(key slot) int {
	high, _ := bits.Mul64(key.high<<s.depth, uint64(len(s.slots)))
	return int(high)
}

func (s *segment) after(i int) int {
	if i++; i == len(s.slots) {
		return 0
	}
	return i
}

// find returns the place of the key, if it is there.
func (s *segment) find(key slot, current int64) (place int, found bool) {
	for i := s.start(key); s.slots[i] != (slot{}); i = s.after(i) {
		if s.slots[i].same(key) && s.live(s.slots[i], current) {
			return i, true
		}
	}
	return 0, false
}

// freePlace returns the place where a key may be put that is not there.
func (s *segment) freePlace(key slot, current int64) int {
	i, a := s.start(key), s.ages(current)
	for a.live(s.slots[i]) {
		i = s.after(i)
	}
	return i
}

// put fills the place with the key, which holds its state, and returns by how
// much the number of nonces has grown.
func (s *segment) put(place int, key slot, like authz.Likeness, expires int64) int {
	old := s.slots[place]
	if s.likes != nil {
		(*s.likes)[place] = like
	}
	s.slots[place] = slot{key.high, key.low&^codeMask | code(expires)}
	if old == (slot{}) {
		s.used++
	}
	if old.low&codeMask != 0 {
		return 0 // in place of an expired one
	}
	s.count++
	return 1
}

// size is the number of bytes of the slots and what lies beside them.
func (s *segment) size() int64 {
	bytes := int64(len(s.slots)) * slotBytes
	if s.likes != nil {
		bytes += int64(len(*s.likes)) * likeBytes
	}
	return bytes
}

// keep makes room for likenesses.
func (s *segment) keep() {
	if s.likes == nil {
		likes := make([]authz.Likeness, len(s.slots))
		s.likes = &likes
	}
}

// like is the likeness of what lies at the place; 0 if there is none.
func (s *segment) like(place int) authz.Likeness {
	if s.likes == nil {
		return 0
	}
	return (*s.likes)[place]
}

// drop forgets the nonce at the place.
func (s *segment) drop(place int) {
	s.slots[place].low &^= codeMask
	if s.slots[place] == (slot{}) {
		s.slots[place].high = 1 // not empty: others may lie behind it
	}
	s.count--
}

// undoDrop takes a drop back. Nothing was put into the segment since.
func (s *segment) undoDrop(place int, was slot) {
	s.slots[place] = was
	s.count++
}

// sweep forgets what has expired and returns how many that were.
func (s *segment) sweep(current int64) int {
	before, a := s.count, s.ages(current)
	for i, sl := range s.slots {
		if sl.low&codeMask != 0 && !a.live(sl) {
			s.drop(i)
		}
	}
	s.swept = max(s.swept, current)
	return int(before) - int(s.count)
}

// evict forgets the nonces of the earliest epoch, if that is not beyond the
// limit, raises the watermark and returns how many there were.
func (s *segment) evict(current, limit int64) int {
	earliest, a := limit+1, s.ages(current)
	for _, sl := range s.slots {
		if a.live(sl) {
			earliest = min(earliest, s.expires(sl))
		}
	}
	if earliest > limit {
		return 0
	}
	s.watermark = earliest
	return s.sweep(current)
}

// crowded reports whether one more slot would be one too many.
func (s *segment) crowded() bool { return (int(s.used)+1)*4 > len(s.slots)*3 }

// size returns the number of slots for so many nonces: 16, 24, 32, 48 and so
// on, at most two thirds full.
func size(count int) int {
	n := minSlots
	for count*3 > n*2 && n < maxSlots {
		n = larger(n)
	}
	return n
}

func larger(n int) int {
	if n&(n-1) == 0 {
		return n + n/2
	}
	return n / 3 * 4
}

// moved returns a segment of that size with the nonces for which the bit below
// the depth is the given one, or all if depth is the segment's own. A sweep has
// just left none but those that are live.
func (s *segment) moved(slots int, depth uint8, bit uint64) *segment {
	fresh := &segment{slots: make([]slot, slots), depth: depth, swept: s.swept, latest: s.latest, watermark: s.watermark}
	for i, sl := range s.slots {
		if sl.low&codeMask == 0 || depth > s.depth && sl.high>>(64-depth)&1 != bit {
			continue
		}
		place := fresh.start(sl)
		for fresh.slots[place] != (slot{}) {
			place = fresh.after(place)
		}
		fresh.slots[place] = sl
		if like := s.like(i); like != 0 {
			fresh.keep()
			(*fresh.likes)[place] = like
		}
		fresh.used++
		fresh.count++
	}
	return fresh
}

// widen makes room in a crowded segment. It returns by how much the nonces and
// the bytes have become more or fewer.
func (p *part) widen(s *segment, current int64) (nonces int, bytes int64) {
	before := s.size()
	if s.swept < current {
		nonces -= s.sweep(current)
	}
	count := int(s.count)
	wanted := size(count + 1)
	if count*2 > len(s.slots) && wanted <= len(s.slots) {
		wanted = larger(len(s.slots)) // or it would be crowded again soon
	}
	if wanted <= maxSlots && (count+1)*4 <= wanted*3 || s.depth == maxDepth {
		*s = *s.moved(wanted, s.depth, 0)
		return nonces, s.size() - before
	}
	return nonces, p.halve(s) - before
}

// halve replaces a segment that has just been swept in the directory by two and
// returns their bytes.
func (p *part) halve(s *segment) int64 {
	if s.depth == p.depth {
		doubled := make([]*segment, 2*len(p.segments))
		for i, old := range p.segments {
			doubled[2*i], doubled[2*i+1] = old, old
		}
		p.segments, p.depth = doubled, p.depth+1
	}
	depth := s.depth + 1
	var counts [2]int
	for _, sl := range s.slots {
		if sl.low&codeMask != 0 {
			counts[sl.high>>(64-depth)&1]++
		}
	}
	halves := [2]*segment{s.moved(size(counts[0]+1), depth, 0), s.moved(size(counts[1]+1), depth, 1)}
	for i, old := range p.segments {
		if old == s {
			p.segments[i] = halves[i>>(p.depth-depth)&1]
		}
	}
	return halves[0].size() + halves[1].size()
}
