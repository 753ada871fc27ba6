// Package memory is the nonce store of a single replica. The file store keeps a
// log of it, and the Redis store goes on with one while Redis is away.
//
// # Nonces
//
// A nonce is a slot of 16 bytes: 118 bits of the fingerprint, which is a keyed
// hash already, what became of the delivery, and in which 128th of its span it
// expires. Slots lie in open-addressed segments of at most 1,536, so that nothing
// moves more than one of them, and the garbage collector sees a pointer for each
// segment and none for a nonce. What is known of those whose outcome is open lies
// beside them, for as long as it is.
//
// # Bounds
//
// Nonces, open ones and bytes are bounded. Each webhook and each tenant has a
// partition of the room, which falls as the room fills, and a least that nobody else
// can take: a flood ends in its own partition. What has a signed time may be evicted
// by others of its partition, and raises the partition's watermark; what has none is never
// evicted, and where there is no room for more it is refused.
//
// # What it does not protect against
//
// It forgets when the process ends, and knows nothing of other replicas. A start
// is therefore a watermark: see [Config]. Two contents with the same 118 bits are
// one, and nobody who does not know the key of fingerprints can find two.
package memory

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Store is the store of a single replica. It is safe for concurrent use.
type Store struct {
	max, maxOpen, maxBytes int64
	seed                   maphash.Seed
	all                    usage
	bytes                  atomic.Int64
	// forgotten is the latest time, in nanoseconds since 1970, at which a partition
	// was given up.
	forgotten atomic.Int64
	clock     clock
	counters  counters
	// key makes the numbers of partitions, if it is not zero.
	key        [32]byte
	watermarks []Entry // while it is restored
	// onWatermark is told of evictions.
	onWatermark func(*Entry)

	mu         sync.RWMutex // of what follows
	webhooks   map[string]*usage
	tenants    ranks
	partitions map[uint64]*partition
	order      []*partition // for the sweep

	sweeping   sync.Mutex // of what follows
	next       sweepPlace
	nextLeases int // the partition in which leases are ended next
}

// Config configures a store.
type Config struct {
	// MaxEntries bounds the nonces of all webhooks together. One of them can
	// take three quarters; a sixteenth is reserved for those webhooks and tenants
	// that take little.
	MaxEntries int
	// MaxPending bounds those whose outcome is open; 262144 if 0.
	MaxPending int
	// MaxBytes bounds the slots; 48 for each entry, 512 for each partition that tenants
	// can have, however little lies there, and a mebibyte if 0.
	MaxBytes int64
	// Started is the start guard, as by Guard: the store of an earlier process may
	// have known deliveries that came before. Zero: none.
	Started time.Time
	// Key makes the numbers of partitions the same in each process. Zero: they are
	// not.
	Key [32]byte
}

const (
	defaultPending = 1 << 18
	// maxPartitions bounds the tenants that have a partition of their own. Others take
	// their webhook's.
	maxPartitions = 1 << 14
)

// New returns an empty store.
func New(config Config) *Store {
	if config.MaxPending == 0 {
		config.MaxPending = defaultPending
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = int64(config.MaxEntries)*48 + maxPartitions*tenantParts*minSlots*slotBytes + 1<<20
	}
	m := &Store{
		max: int64(config.MaxEntries), maxOpen: int64(config.MaxPending), maxBytes: config.MaxBytes,
		seed: maphash.MakeSeed(), key: config.Key,
		webhooks: map[string]*usage{}, partitions: map[uint64]*partition{},
	}
	m.Guard(config.Started)
	return m
}

// Reserve never fails with an error.
func (m *Store) Reserve(_ context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	return m.ReserveNoted(nonce, claim, now, nil).Answer, nil
}

// Known looks for a nonce that is done or taken and that nobody can adopt or is
// permitted to repeat.
func (m *Store) Known(nonce replay.Nonce, now time.Time) (replay.Answer, bool) {
	if m.guarded(&nonce) {
		return replay.Answer{}, false
	}
	f := nonce.Fingerprint
	pt, st := m.locked(authz.Reservation{Fingerprint: f, Partition: m.partitionNumber(nonce.Webhook, nonce.Tenant)})
	if st == nil {
		return replay.Answer{}, false
	}
	defer st.mu.Unlock()
	if o := st.open.find(f); o != nil && !m.endLease(pt, st, o, now) {
		return replay.Answer{}, false
	}
	named := replay.Answer{Outcome: replay.Copy, Reservation: authz.Reservation{Fingerprint: f, Partition: pt.id}}
	at, found := m.find(pt, f, now)
	if _, permitted := st.permits[f]; !found || permitted {
		return replay.Answer{}, false
	}
	switch at.slot().state() {
	case stateDone:
		named.Alike = at.like().Like(nonce.Likeness)
	case stateTaken:
		named.Outcome = replay.CopyUnknown
	default:
		return replay.Answer{}, false
	}
	m.counters.answered(named)
	return named, true
}

