package replay

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// table is a set of nonces that expire. A slot is 16 bytes: 15 of the
// fingerprint, which is a keyed hash already, and one that says in which epoch
// the nonce expires. An epoch is a 128th of the table's span, so that a nonce
// lives at most a 64th longer than it must.
//
// Shards are open-addressed with linear probing. Slots of expired nonces are
// reused in place; a shard is rebuilt when three quarters of its slots are
// used, and swept before the epoch byte could wrap around.
type table struct {
	epoch  time.Duration
	store  *Memory
	shards [shardCount]shard
}

const (
	// shardCount keeps the copy of a shard of 10 million nonces under 1 ms.
	shardCount = 256
	// spanEpochs is the number of epochs that a nonce can live.
	spanEpochs = 128
	// sweepEpochs is how many epochs may pass between two sweeps. Together
	// with spanEpochs and rounding it stays below the 255 epochs that the
	// byte can tell apart.
	sweepEpochs = 100
	firstSlots  = 16
)

// slot is a fingerprint; the last byte of low is the code of its epoch, 0 for
// an empty slot.
type slot struct{ high, low uint64 }

type shard struct {
	mu    sync.Mutex
	slots []slot
	used  int // slots that are not empty
	// swept is the epoch of the last sweep: all nonces expire in one of the
	// 255 epochs after it.
	swept int64
	// latest is the latest epoch seen: what has expired may be forgotten, so
	// it must not come to life again when the clock goes back.
	latest int64
	// floor is the last epoch whose nonces may have been evicted.
	floor int64
}

func newTable(span time.Duration, store *Memory) *table {
	return &table{epoch: span / spanEpochs, store: store}
}

func split(f authz.Fingerprint) slot {
	return slot{binary.LittleEndian.Uint64(f[:8]), uint64(f[8])<<8 | uint64(f[9])<<16 | uint64(f[10])<<24 |
		uint64(f[11])<<32 | uint64(f[12])<<40 | uint64(f[13])<<48 | uint64(f[14])<<56}
}

func (s slot) same(other slot) bool { return s.high == other.high && s.low>>8 == other.low>>8 }

// shardOf is the number of the shard that holds a fingerprint, in all tables.
func shardOf(f authz.Fingerprint) int { return int(f[8]) % shardCount }

// epochOf is the number of the epoch in which the time lies.
func (t *table) epochOf(at time.Time) int64 { return at.UnixNano() / int64(t.epoch) }

// lastEpoch is the first epoch at whose start the time has passed.
func (t *table) lastEpoch(at time.Time) int64 {
	return (at.UnixNano() + int64(t.epoch) - 1) / int64(t.epoch)
}

// reserve adds the nonce unless it is there.
func (t *table) reserve(nonce Nonce, now time.Time, evictable bool) Outcome {
	key, expires := split(nonce.Fingerprint), t.lastEpoch(nonce.Expires)
	s := &t.shards[shardOf(nonce.Fingerprint)]
	s.mu.Lock()
	defer s.mu.Unlock()
	current := t.advance(s, now)
	if expires <= max(current, s.floor) || expires > s.swept+255 {
		// Evicted, or our clock went back further than the table can tell.
		return Uncertain
	}
	place, found := s.find(key, current)
	if found {
		return Copy
	}
	if s.slots[place] == (slot{}) {
		if !t.room(s, now, current, evictable) {
			return Full
		}
		if expires <= s.floor {
			return Uncertain
		}
		place, _ = s.find(key, current) // room may have moved everything
	}
	if s.slots[place] == (slot{}) {
		s.used++
		t.store.entries.Add(1)
	}
	key.low |= s.code(expires)
	s.slots[place] = key
	return Reserved
}

// holds reports whether the nonce is there.
func (t *table) holds(nonce Nonce, now time.Time) bool {
	key := split(nonce.Fingerprint)
	s := &t.shards[shardOf(nonce.Fingerprint)]
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.find(key, t.advance(s, now))
	return found
}

