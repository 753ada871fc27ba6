package memory

import (
	"slices"
	"time"
)

// sweepPlace is where the sweep goes on.
type sweepPlace struct{ partition, stripe, table, segment int }

// Sweep looks at the next n segments of all partitions, forgets what has expired,
// ends leases, and gives up the partitions of tenants that have nothing left. Call
// it about once a second. Locks that are taken are passed over: it never waits.
func (m *Store) Sweep(now time.Time, n int) {
	if !m.sweeping.TryLock() {
		return
	}
	defer m.sweeping.Unlock()
	m.told(now)
	m.sweepLeases(now)
	m.sweepSegments(now, n)
}

// sweepSegments looks at the next n segments.
func (m *Store) sweepSegments(now time.Time, n int) {
	for range n {
		m.mu.RLock()
		if m.next.partition >= len(m.order) {
			m.next = sweepPlace{}
		}
		var pt *partition
		if len(m.order) > 0 {
			pt = m.order[m.next.partition]
		}
		m.mu.RUnlock()
		if pt == nil {
			return
		}
		m.sweepNext(pt, now)
	}
}

// SweepAll is Sweep of everything once.
func (m *Store) SweepAll(now time.Time) {
	m.mu.RLock()
	partitions := slices.Clone(m.order)
	m.mu.RUnlock()
	n := len(partitions)
	for _, pt := range partitions {
		n += len(pt.stripes) * (2 + len(*pt.tables.Load())) // there are steps between segments
	}
	m.Sweep(now, n+int(m.bytes.Load()/(minSlots*slotBytes)))
}

const (
	// partitionsPerSweep bounds the partitions in which a sweep ends leases, and
	// leasesPerLock how many it ends before it lets others to a stripe.
	partitionsPerSweep = 1024
	leasesPerLock      = 256
)

// sweepLeases ends the leases that are due, in the next partitions.
func (m *Store) sweepLeases(now time.Time) {
	for range partitionsPerSweep {
		m.mu.RLock()
		last := m.nextLeases >= len(m.order)
		var pt *partition
		if last {
			m.nextLeases = 0
		} else {
			pt = m.order[m.nextLeases]
			m.nextLeases++
		}
		m.mu.RUnlock()
		if last {
			return
		}
		for i := range pt.stripes {
			for st := &pt.stripes[i]; st.mu.TryLock(); {
				ended := m.endLeases(pt, st, now, leasesPerLock)
				st.open.rest()
				st.mu.Unlock()
				if ended < leasesPerLock {
					break
				}
			}
		}
	}
}

// sweepNext looks at one segment and goes on to the next.
func (m *Store) sweepNext(pt *partition, now time.Time) {
	at := &m.next
	if at.stripe >= len(pt.stripes) {
		if pt.own != pt.webhook && m.giveUp(pt, now) {
			at.partition--
		}
		*at = sweepPlace{partition: at.partition + 1}
		return
	}
	st := &pt.stripes[at.stripe]
	if !st.mu.TryLock() {
		*at = sweepPlace{partition: at.partition, stripe: at.stripe + 1}
		return
	}
	defer st.mu.Unlock()
	tables := *pt.tables.Load()
	if at.table >= len(tables) {
		*at = sweepPlace{partition: at.partition, stripe: at.stripe + 1}
		return
	}
	t := tables[at.table]
	p := &t.parts[at.stripe]
	if at.segment >= len(p.segments) {
		at.table, at.segment = at.table+1, 0
		return
	}
	m.sweep(pt, t, p.segments[at.segment], now)
	if at.segment++; at.segment == len(p.segments) && t.turn != m.clock.turns.Load() {
		m.empty(p)
	}
}

// giveUp forgets a partition that holds nothing and whose watermarks have passed.
func (m *Store) giveUp(pt *partition, now time.Time) bool {
	if pt.own.nonces.Load() > 0 || pt.own.open.Load() > 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	locked := 0
	defer func() {
		for i := range locked {
			pt.stripes[i].mu.Unlock()
		}
	}()
	var bytes int64
	past := now.UnixNano()
	for i := range pt.stripes {
		st := &pt.stripes[i]
		if !st.mu.TryLock() {
			return false
		}
		locked++
		if st.open.count > 0 || len(st.permits) > 0 {
			return false
		}
		for _, t := range *pt.tables.Load() {
			var last *segment
			for _, s := range t.parts[i].segments {
				if s == last {
					continue
				}
				if last = s; s.count > 0 || s.watermark >= t.epochOf(now) {
					return false
				}
				past = max(past, s.latest*int64(t.epoch))
				bytes += s.size()
			}
		}
	}
	for i := range pt.stripes {
		pt.stripes[i].dead = true
	}
	m.forgotten.Store(max(past, m.forgotten.Load())) // m.mu is held
	pt.webhook.largest.CompareAndSwap(pt, nil)
	m.bytes.Add(-bytes)
	delete(m.partitions, pt.id)
	m.tenants.give(pt.own.rank)
	if i := slices.Index(m.order, pt); i >= 0 {
		m.order = slices.Delete(m.order, i, i+1)
	}
	return true
}
