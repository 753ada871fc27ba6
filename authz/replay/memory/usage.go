package memory

import (
	"hash/maphash"
	"math"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// partition returns the partition of a nonce's webhook and tenant.
func (m *Store) partition(nonce *replay.Nonce, now time.Time) *partition {
	id := m.partitionNumber(nonce.Webhook, nonce.Tenant)
	m.mu.RLock()
	pt := m.partitions[id]
	m.mu.RUnlock()
	if pt != nil {
		return pt
	}
	return m.newPartition(id, nonce, now)
}

func (m *Store) partitionNumber(webhook string, tenant authz.View) uint64 {
	if m.key != ([32]byte{}) {
		return m.keyedNumber(webhook, tenant)
	}
	id := maphash.String(m.seed, webhook)
	if len(tenant) > 0 {
		id = maphash.Comparable(m.seed, [2]uint64{id, maphash.Bytes(m.seed, tenant)})
	}
	return id
}

// newPartition makes a partition. A tenant for which there is none takes its webhook's,
// and while that may hold nonces of such a tenant, none gets a partition of its own:
// it would not be found there that they were delivered.
func (m *Store) newPartition(id uint64, nonce *replay.Nonce, now time.Time) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := len(nonce.Tenant) > 0
	whole := m.webhooks[nonce.Webhook]
	if own && (len(m.partitions) >= maxPartitions || whole != nil && now.UnixNano() < whole.mixed) {
		own, id = false, m.partitionNumber(nonce.Webhook, nil)
		whole = m.usage(nonce.Webhook)
		whole.mixed = max(whole.mixed, nonce.Expires.UnixNano())
	}
	if pt := m.partitions[id]; pt != nil {
		return pt
	}
	return m.addPartition(id, nonce.Webhook, own)
}

// usage works with m.mu locked.
func (m *Store) usage(webhook string) *usage {
	whole := m.webhooks[webhook]
	if whole == nil {
		whole = &usage{least: m.leastOf(len(m.webhooks))}
		m.webhooks[webhook] = whole
	}
	return whole
}

// addPartition works with m.mu locked.
func (m *Store) addPartition(id uint64, webhook string, tenant bool) *partition {
	whole := m.usage(webhook)
	pt := newPartition(id, webhook, whole, whole, webhookParts)
	if tenant {
		rank := m.tenants.take()
		pt = newPartition(id, webhook, whole, &usage{rank: rank, least: m.leastOf(rank)}, tenantParts)
	}
	m.partitions[id] = pt
	m.order = append(m.order, pt)
	return pt
}

// count adds to what a partition takes of the store.
func (m *Store) count(pt *partition, n int) {
	if n == 0 {
		return
	}
	m.all.nonces.Add(int64(n))
	pt.webhook.nonces.Add(int64(n))
	if pt.own == pt.webhook {
		return
	}
	own := pt.own.nonces.Add(int64(n))
	if l := pt.webhook.largest.Load(); l != pt && (l == nil || own > l.own.nonces.Load()) {
		pt.webhook.largest.Store(pt)
	}
}

func (m *Store) countOpen(pt *partition, n int64) {
	m.all.open.Add(n)
	pt.webhook.open.Add(n)
	if pt.own != pt.webhook {
		pt.own.open.Add(n)
	}
}

// allowed reports whether a partition may take one more: what is its own in any
// case, and then of the common room. What one may have of that depends on what
// is left: the more are greedy, the less each gets. A tenant that is small
// beside the largest of its webhook need not wait until that has shrunk.
func (pt *partition) allowed(whole int64, all *usage, of func(*usage) int64, leastOf func(*usage) int64) bool {
	taken, webhook, own := of(all), of(pt.webhook), of(pt.own)
	limit := common(whole)
	left := timesFree * (limit - taken)
	switch {
	case taken >= whole:
		return false
	case webhook < leastOf(pt.webhook), own < leastOf(pt.own):
		return true
	case taken >= limit:
		return false
	case pt.own == pt.webhook:
		return webhook < left
	case webhook < left && own < timesFree*(left-webhook):
		return true
	}
	l := pt.webhook.largest.Load()
	return l != nil && own < of(l.own)/smallPart && taken < limit-limit/reserve
}

