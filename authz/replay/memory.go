package replay

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Memory is the store of a single replica. It is bounded by nonces and by
// bytes, at 16 bytes a slot and a load between one half and three quarters.
//
// Each webhook and each tenant has a share of its own. Nonces with a signed
// time may be evicted by others of their share, at the price of a higher
// watermark there; nonces without are never evicted.
type Memory struct {
	max, maxOpen, maxBytes int64
	seed                   maphash.Seed
	all                    room
	bytes                  atomic.Int64
	// forgotten is the latest time, in nanoseconds since 1970, at which a share
	// was given up.
	forgotten atomic.Int64
	clock     clock
	counters  counters
	// key makes the numbers of shares, if it is not zero.
	key    [32]byte
	floors []Entry // while it is restored
	// onFloor is told of evictions.
	onFloor func(*Entry)

	mu       sync.RWMutex // of what follows
	webhooks map[string]*room
	tenants  ranks
	shares   map[uint64]*share
	order    []*share // for the sweep

	sweeping sync.Mutex
	next     sweepPlace
}

// MemoryConfig configures a store.
type MemoryConfig struct {
	// MaxEntries bounds the nonces of all webhooks together. One of them can
	// take three quarters; a sixteenth is reserved for those webhooks and tenants
	// that take little.
	MaxEntries int
	// MaxPending bounds those whose outcome is open; 262144 if 0.
	MaxPending int
	// MaxBytes bounds the slots; 48 for each entry, 512 for each share that tenants
	// can have, however little lies there, and a mebibyte if 0.
	MaxBytes int64
	// Started is the start guard, as by Guard: the store of an earlier process may
	// have known deliveries that came before. Zero: none.
	Started time.Time
	// Key makes the numbers of shares the same in each process. Zero: they are
	// not.
	Key [32]byte
}

const (
	defaultPending = 1 << 18
	// maxShares bounds the tenants that have a share of their own. Others take
	// their webhook's.
	maxShares = 1 << 14
)

// NewMemory returns an empty store.
func NewMemory(config MemoryConfig) *Memory {
	if config.MaxPending == 0 {
		config.MaxPending = defaultPending
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = int64(config.MaxEntries)*48 + maxShares*tenantParts*minSlots*slotBytes + 1<<20
	}
	m := &Memory{
		max: int64(config.MaxEntries), maxOpen: int64(config.MaxPending), maxBytes: config.MaxBytes,
		seed: maphash.MakeSeed(), key: config.Key,
		webhooks: map[string]*room{}, shares: map[uint64]*share{},
	}
	m.Guard(config.Started)
	return m
}

// Reserve never fails with an error.
func (m *Memory) Reserve(_ context.Context, nonce Nonce, claim Claim, now time.Time) (Answer, error) {
	return m.ReserveNoted(nonce, claim, now, nil), nil
}

// Known looks for a nonce that is done or taken and that nobody can adopt or is
// permitted to repeat.
func (m *Memory) Known(nonce Nonce, now time.Time) (Answer, bool) {
	if m.guarded(&nonce) {
		return Answer{}, false
	}
	f := nonce.Fingerprint
	sh, st := m.locked(authz.Reservation{Fingerprint: f, Share: m.shareNumber(nonce.Webhook, nonce.Tenant)})
	if st == nil {
		return Answer{}, false
	}
	defer st.mu.Unlock()
	if o := st.find(f); o != nil && !m.endLease(sh, st, o, now) {
		return Answer{}, false
	}
	named := Answer{Outcome: Copy, Reservation: authz.Reservation{Fingerprint: f, Share: sh.id}}
	at, found := m.find(sh, f, now)
	if _, permitted := st.permits[f]; !found || permitted {
		return Answer{}, false
	}
	switch at.slot().state() {
	case stateDone:
		named.Alike = at.like().Like(nonce.Likeness)
	case stateTaken:
		named.Outcome = CopyUnknown
	default:
		return Answer{}, false
	}
	m.counters.answered(named)
	return named, true
}

