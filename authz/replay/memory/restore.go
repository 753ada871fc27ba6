package memory

import (
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Restore takes in an entry, before the store is in use. It has room for all:
// they had been there.
func (m *Store) Restore(e *Entry, now time.Time) {
	pt := m.restoredPartition(e)
	if e.flags&entryWatermark != 0 {
		m.watermarks = append(m.watermarks, *e)
		return
	}
	st := &pt.stripes[pt.part(e.fingerprint)]
	if at, found := m.find(pt, e.fingerprint, now); found {
		at.segment.drop(at.at)
		m.count(pt, -1)
	}
	if e.flags&entryNonce != 0 {
		m.restoreNonce(pt, e, now)
	}
	if e.flags&entryPart != 0 {
		return
	}
	if o := st.open.find(e.fingerprint); o != nil {
		m.forget(pt, st, o)
	}
	delete(st.permits, e.fingerprint)
	if e.permit != 0 {
		st.addPermit(e.fingerprint, time.Unix(0, e.permit), now)
	}
	if e.flags&entryOpen != 0 {
		st.own(st.open.add(e.open), e.owners)
		m.countOpen(pt, 1)
	}
}

func (m *Store) restoredPartition(e *Entry) *partition {
	if pt := m.partitions[e.Partition]; pt != nil {
		return pt
	}
	return m.addPartition(e.Partition, e.Webhook, e.Tenant)
}

func (m *Store) restoreNonce(pt *partition, e *Entry, now time.Time) {
	t := m.table(pt, e.flags&entrySigned != 0, time.Second<<e.class)
	s, p := m.restoredSegment(pt, t, e, now)
	current := m.advance(pt, t, s, now)
	if e.expires <= current {
		return
	}
	if pt.own == pt.webhook { // of a tenant, perhaps
		pt.webhook.mixed = max(pt.webhook.mixed, e.expires*int64(t.epoch))
	}
	if s.crowded() {
		nonces, bytes := p.widen(s, current)
		m.count(pt, nonces)
		m.bytes.Add(bytes)
		s = p.segment(split(e.fingerprint))
	}
	key := split(e.fingerprint)
	key.set(e.state)
	if e.like != 0 {
		m.keep(s)
	}
	// After a clock was set back, what would expire too far ahead must do so
	// earlier.
	m.count(pt, s.put(s.freePlace(key, current), key, e.like, min(e.expires, s.swept+255)))
}

func (m *Store) restoredSegment(pt *partition, t *table, e *Entry, now time.Time) (*segment, *part) {
	p := &t.parts[pt.part(e.fingerprint)]
	if s := p.segment(split(e.fingerprint)); s != nil {
		return s, p
	}
	latest := t.epochOf(now)
	s := &segment{slots: make([]slot, minSlots), swept: latest, latest: latest}
	p.segments = []*segment{s}
	m.bytes.Add(minSlots * slotBytes)
	return s, p
}

// Restored ends the restoring. What has expired at the latest time that an
// earlier process knew stays expired.
func (m *Store) Restored(latest, now time.Time) {
	for i := range m.watermarks {
		m.restoreWatermark(&m.watermarks[i], now)
	}
	m.watermarks = nil
	m.clock.latest.Store(latest.UnixNano())
	m.forgotten.Store(max(m.forgotten.Load(), latest.UnixNano()))
	for _, pt := range m.order {
		for _, t := range *pt.tables.Load() {
			for i := range t.parts {
				for _, s := range t.parts[i].segments {
					s.latest = max(s.latest, t.epochOf(latest))
				}
			}
		}
	}
}

func (m *Store) restoreWatermark(e *Entry, now time.Time) {
	pt := m.restoredPartition(e)
	t := m.table(pt, e.flags&entrySigned != 0, time.Second<<e.class)
	_, p := m.restoredSegment(pt, t, e, now)
	prefix := split(e.fingerprint).high
	for at, s := range p.segments {
		depth := min(e.depth, p.depth)
		if uint64(at)<<(64-p.depth)>>(64-depth) == prefix>>(64-depth) {
			s.watermark = max(s.watermark, e.expires)
			m.count(pt, -s.sweep(m.advance(pt, t, s, now)))
		}
	}
}

// Undo makes it as if an answer of ReserveNoted, which nobody has got, had not
// been given. What others have done to the reservation since stays.
func (m *Store) Undo(a Answer, now time.Time) {
	if a.Outcome != replay.Reserved {
		return
	}
	m.counters.undone(a.Answer)
	pt, st := m.locked(a.Reservation)
	if st == nil {
		return
	}
	defer st.mu.Unlock()
	f := a.Reservation.Fingerprint
	o := st.open.find(f)
	switch {
	case o != nil && (o.id != a.Reservation.ID || !a.joined):
	case o != nil:
		m.leave(pt, st, o, a.Reservation.Owner, now)
	case a.alone && a.Mark == authz.MarkRedelivered:
		st.addPermit(f, now.Add(replay.PermitTime), now)
	case a.alone:
		at, found := m.find(pt, f, now)
		if !found || at.slot().state() != stateTaken {
			return
		}
		if !a.New {
			at.slot().set(stateUnsure)
			return
		}
		at.segment.drop(at.at)
		m.count(pt, -1)
	}
}