func (m *Store) free(pt *partition) bool {
	return pt.allowed(m.max, &m.all, func(u *usage) int64 { return u.nonces.Load() }, func(u *usage) int64 { return u.least.nonces })
}

// mayOpen reports whether one more reservation may be open. Where there are too
// many, those go whose leases are due.
func (m *Store) mayOpen(pt *partition, st *stripe, now time.Time) bool {
	return m.roomToOpen(pt) || m.endLeases(pt, st, now, leasesPerFull) > 0 && m.roomToOpen(pt)
}

func (m *Store) roomToOpen(pt *partition) bool {
	return pt.allowed(m.maxOpen, &m.all, func(u *usage) int64 { return u.open.Load() }, func(u *usage) int64 { return u.least.open })
}

// takeBytes takes bytes for a first segment.
func (m *Store) takeBytes(bytes int64) bool {
	if m.bytes.Add(bytes) > m.maxBytes {
		m.bytes.Add(-bytes)
		return false
	}
	return true
}

const (
	// evictTries bounds the segments that are looked at for something to evict.
	evictTries = 16
	// sweepTries bounds the segments of others that are swept when there is no
	// room.
	sweepTries = 32
)

// makeFree looks for what has expired, first in the partition, then anywhere, and
// then evicts from the partition what may be evicted.
func (m *Store) makeFree(pt *partition, t *table, p *part, s *segment, nonce *replay.Nonce, now time.Time) bool {
	m.sweep(pt, t, s, now)
	if m.free(pt) {
		return true
	}
	if m.sweeping.TryLock() {
		m.sweepSegments(now, sweepTries)
		m.sweeping.Unlock()
	}
	if m.free(pt) {
		return true
	}
	if !t.signed {
		return false
	}
	// A time ahead of ours must not raise the watermark beyond now.
	limit := t.lastEpoch(now.Add(nonce.Expires.Sub(nonce.Signed)))
	evicted := m.evict(pt, t, s, limit, now)
	for range min(evictTries, len(p.segments)) {
		if evicted > 0 && m.free(pt) {
			break
		}
		if p.cursor++; p.cursor >= len(p.segments) {
			p.cursor = 0
		}
		evicted += m.evict(pt, t, p.segments[p.cursor], limit, now)
	}
	if evicted == 0 {
		evicted = m.evictElsewhere(pt, t, p, limit, now)
	}
	return evicted > 0 && m.all.nonces.Load() < m.max
}

// evictElsewhere looks for something to evict in the other parts of the partition,
// whose stripes it does not wait for, and in tables of an earlier policy.
func (m *Store) evictElsewhere(pt *partition, own *table, part *part, limit int64, now time.Time) int {
	for _, t := range *pt.tables.Load() {
		if !t.signed || t.turn != own.turn {
			continue
		}
		upTo := limit
		if t != own {
			upTo = math.MaxInt64 - 1 // nothing is added there any more
		}
		for i := range t.parts {
			p := &t.parts[i]
			held := p == part || t != own && &own.parts[i] == part
			if len(p.segments) == 0 || !held && !pt.stripes[i].mu.TryLock() {
				continue
			}
			if p.cursor >= len(p.segments) {
				p.cursor = 0
			}
			n := m.evict(pt, t, p.segments[p.cursor], upTo, now)
			p.cursor++
			if !held {
				pt.stripes[i].mu.Unlock()
			}
			if n > 0 {
				return n
			}
		}
	}
	return 0
}

func (m *Store) evict(pt *partition, t *table, s *segment, limit int64, now time.Time) int {
	current := m.advance(pt, t, s, now)
	n := s.evict(current, limit)
	m.count(pt, -n)
	if n > 0 {
		m.counters.evicted(n, time.Unix(0, s.watermark*int64(t.epoch)))
		m.evicted(pt, t, s)
	}
	return n
}