// reserve works with the stripe locked.
func (m *Memory) reserve(sh *share, st *stripe, nonce *Nonce, claim *Claim, now time.Time) Answer {
	f := nonce.Fingerprint
	named := Answer{Reservation: authz.Reservation{Fingerprint: f, Share: sh.id}}
	m.endLeases(sh, st, now, leasesPerCall)
	o := st.find(f)
	if o != nil && m.endLease(sh, st, o, now) {
		o = nil
	}
	if o != nil && o.check == claim.Check && o.check != (authz.CheckID{}) {
		named.joined = o.owners.join(claim.Owner)
		named.Outcome, named.Adopted, named.Mark = Reserved, true, o.mark
		named.Reservation.ID, named.Reservation.Owner = o.id, claim.Owner
		if !o.final {
			named.Reservation.Ends = o.ends
		}
		return named
	}
	at, found := m.find(sh, f, now)
	if !found {
		o := open{absent: true}
		if m.doubted(nonce, now) {
			o.mark = authz.MarkPossible
		}
		return m.open(sh, st, nonce, claim, o, now, named)
	}
	switch at.slot().state() {
	case stateUnsure:
		return m.reopen(sh, st, at, nonce, claim, now, named)
	case statePending:
		named.Outcome = Pending
		return named
	case stateTaken:
		named.Outcome = CopyUnknown
	default:
		named.Outcome, named.Alike = Copy, at.like().Like(nonce.Likeness)
	}
	if (o == nil || o.final) && st.permit(f, now) {
		if o != nil {
			m.forget(sh, st, o)
		}
		m.add(sh, st, claim, open{final: true, before: at.slot().state(), mark: authz.MarkRedelivered}, now, &named)
		m.counters.redelivered.Add(1)
	}
	return named
}

// open reserves a nonce that is not there.
func (m *Memory) open(sh *share, st *stripe, nonce *Nonce, claim *Claim, o open, now time.Time, named Answer) Answer {
	to := statePending
	if claim.Lease <= 0 {
		to, o.final = stateTaken, true
	} else if !m.mayOpen(sh) {
		named.Outcome = Full
		return named
	}
	if named.Outcome = m.insert(sh, nonce, to, now); named.Outcome != Reserved {
		return named
	}
	m.add(sh, st, claim, o, now, &named)
	return named
}

// reopen reserves a nonce whose earlier outcome is not known.
func (m *Memory) reopen(sh *share, st *stripe, at place, nonce *Nonce, claim *Claim, now time.Time, named Answer) Answer {
	o := open{before: stateUnsure, mark: authz.MarkPossible}
	t := m.table(sh, !nonce.Signed.IsZero(), nonce.Span)
	if t != at.table {
		// A reload has changed its span: it moves to where it is kept as long
		// as it must be now.
		was := *at.slot()
		at.segment.drop(at.at)
		m.count(sh, -1)
		named = m.open(sh, st, nonce, claim, o, now, named)
		if named.Outcome != Reserved {
			at.segment.undrop(at.at, was)
			m.count(sh, 1)
		}
		return named
	}
	to := statePending
	if claim.Lease <= 0 {
		to, o.final = stateTaken, true
	} else if !m.mayOpen(sh) {
		named.Outcome = Full
		return named
	}
	expires := t.lastEpoch(nonce.Expires)
	if expires <= at.current || expires > at.segment.swept+255 {
		named.Outcome = Uncertain
		return named
	}
	slot := at.slot()
	slot.low = slot.low&^codeMask | code(max(expires, at.segment.expires(*slot)))
	slot.set(to)
	if nonce.Likeness != 0 {
		m.keep(at.segment)
	}
	if at.segment.likes != nil {
		at.segment.likes[at.at] = nonce.Likeness // if it is taken, then as it is this time
	}
	m.add(sh, st, claim, o, now, &named)
	return named
}

