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

// leasesPerSweep bounds the leases that one step looks at.
const leasesPerSweep = 1024

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
	if at.table == 0 && at.segment == 0 {
		m.endLeases(pt, st, now, leasesPerSweep)
	}
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
		if len(st.open) > 0 || len(st.permits) > 0 {
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
