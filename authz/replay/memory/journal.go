package memory

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/minio/highwayhash"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// keyedNumber is the number of a partition that is the same in each process.
func (m *Store) keyedNumber(webhook string, tenant authz.View) uint64 {
	b := make([]byte, 0, 64)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(webhook)))
	b = append(append(b, webhook...), tenant...)
	return highwayhash.Sum64(b, m.key[:])
}

// Answer is the answer of ReserveNoted, with what Undo must know.
type Answer struct {
	replay.Answer
	joined bool // the claim's owner owns it since this answer
	alone  bool // nobody can adopt it
}

// ReserveNoted is Reserve. If it has reserved or adopted something, note gets
// what is known of it now.
func (m *Store) ReserveNoted(nonce replay.Nonce, claim replay.Claim, now time.Time, note func(*Entry)) Answer {
	m.told(now)
	for {
		pt := m.partition(&nonce, now)
		st := &pt.stripes[pt.part(nonce.Fingerprint)]
		st.mu.Lock()
		if st.dead {
			st.mu.Unlock()
			continue // given up in this moment; the next one is another
		}
		answer := m.reserve(pt, st, &nonce, &claim, now)
		if note != nil && answer.Outcome == replay.Reserved {
			m.note(pt, st, nonce.Fingerprint, now, note)
		}
		st.mu.Unlock()
		m.counters.answered(answer.Answer)
		return answer
	}
}

// SettleNoted is Settle. If it has settled something, note gets what is known
// of it now.
func (m *Store) SettleNoted(r authz.Reservation, fate replay.Fate, now time.Time, note func(*Entry)) bool {
	pt, st := m.locked(r)
	if st == nil {
		return false
	}
	defer st.mu.Unlock()
	o := st.open.find(r.Fingerprint)
	if o == nil || o.id != r.ID || o.final || fate == replay.Undecided || m.endLease(pt, st, o, now) {
		return false
	}
	m.close(pt, st, o, fate, now)
	m.counters.settled(fate)
	m.note(pt, st, r.Fingerprint, now, note)
	return true
}

// ReleaseNoted is Release. If it has given something back, note gets what is
// known of it now.
func (m *Store) ReleaseNoted(r authz.Reservation, now time.Time, note func(*Entry)) bool {
	pt, st := m.locked(r)
	if st == nil {
		return false
	}
	defer st.mu.Unlock()
	o := st.open.find(r.Fingerprint)
	if o == nil || o.id != r.ID {
		return false
	}
	left, released := m.leave(pt, st, o, r.Owner, now)
	if released {
		m.counters.givenBack.Add(1)
	}
	if left {
		m.note(pt, st, r.Fingerprint, now, note)
	}
	return left
}

// PermitNoted is Permit. If it permits something, note gets what is known of it
// now.
func (m *Store) PermitNoted(r authz.Reservation, until, now time.Time, note func(*Entry)) bool {
	pt, st := m.locked(r)
	if st == nil {
		return false
	}
	defer st.mu.Unlock()
	at, found := m.find(pt, r.Fingerprint, now)
	if !found {
		return false
	}
	if s := at.slot().state(); s != stateDone && s != stateTaken || !st.addPermit(r.Fingerprint, until, now) {
		return false
	}
	m.note(pt, st, r.Fingerprint, now, note)
	return true
}

// leave takes an owner out, and releases the reservation after the last one.
func (m *Store) leave(pt *partition, st *stripe, o *open, owner uint64, now time.Time) (left, released bool) {
	who := st.owners(o)
	left, released = who.leave(owner)
	st.own(o, who)
	if released {
		m.release(pt, st, o, now)
	}
	return left, released
}

// release makes it as if the reservation had not been made.
func (m *Store) release(pt *partition, st *stripe, o *open, now time.Time) {
	if o.mark == authz.MarkRedelivered {
		st.addPermit(o.fingerprint, now.Add(replay.PermitTime), now)
		m.forget(pt, st, o)
	} else {
		m.close(pt, st, o, replay.Undelivered, now)
	}
}

func (m *Store) entry(pt *partition) Entry {
	return Entry{Partition: pt.id, Webhook: pt.name, Tenant: pt.own != pt.webhook}
}

// note hands out what is known of a content. The stripe is locked.
func (m *Store) note(pt *partition, st *stripe, f authz.Fingerprint, now time.Time, note func(*Entry)) {
	if note == nil {
		return
	}
	e := m.entry(pt)
	e.fingerprint, e.permit = f, st.permitted(f)
	if at, found := m.find(pt, f, now); found {
		e.lies(at)
	}
	if o := st.open.find(f); o != nil {
		e.holds(o, st.owners(o))
	}
	note(&e)
}

func (e *Entry) lies(at place) {
	e.flags |= entryNonce
	if at.table.signed {
		e.flags |= entrySigned
	}
	sl := *at.slot()
	e.class, e.state, e.expires, e.like = at.table.class(), sl.state(), at.segment.expires(sl), at.like()
}

