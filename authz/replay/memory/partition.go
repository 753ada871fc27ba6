package memory

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// partition is the room of one webhook and tenant: a flood of theirs ends in their
// own tables.
type partition struct {
	id      uint64
	name    string // of the webhook
	webhook *usage
	own     *usage // the webhook's again where there is no tenant
	stripes []stripe
	// tables holds one table for each class of spans, which is one unless a
	// reload has changed the policy.
	tables atomic.Pointer[[]*table]
}

// usage counts what somebody takes of the store.
type usage struct {
	nonces, open atomic.Int64
	rank         int // of a tenant; its least follows from it
	least        least
	// mixed is until when, in nanoseconds since 1970, nonces of tenants can lie
	// in the webhook's own partition. It is guarded by the store's mutex.
	mixed int64
	// largest is the tenant that takes most of a webhook's room, or nearly.
	largest atomic.Pointer[partition]
}

const (
	// parts of a webhook's partition, for as many processors, and of a tenant's.
	webhookParts, tenantParts = 16, 2
	// maxClass is the largest class of spans: 2^22 seconds, 48 days.
	maxClass = 22
	// timesFree is how many times what is left free one webhook, or one
	// tenant within a webhook, may take. A single one gets four fifths of the
	// common room, n get a part of 1/(n+1/4) each.
	timesFree = 4
	// smallPart is by which part of the largest tenant's usage a tenant counts as
	// small, and reserve is which part of the whole is not for small ones.
	smallPart, reserve = 4, 64
)

func newPartition(id uint64, name string, webhook, own *usage, parts int) *partition {
	pt := &partition{id: id, name: name, webhook: webhook, own: own, stripes: make([]stripe, parts)}
	pt.tables.Store(&[]*table{})
	return pt
}

func (pt *partition) part(f authz.Fingerprint) int { return int(f[8]>>2) % len(pt.stripes) }

// spanClass returns the exponent of the next power of two of seconds.
func spanClass(span time.Duration) int {
	seconds := uint64(max(span, time.Second)+time.Second-1) / uint64(time.Second)
	return min(bits.Len64(seconds-1), maxClass)
}

// place is where a nonce lies.
type place struct {
	table   *table
	segment *segment
	at      int
	current int64
}

func (p place) slot() *slot { return &p.segment.slots[p.at] }

func (p place) like() authz.Likeness { return p.segment.like(p.at) }

// find looks for the nonce in the tables of its kind. The stripe is locked.
func (m *Store) find(pt *partition, f authz.Fingerprint, now time.Time) (place, bool) {
	key, part := split(f), pt.part(f)
	for _, t := range *pt.tables.Load() {
		s := t.parts[part].segment(key)
		if s == nil {
			continue
		}
		current := m.advance(pt, t, s, now)
		if at, found := s.find(key, current); found {
			return place{t, s, at, current}, true
		}
	}
	return place{}, false
}

func (m *Store) advance(pt *partition, t *table, s *segment, now time.Time) int64 {
	current, gone := s.advance(t.epochOf(now))
	m.count(pt, -gone)
	return current
}

