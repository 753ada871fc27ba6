package memory

import (
	"slices"
	"time"
)

// sweepPlace is where the sweep goes on.
type sweepPlace struct{ share, stripe, table, segment int }

// Sweep looks at the next n segments of all shares, forgets what has expired,
// ends leases, and gives up the shares of tenants that have nothing left. Call
// it about once a second. Locks that are taken are passed over: it never waits.
func (m *Store) Sweep(now time.Time, n int) {
	if !m.sweeping.TryLock() {
		return
	}
	defer m.sweeping.Unlock()
	m.told(now)
	for range n {
		m.mu.RLock()
		if m.next.share >= len(m.order) {
			m.next = sweepPlace{}
		}
		var sh *share
		if len(m.order) > 0 {
			sh = m.order[m.next.share]
		}
		m.mu.RUnlock()
		if sh == nil {
			return
		}
		m.sweepNext(sh, now)
	}
}

// SweepAll is Sweep of everything once.
func (m *Store) SweepAll(now time.Time) {
	m.mu.RLock()
	shares := slices.Clone(m.order)
	m.mu.RUnlock()
	n := len(shares)
	for _, sh := range shares {
		n += len(sh.stripes) * (2 + len(*sh.tables.Load())) // there are steps between segments
	}
	m.Sweep(now, n+int(m.bytes.Load()/(minSlots*slotBytes)))
}

// leasesPerSweep bounds the leases that one step looks at.
const leasesPerSweep = 1024

// sweepNext looks at one segment and goes on to the next.
func (m *Store) sweepNext(sh *share, now time.Time) {
	at := &m.next
	if at.stripe >= len(sh.stripes) {
		if sh.own != sh.webhook && m.giveUp(sh, now) {
			at.share--
		}
		*at = sweepPlace{share: at.share + 1}
		return
	}
	st := &sh.stripes[at.stripe]
	if !st.mu.TryLock() {
		*at = sweepPlace{share: at.share, stripe: at.stripe + 1}
		return
	}
	defer st.mu.Unlock()
	if at.table == 0 && at.segment == 0 {
		m.endLeases(sh, st, now, leasesPerSweep)
	}
	tables := *sh.tables.Load()
	if at.table >= len(tables) {
		*at = sweepPlace{share: at.share, stripe: at.stripe + 1}
		return
	}
	t := tables[at.table]
	p := &t.parts[at.stripe]
	if at.segment >= len(p.segments) {
		at.table, at.segment = at.table+1, 0
		return
	}
	m.sweep(sh, t, p.segments[at.segment], now)
	if at.segment++; at.segment == len(p.segments) && t.turn != m.clock.turns.Load() {
		m.empty(p)
	}
}

// giveUp forgets a share that holds nothing and whose watermarks have passed.
func (m *Store) giveUp(sh *share, now time.Time) bool {
	if sh.own.nonces.Load() > 0 || sh.own.open.Load() > 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	locked := 0
	defer func() {
		for i := range locked {
			sh.stripes[i].mu.Unlock()
		}
	}()
	var bytes int64
	past := now.UnixNano()
	for i := range sh.stripes {
		st := &sh.stripes[i]
		if !st.mu.TryLock() {
			return false
		}
		locked++
		if len(st.open) > 0 || len(st.permits) > 0 {
			return false
		}
		for _, t := range *sh.tables.Load() {
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
	for i := range sh.stripes {
		sh.stripes[i].dead = true
	}
	m.forgotten.Store(max(past, m.forgotten.Load())) // m.mu is held
	sh.webhook.largest.CompareAndSwap(sh, nil)
	m.bytes.Add(-bytes)
	delete(m.shares, sh.id)
	m.tenants.give(sh.own.rank)
	if i := slices.Index(m.order, sh); i >= 0 {
		m.order = slices.Delete(m.order, i, i+1)
	}
	return true
}
