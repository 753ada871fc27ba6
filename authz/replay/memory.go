package replay

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is the store of a single replica. It is bounded by a number of
// nonces at 16 bytes a slot and a load between one half and three quarters,
// and holds no pointers that the garbage collector would follow.
//
// Nonces with about the same span share a table. There are two kinds of
// tables: nonces with a signed time may be evicted, at the price of a higher
// watermark; nonces without are never evicted.
type Memory struct {
	max     int64
	started time.Time
	entries atomic.Int64
	mu      sync.Mutex // held while a table is made
	tables  [2][maxClass + 1]atomic.Pointer[table]
	// stripes make looking into all tables and adding to one of them one step.
	stripes [shardCount]sync.Mutex
}

// maxClass is the largest class of spans: 2^22 seconds, 48 days.
const maxClass = 22

// MemoryConfig configures a store.
type MemoryConfig struct {
	// MaxEntries bounds the nonces of all tables together.
	MaxEntries int
	// Started is the start guard: signed times at or below it are refused,
	// since the store of an earlier process may have known them. Zero: none.
	Started time.Time
}

// NewMemory returns an empty store.
func NewMemory(config MemoryConfig) *Memory {
	return &Memory{max: int64(config.MaxEntries), started: config.Started}
}

// Entries returns the number of slots in use, those of expired nonces that
// were not swept yet included.
func (m *Memory) Entries() int64 { return m.entries.Load() }

// Reserve never fails with an error.
func (m *Memory) Reserve(_ context.Context, nonce Nonce, now time.Time) (Outcome, error) {
	signed := !nonce.Signed.IsZero()
	if signed && !nonce.Signed.After(m.started) {
		return Uncertain, nil
	}
	stripe := &m.stripes[shardOf(nonce.Fingerprint)]
	stripe.Lock()
	defer stripe.Unlock()
	class := spanClass(nonce.Span)
	// A reload may have moved a webhook to another class: its nonces stay
	// where they are until they expire.
	tables := &m.tables[kind(signed)] // a copy of atomics would be a race
	for i := range tables {
		if t := tables[i].Load(); t != nil && i != class && t.holds(nonce, now) {
			return Copy, nil
		}
	}
	return m.table(kind(signed), class).reserve(nonce, now, signed), nil
}

func kind(signed bool) int {
	if signed {
		return 1
	}
	return 0
}

// spanClass returns the exponent of the next power of two of seconds.
func spanClass(span time.Duration) int {
	seconds := uint64(max(span, time.Second)+time.Second-1) / uint64(time.Second)
	return min(bits.Len64(seconds-1), maxClass)
}

func (m *Memory) table(kind, class int) *table {
	if t := m.tables[kind][class].Load(); t != nil {
		return t
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tables[kind][class].Load(); t != nil {
		return t
	}
	t := newTable(time.Second<<class, m)
	m.tables[kind][class].Store(t)
	return t
}

func (m *Memory) full() bool { return m.entries.Load() >= m.max }

// sweepOthers forgets what has expired in any table, until there is room.
func (m *Memory) sweepOthers(now time.Time) bool {
	for kind := range m.tables {
		for class := range m.tables[kind] {
			t := m.tables[kind][class].Load()
			if t != nil && t.others(now, func(s *shard, current int64) bool {
				t.sweep(s, current)
				return !m.full()
			}) {
				return true
			}
		}
	}
	return false
}

// evictOther evicts from the first shard that has something with a signed time.
func (m *Memory) evictOther(now time.Time) bool {
	tables := &m.tables[kind(true)]
	for class := range tables {
		if t := tables[class].Load(); t != nil && t.others(now, t.evict) {
			return true
		}
	}
	return false
}