// advance returns the current epoch, which never goes back, and sweeps the
// shard if that is due.
func (t *table) advance(s *shard, now time.Time) int64 {
	current := max(t.epochOf(now), s.latest)
	s.latest = current
	if s.slots == nil {
		s.slots, s.swept = make([]slot, firstSlots), current
	}
	if current-s.swept > sweepEpochs {
		t.rebuild(s, current, len(s.slots))
	}
	return current
}

// code is the byte for an epoch; expires says which epoch a byte stands for.
func (s *shard) code(epoch int64) uint64 { return uint64(epoch%255) + 1 }

func (s *shard) expires(sl slot) int64 {
	code := int64(sl.low&0xff) - 1
	first := s.swept + 1
	return first + (code-first%255+255)%255
}

func (s *shard) live(sl slot, current int64) bool {
	return sl.low&0xff != 0 && s.expires(sl) > max(current, s.floor)
}

// find returns the place of the key, or the place where it may be put.
func (s *shard) find(key slot, current int64) (place int, found bool) {
	free := -1
	high, _ := bits.Mul64(key.high, uint64(len(s.slots)))
	for i := int(high); ; {
		sl := s.slots[i]
		if sl == (slot{}) {
			if free < 0 {
				free = i
			}
			return free, false
		}
		if s.live(sl, current) {
			if sl.same(key) {
				return i, true
			}
		} else if free < 0 {
			free = i
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// room makes sure that one more slot may be used.
func (t *table) room(s *shard, now time.Time, current int64, evictable bool) bool {
	if t.store.full() {
		t.sweep(s, current)
		if t.store.full() && !t.store.sweepOthers(now) && (!evictable || !t.evict(s, current) && !t.store.evictOther(now)) {
			return false
		}
	}
	if (s.used+1)*4 > len(s.slots)*3 {
		t.rebuild(s, current, len(s.slots))
		if s.used*2 > len(s.slots) {
			t.rebuild(s, current, len(s.slots)*3/2)
		}
	}
	return true
}

// sweep forgets what has expired, unless it was done in this epoch.
func (t *table) sweep(s *shard, current int64) {
	switch {
	case s.swept >= current:
	case slices.ContainsFunc(s.slots, func(sl slot) bool { return sl != (slot{}) && !s.live(sl, current) }):
		t.rebuild(s, current, len(s.slots))
	default:
		s.swept = current // all expire later, so their codes still hold
	}
}

// evict forgets the nonces of the earliest epoch and raises the floor.
func (t *table) evict(s *shard, current int64) bool {
	earliest := int64(0)
	for _, sl := range s.slots {
		if s.live(sl, current) && (earliest == 0 || s.expires(sl) < earliest) {
			earliest = s.expires(sl)
		}
	}
	if earliest == 0 {
		return false
	}
	s.floor = earliest
	t.rebuild(s, current, len(s.slots))
	return true
}

// others calls f for the shards that hold something and are not in use, until
// it returns true. The caller has locked a shard, so waiting for another one
// could block for ever.
func (t *table) others(now time.Time, f func(s *shard, current int64) bool) bool {
	for i := range t.shards {
		s := &t.shards[i]
		if !s.mu.TryLock() {
			continue
		}
		done := s.used > 0 && f(s, t.advance(s, now))
		s.mu.Unlock()
		if done {
			return true
		}
	}
	return false
}

// rebuild moves what is live to fresh slots and forgets the rest.
func (t *table) rebuild(s *shard, current int64, size int) {
	old, before := s.slots, s.used
	fresh := shard{slots: make([]slot, size), swept: current, floor: s.floor}
	for _, sl := range old {
		if !s.live(sl, current) {
			continue
		}
		epoch := s.expires(sl)
		sl.low = sl.low&^0xff | fresh.code(epoch)
		place, _ := fresh.find(sl, current)
		fresh.slots[place] = sl
		fresh.used++
	}
	s.slots, s.used, s.swept = fresh.slots, fresh.used, current
	t.store.entries.Add(int64(s.used - before))
}