// reserve works with the stripe locked.
func (m *Store) reserve(pt *partition, st *stripe, nonce *replay.Nonce, claim *replay.Claim, now time.Time) Answer {
	f := nonce.Fingerprint
	named := Answer{Answer: replay.Answer{Reservation: authz.Reservation{Fingerprint: f, Partition: pt.id}}}
	if now.UnixNano()-st.open.due() >= leaseDelay {
		m.endLeases(pt, st, now, leasesPerCall)
	}
	o := st.open.find(f)
	if o != nil && m.endLease(pt, st, o, now) {
		o = nil
	}
	if o != nil && o.check == claim.Check && o.check != (authz.CheckID{}) {
		who := st.owners(o)
		named.joined = who.join(claim.Owner)
		st.own(o, who)
		named.Outcome, named.Adopted, named.Mark = replay.Reserved, true, o.mark
		named.Reservation.ID, named.Reservation.Owner = o.id, claim.Owner
		if !o.final {
			named.Reservation.Ends = o.ends
		}
		return named
	}
	at, found := m.find(pt, f, now)
	if !found {
		o := open{absent: true}
		if m.doubted(nonce, now) {
			o.mark = authz.MarkPossible
		}
		return m.open(pt, st, nonce, claim, o, now, named)
	}
	switch at.slot().state() {
	case stateUnsure:
		return m.reopen(pt, st, at, nonce, claim, now, named)
	case statePending:
		named.Outcome = replay.Pending
		return named
	case stateTaken:
		named.Outcome = replay.CopyUnknown
	default:
		named.Outcome, named.Alike = replay.Copy, at.like().Like(nonce.Likeness)
	}
	if (o == nil || o.final) && st.permit(f, now) {
		if o != nil {
			m.forget(pt, st, o)
		}
		m.add(pt, st, claim, open{final: true, before: at.slot().state(), mark: authz.MarkRedelivered}, now, &named)
		m.counters.redelivered.Add(1)
	}
	return named
}

// open reserves a nonce that is not there.
func (m *Store) open(pt *partition, st *stripe, nonce *replay.Nonce, claim *replay.Claim, o open, now time.Time, named Answer) Answer {
	to := statePending
	if claim.Lease <= 0 {
		to, o.final = stateTaken, true
	} else if !m.mayOpen(pt, st, now) {
		named.Outcome = replay.Full
		return named
	}
	if named.Outcome = m.insert(pt, nonce, to, now); named.Outcome != replay.Reserved {
		return named
	}
	m.add(pt, st, claim, o, now, &named)
	return named
}

// reopen reserves a nonce whose earlier outcome is not known.
func (m *Store) reopen(pt *partition, st *stripe, at place, nonce *replay.Nonce, claim *replay.Claim, now time.Time, named Answer) Answer {
	o := open{before: stateUnsure, mark: authz.MarkPossible}
	t := m.table(pt, !nonce.Signed.IsZero(), nonce.Span)
	if t != at.table {
		// A reload has changed its span: it moves to where it is kept as long
		// as it must be now.
		was := *at.slot()
		at.segment.drop(at.at)
		m.count(pt, -1)
		named = m.open(pt, st, nonce, claim, o, now, named)
		if named.Outcome != replay.Reserved {
			at.segment.undoDrop(at.at, was)
			m.count(pt, 1)
		}
		return named
	}
	to := statePending
	if claim.Lease <= 0 {
		to, o.final = stateTaken, true
	} else if !m.mayOpen(pt, st, now) {
		named.Outcome = replay.Full
		return named
	}
	expires := t.lastEpoch(nonce.Expires)
	if expires <= at.current || expires > at.segment.swept+255 {
		named.Outcome = replay.Uncertain
		return named
	}
	slot := at.slot()
	slot.low = slot.low&^codeMask | code(max(expires, at.segment.expires(*slot)))
	slot.set(to)
	if nonce.Likeness != 0 {
		m.keep(at.segment)
	}
	if at.segment.likes != nil {
		(*at.segment.likes)[at.at] = nonce.Likeness // if it is taken, then as it is this time
	}
	m.add(pt, st, claim, o, now, &named)
	return named
}