func (e *Entry) holds(o *open, who owners) {
	e.flags |= entryOpen
	if o.unknown == replay.Unsure {
		e.flags |= entryUnsure
	}
	if o.final {
		e.flags |= entryFinal
	}
	if o.absent {
		e.flags |= entryAbsent
	}
	e.open, e.owners = *o, who
}

// class is the exponent of the table's span.
func (t *table) class() uint8 { return uint8(spanClass(t.epoch * spanEpochs)) }

// fingerprint is that of the slot, but for two bits.
func (s slot) fingerprint() (f authz.Fingerprint) {
	binary.LittleEndian.PutUint64(f[:], s.high)
	binary.LittleEndian.PutUint64(f[7:15], s.low)
	f[7] = byte(s.high >> 56)
	f[8] &^= 3
	f[15] = 0
	return f
}

// opensPerStep bounds the open ones that one step of a walk hands out; a
// segment has at most 1,536 nonces.
const opensPerStep = 1024

// Walk hands out everything, in steps of one partition each. What changes meanwhile may
// be handed out or not: its own note came, or comes, with the change. After each step,
// still under the lock of what was handed out, it calls step; then, when no lock is held,
// between, and ends with its error.
func (m *Store) Walk(now time.Time, note func(*Entry), step func(), between func() error) error {
	m.mu.RLock()
	partitions := slices.Clone(m.order)
	m.mu.RUnlock()
	for _, pt := range partitions {
		for i := range pt.stripes {
			if err := m.walkStripe(pt, i, now, note, step, between); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Store) walkStripe(pt *partition, i int, now time.Time, note func(*Entry), step func(), between func() error) error {
	st := &pt.stripes[i]
	for _, t := range *pt.tables.Load() {
		for at := 0; ; {
			st.mu.Lock()
			segments := t.parts[i].segments
			if at >= len(segments) {
				st.mu.Unlock()
				break
			}
			s := segments[at]
			m.walkSegment(pt, t, s, now, note)
			if s.watermark > s.latest {
				m.noteWatermark(pt, t, place{table: t, segment: s, at: at}, i, note)
			}
			// A directory that doubles brings what was seen to pass once more,
			// and what was not stays ahead.
			for at < len(segments) && segments[at] == s {
				at++
			}
			step()
			st.mu.Unlock()
			if err := between(); err != nil {
				return err
			}
		}
	}
	st.mu.Lock()
	for f := range st.permits { // there are few
		m.note(pt, st, f, now, note)
	}
	step()
	st.mu.Unlock()
	for at, all := uint32(0), false; !all; {
		st.mu.Lock()
		for range opensPerStep {
			if all = at >= st.open.made; all {
				break
			}
			at++
			if o := st.open.at(at); o != nil {
				m.note(pt, st, o.fingerprint, now, note)
			}
		}
		step()
		st.mu.Unlock()
		if err := between(); err != nil {
			return err
		}
	}
	return nil
}

func (m *Store) walkSegment(pt *partition, t *table, s *segment, now time.Time, note func(*Entry)) {
	current := m.advance(pt, t, s, now)
	e := m.entry(pt)
	for i, sl := range s.slots {
		if s.live(sl, current) {
			e.flags = entryPart
			e.fingerprint = sl.fingerprint()
			e.lies(place{t, s, i, current})
			note(&e)
		}
	}
}

// noteWatermark hands out up to where a segment, at that place of the directory of
// a part, has forgotten.
func (m *Store) noteWatermark(pt *partition, t *table, at place, part int, note func(*Entry)) {
	e := m.watermark(pt, t, at.segment)
	e.fingerprint = slot{high: uint64(at.at) << (64 - t.parts[part].depth)}.fingerprint() // a shift by 64 is 0
	e.fingerprint[8] = byte(part << 2)
	note(&e)
}

func (m *Store) watermark(pt *partition, t *table, s *segment) Entry {
	e := m.entry(pt)
	e.flags, e.class, e.expires, e.depth = entryWatermark, t.class(), s.watermark, s.depth
	if t.signed {
		e.flags |= entrySigned
	}
	return e
}

// NoteWatermarks makes note get the entry of each eviction, under a lock. It may not
// be called once the store is in use.
func (m *Store) NoteWatermarks(note func(*Entry)) { m.onWatermark = note }

// evicted hands out the watermark of a segment from which something was evicted.
func (m *Store) evicted(pt *partition, t *table, s *segment) {
	if m.onWatermark == nil {
		return
	}
	for _, sl := range s.slots {
		if sl.low != 0 { // used, if no more: it says where the segment lies
			e := m.watermark(pt, t, s)
			e.fingerprint = sl.fingerprint()
			m.onWatermark(&e)
			return
		}
	}
}