// add takes down who holds what was reserved.
func (m *Memory) add(sh *share, st *stripe, claim *Claim, o open, now time.Time, named *Answer) {
	named.Outcome, named.Mark, named.New, named.joined = Reserved, o.mark, o.absent, true
	named.Reservation.ID, named.Reservation.Owner = rand.Uint64()|1, claim.Owner //nolint:gosec // it is sealed before it leaves
	lease := claim.Lease
	if o.final {
		if claim.Check == (authz.CheckID{}) || !m.mayOpen(sh) {
			named.alone = true
			return // nobody can adopt it
		}
		lease = adoptable
	}
	o.fingerprint, o.check, o.unknown = named.Reservation.Fingerprint, claim.Check, claim.Unknown
	o.id, o.owners.first, o.ends = named.Reservation.ID, claim.Owner, now.Add(lease).UnixNano()
	if !o.final {
		named.Reservation.Ends = o.ends
	}
	st.add(o)
	m.countOpen(sh, 1)
}

// Settle never fails with an error.
func (m *Memory) Settle(_ context.Context, r authz.Reservation, fate Fate, now time.Time) (bool, error) {
	return m.SettleNoted(r, fate, now, nil), nil
}

// Release never fails with an error.
func (m *Memory) Release(_ context.Context, r authz.Reservation, now time.Time) (bool, error) {
	return m.ReleaseNoted(r, now, nil), nil
}

// Permit never fails with an error.
func (m *Memory) Permit(_ context.Context, r authz.Reservation, until, now time.Time) (bool, error) {
	return m.PermitNoted(r, until, now, nil), nil
}

// Issued reports whether the store may have made the reservation: it has its
// share. Without a Key, another store's has another number.
func (m *Memory) Issued(r authz.Reservation) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.shares[r.Share] != nil
}

// locked returns the stripe of a reservation, locked, or nil.
func (m *Memory) locked(r authz.Reservation) (*share, *stripe) {
	m.mu.RLock()
	sh := m.shares[r.Share]
	m.mu.RUnlock()
	if sh == nil {
		return nil, nil
	}
	st := &sh.stripes[sh.part(r.Fingerprint)]
	st.mu.Lock()
	return sh, st
}

// close ends an open reservation.
func (m *Memory) close(sh *share, st *stripe, o *open, fate Fate, now time.Time) {
	if at, found := m.find(sh, o.fingerprint, now); found { // or it was evicted
		switch {
		case fate == Delivered:
			at.slot().set(stateDone)
		case fate == Taken:
			at.slot().set(stateTaken)
		case fate == Unsure || !o.absent:
			// What came before is as uncertain as it was.
			at.slot().set(stateUnsure)
		default:
			at.segment.drop(at.at)
			m.count(sh, -1)
		}
	}
	m.forget(sh, st, o)
}

func (m *Memory) forget(sh *share, st *stripe, o *open) {
	st.remove(o)
	m.countOpen(sh, -1)
}

// endLease does what the end of the lease means, if it has come.
func (m *Memory) endLease(sh *share, st *stripe, o *open, now time.Time) bool {
	if now.UnixNano() < o.ends {
		return false
	}
	if o.final {
		m.forget(sh, st, o)
		return true
	}
	fate := o.unknown
	if fate != Unsure {
		fate = Taken
	}
	m.counters.expired(fate)
	m.close(sh, st, o, fate, now)
	return true
}

// leasesPerCall bounds the look at other leases that goes along with a call.
const leasesPerCall = 4

// endLeases looks at the next n leases of the stripe.
func (m *Memory) endLeases(sh *share, st *stripe, now time.Time, n int) {
	for range min(n, len(st.open)) {
		if st.cursor >= len(st.open) {
			st.cursor = 0
		}
		if len(st.open) == 0 {
			return
		}
		if !m.endLease(sh, st, &st.open[st.cursor], now) {
			st.cursor++
		}
	}
}