// add takes down who holds what was reserved.
func (m *Store) add(pt *partition, st *stripe, claim *replay.Claim, o open, now time.Time, named *Answer) {
	if old := st.open.find(named.Reservation.Fingerprint); old != nil {
		m.forget(pt, st, old) // its nonce has expired, or was evicted, before its lease ended
	}
	named.Outcome, named.Mark, named.New, named.joined = replay.Reserved, o.mark, o.absent, true
	named.Reservation.ID, named.Reservation.Owner = rand.Uint64()|1, claim.Owner //nolint:gosec // it is sealed before it leaves
	lease := claim.Lease
	if o.final {
		if claim.Check == (authz.CheckID{}) || !m.mayOpen(pt, st, now) {
			named.alone = true
			return // nobody can adopt it
		}
		lease = adoptable
	}
	o.fingerprint, o.check, o.unknown = named.Reservation.Fingerprint, claim.Check, claim.Unknown
	o.id, o.owner, o.ends = named.Reservation.ID, claim.Owner, now.Add(lease).UnixNano()
	if !o.final {
		named.Reservation.Ends = o.ends
	}
	st.open.add(o)
	m.countOpen(pt, 1)
}

// Settle never fails with an error.
func (m *Store) Settle(_ context.Context, r authz.Reservation, fate replay.Fate, now time.Time) (bool, error) {
	return m.SettleNoted(r, fate, now, nil), nil
}

// Release never fails with an error.
func (m *Store) Release(_ context.Context, r authz.Reservation, now time.Time) (bool, error) {
	return m.ReleaseNoted(r, now, nil), nil
}

// Permit never fails with an error.
func (m *Store) Permit(_ context.Context, r authz.Reservation, until, now time.Time) (bool, error) {
	return m.PermitNoted(r, until, now, nil), nil
}

// Issued reports whether the store may have made the reservation: it has its
// partition. Without a Key, another store's has another number.
func (m *Store) Issued(r authz.Reservation) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.partitions[r.Partition] != nil
}

// locked returns the stripe of a reservation, locked, or nil.
func (m *Store) locked(r authz.Reservation) (*partition, *stripe) {
	m.mu.RLock()
	pt := m.partitions[r.Partition]
	m.mu.RUnlock()
	if pt == nil {
		return nil, nil
	}
	st := &pt.stripes[pt.part(r.Fingerprint)]
	st.mu.Lock()
	return pt, st
}

// close ends an open reservation.
func (m *Store) close(pt *partition, st *stripe, o *open, fate replay.Fate, now time.Time) {
	if at, found := m.find(pt, o.fingerprint, now); found { // or it was evicted
		switch {
		case fate == replay.Delivered:
			at.slot().set(stateDone)
		case fate == replay.Taken:
			at.slot().set(stateTaken)
		case fate == replay.Unsure || !o.absent:
			// What came before is as uncertain as it was.
			at.slot().set(stateUnsure)
		default:
			at.segment.drop(at.at)
			m.count(pt, -1)
		}
	}
	m.forget(pt, st, o)
}

func (m *Store) forget(pt *partition, st *stripe, o *open) {
	st.forget(o)
	m.countOpen(pt, -1)
}

// endLease does what the end of the lease means, if it has come.
func (m *Store) endLease(pt *partition, st *stripe, o *open, now time.Time) bool {
	if now.UnixNano() < o.ends {
		return false
	}
	if o.final {
		m.forget(pt, st, o)
		return true
	}
	fate := o.unknown
	if fate != replay.Unsure {
		fate = replay.Taken
	}
	m.counters.expired(fate)
	m.close(pt, st, o, fate, now)
	return true
}

const (
	// leaseDelay is how long the ends of leases wait for the sweep, which does many
	// at once, before calls do them, and leasesPerCall how many each does. What a
	// call itself asks for never waits.
	leaseDelay    = int64(2 * time.Second)
	leasesPerCall = 4
	// leasesPerFull is how many a call does that finds no room.
	leasesPerFull = 64
)

// endLeases ends up to n leases that are due, the oldest first, and returns how
// many those were.
func (m *Store) endLeases(pt *partition, st *stripe, now time.Time, n int) (ended int) {
	for at := now.UnixNano(); ended < n; ended++ {
		o := st.open.oldest(at)
		if o == nil || !m.endLease(pt, st, o, now) {
			break
		}
	}
	return ended
}