// table returns the partition's table for the nonce.
func (m *Store) table(pt *partition, signed bool, span time.Duration) *table {
	class, turn := spanClass(span), m.clock.turns.Load()
	epoch := (time.Second << class) / spanEpochs
	for _, t := range *pt.tables.Load() {
		if t.signed == signed && t.epoch == epoch && t.turn == turn {
			return t
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	tables := *pt.tables.Load()
	for _, t := range tables {
		if t.signed == signed && t.epoch == epoch && t.turn == turn {
			return t
		}
	}
	t := newTable(class, signed, len(pt.stripes))
	t.turn = turn
	tables = append(tables[:len(tables):len(tables)], t)
	pt.tables.Store(&tables)
	return t
}

// insert puts a nonce that is not there into the table of its class. The
// outcome is Reserved, Uncertain or Full.
func (m *Store) insert(pt *partition, nonce *replay.Nonce, st state, now time.Time) replay.Outcome {
	if m.guarded(nonce) {
		return replay.Uncertain
	}
	signed := !nonce.Signed.IsZero()
	t := m.table(pt, signed, nonce.Span)
	key, p := split(nonce.Fingerprint), &t.parts[pt.part(nonce.Fingerprint)]
	key.set(st)
	expires := t.lastEpoch(nonce.Expires)
	s := p.segment(key)
	if s == nil {
		if !m.takeBytes(minSlots * slotBytes) {
			return replay.Full
		}
		// What a partition that was given up knew to be past stays past.
		latest := t.epochOf(time.Unix(0, max(now.UnixNano(), m.forgotten.Load())))
		s = &segment{slots: make([]slot, minSlots), swept: latest, latest: latest}
		p.segments = []*segment{s}
	}
	current := m.advance(pt, t, s, now)
	// Evicted, or our clock went back further than the table can tell.
	uncertain := func() bool {
		return expires <= max(current, s.watermark) || expires > s.swept+255 || signed && pt.evictedElsewhere(t, nonce, key)
	}
	if uncertain() {
		return replay.Uncertain
	}
	if !m.free(pt) && !m.makeFree(pt, t, p, s, nonce, now) {
		return replay.Full
	}
	if s.crowded() {
		if s = m.widen(pt, p, s, key, current); s == nil {
			return replay.Full
		}
	}
	if uncertain() {
		return replay.Uncertain
	}
	if nonce.Likeness != 0 {
		m.keep(s)
	}
	m.count(pt, s.put(s.freePlace(key, current), key, nonce.Likeness, expires))
	m.step(pt, t, p, now)
	return replay.Reserved
}

// keep makes room for likenesses in a segment, and asks nobody for it.
func (m *Store) keep(s *segment) {
	before := s.size()
	s.keep()
	m.bytes.Add(s.size() - before)
}

// evictedElsewhere reports whether the nonce may have been evicted from a table
// of another span or turn: that of a policy before, which kept it for at least as
// long, or of a clock that was ahead.
func (pt *partition) evictedElsewhere(own *table, nonce *replay.Nonce, key slot) bool {
	for _, t := range *pt.tables.Load() {
		if t == own || !t.signed {
			continue
		}
		s := t.parts[pt.part(nonce.Fingerprint)].segment(key)
		if s != nil && t.lastEpoch(nonce.Expires) <= s.watermark {
			return true
		}
	}
	return false
}

func (m *Store) widen(pt *partition, p *part, s *segment, key slot, current int64) *segment {
	if m.maxBytes > 0 && m.bytes.Load() >= m.maxBytes || s.depth == maxDepth && len(s.slots) >= deepSlots {
		m.count(pt, -s.sweep(current))
		if (int(s.count)+1)*4 > len(s.slots)*3 {
			return nil
		}
		before := s.size()
		*s = *s.moved(len(s.slots), s.depth, 0) // without those that are used no more
		m.bytes.Add(s.size() - before)
		return s
	}
	nonces, bytes := p.widen(s, current)
	m.count(pt, nonces)
	m.bytes.Add(bytes)
	return p.segment(key)
}

// step sweeps one segment, until all have been in this epoch, so that what has
// expired does not wait for a neighbour.
func (m *Store) step(pt *partition, t *table, p *part, now time.Time) {
	if epoch := t.epochOf(now); epoch != p.epoch {
		p.epoch, p.toSweep = epoch, len(p.segments)
	}
	if p.toSweep == 0 {
		return
	}
	p.toSweep--
	if p.cursor++; p.cursor >= len(p.segments) {
		p.cursor = 0
	}
	m.sweep(pt, t, p.segments[p.cursor], now)
}

// sweep forgets what has expired in the segment, once in an epoch, and gives
// back slots that are not needed.
func (m *Store) sweep(pt *partition, t *table, s *segment, now time.Time) {
	current := m.advance(pt, t, s, now)
	if s.swept >= current {
		return
	}
	m.count(pt, -s.sweep(current))
	if wanted := size(int(s.count)); wanted*4 <= len(s.slots) {
		before := s.size()
		*s = *s.moved(wanted, s.depth, 0)
		m.bytes.Add(s.size() - before)
	}
}
