package replay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Result is what the access log says of a request.
type Result uint8

// The results. The zero value says nothing.
const (
	ResultNone Result = iota
	// ResultDelivered: the upstream took it.
	ResultDelivered
	// ResultFailed: the upstream said that it failed, or was not reached.
	ResultFailed
	// ResultClientError: the upstream refused it.
	ResultClientError
	// ResultUnknown: nobody knows.
	ResultUnknown
	// ResultInterrupted: it has failed, and the upstream may have acted.
	ResultInterrupted
	// ResultClientErrorLate: the upstream refused it after an earlier attempt at
	// which it may have acted.
	ResultClientErrorLate
)

// Settlement is what became of an entry of the access log.
type Settlement uint8

// The settlements.
const (
	// Ignored: an entry that is not about a reservation, or not its last.
	Ignored Settlement = iota
	Settled
	// Forged: a seal that we did not make.
	Forged
	// Late: the lease had ended.
	Late
	// Repeated: settled, released or made again before.
	Repeated
	// Unsettled: the store did not answer.
	Unsettled
)

// String returns the settlement's word.
func (s Settlement) String() string {
	return [...]string{"ignored", "settled", "forged", "late", "repeated", "failed"}[min(s, Unsettled)]
}

// PermitTime is how long a permit for a copy is good.
const PermitTime = 15 * time.Minute

// Settler ties reservations to what became of them. It outlives policies. It is
// safe for concurrent use. A nil Settler is one phase: nobody says what became
// of a delivery.
type Settler struct {
	store   Store
	length  time.Duration
	seal    atomic.Pointer[sealer]
	refused refusals
	waiting atomic.Int64
	proven  atomic.Bool
	// inFlight counts copies of what is on its way, unproven those that are copies all
	// the same, since no access log says what is.
	inFlight, unproven atomic.Int64
	hurried            atomic.Int64 // copies that did not wait, since too many did
	// onlyFailures says that nothing is logged of what was delivered.
	onlyFailures bool

	// OnEntry is told of each entry of the access log with a seal of ours, before it
	// settles anything. It is set before the first check, and must not block; nil: nobody
	// asks.
	OnEntry func(r authz.Reservation)
	// Pause waits for the given time and reports whether it passed before the
	// context ended. Tests set it; it is a timer if nil.
	Pause func(ctx context.Context, d time.Duration) bool
}

// SealKey is the key that replicas share to settle each other's reservations.
type SealKey [32]byte

// NewSealKey returns a random key.
func NewSealKey() SealKey {
	var key SealKey
	_, _ = rand.Read(key[:]) // never fails
	return key
}

// NewSettler returns a settler for reservations of the store with that lease,
// which is 0 where there is no access log.
func NewSettler(store Store, lease time.Duration, key SealKey) *Settler {
	s := &Settler{store: store, length: lease}
	s.SetKeys(key)
	return s
}

// SetKeys changes the key of seals. The others open what was sealed with them.
func (s *Settler) SetKeys(key SealKey, others ...SealKey) { s.seal.Store(newSealer(key, others...)) }

func (s *Settler) lease() time.Duration {
	if s == nil {
		return 0
	}
	return s.length
}

// TwoPhase reports whether somebody will say what became of a delivery.
func (s *Settler) TwoPhase() bool { return s.lease() > 0 }

// Proven reports whether the access log has settled anything: since the start, here
// or at another replica that shares the store, or in an earlier process.
// Before, everything is as in one phase, except that a settlement counts: a
// second delivery is a copy, and the end of a lease takes. Where nobody has
// configured an access log, every copy would pass once.
//
// A log of failures alone may say nothing for days, and counts as proven.
func (s *Settler) Proven() bool { return s != nil && (s.onlyFailures || s.proven.Load()) }

// ExpectFailures says that the access log has the deliveries that failed, and no
// others. Then the end of a lease takes, whatever the rules say of outcomes that
// nobody knows, and no delivery is known to have been taken. It is called before the
// first check.
func (s *Settler) ExpectFailures() { s.onlyFailures = true }

// Counted adds to what a store has done what only the checks know: each copy of what is
// on its way counts once, however often its check asked.
func (s *Settler) Counted(stats Stats) Stats {
	if s != nil {
		stats.InFlight += s.inFlight.Load()
		stats.Copies += s.unproven.Load()
		stats.Hurried = s.hurried.Load()
	}
	return stats
}

// open is the outcome of a copy whose first delivery stays open: without an access log
// nobody may ever settle it.
func (s *Settler) open() Outcome {
	if s.Proven() {
		s.inFlight.Add(1)
		return Pending
	}
	if s != nil {
		s.unproven.Add(1)
	}
	return CopyUnknown
}

// OnlyFailures reports whether ExpectFailures was called. A nil Settler has no log.
func (s *Settler) OnlyFailures() bool { return s != nil && s.onlyFailures }

// ProvenBefore says that the access log had come to an earlier process. It is called
// before the first check.
func (s *Settler) ProvenBefore() { s.proven.Store(true) }

// learn takes over what another replica has seen of the access log.
func (s *Settler) learn(a Answer) {
	if s != nil && a.Proven && !s.proven.Load() {
		s.proven.Store(true)
	}
}

// Seal returns the value by which alone the reservation can be settled; empty
// if there is nothing to settle.
func (s *Settler) Seal(r authz.Reservation) string { return string(s.AppendSeal(nil, r)) }

// AppendSeal appends what Seal returns.
func (s *Settler) AppendSeal(dst []byte, r authz.Reservation) []byte {
	if s == nil || r.ID == 0 || r.Ends == 0 {
		return dst
	}
	return s.seal.Load().appendSeal(dst, r)
}

// Open returns the reservation of a seal of ours.
func (s *Settler) Open(seal string) (authz.Reservation, bool) {
	return s.seal.Load().open([]byte(seal))
}

// Settle does what the policy wants for the result. The text is what [Seal] has
// returned, as it came back; it is not kept.
func (s *Settler) Settle(ctx context.Context, text []byte, result Result, now time.Time) Settlement {
	r, ok := s.seal.Load().open(text)
	if !ok {
		return Forged
	}
	if s.OnEntry != nil {
		s.OnEntry(r)
	}
	fate := unpack(r.Rules).fate(result)
	if fate == Undecided {
		return Ignored
	}
	s.proven.Store(true) // late or not, the log comes
	changed, err := s.store.Settle(ctx, r, fate, now)
	switch {
	case err != nil:
		return Unsettled
	case changed:
		return Settled
	case now.UnixNano() >= r.Ends:
		return Late
	default:
		return Repeated
	}
}

// GiveBack undoes a reservation whose answer nobody took.
func (s *Settler) GiveBack(r authz.Reservation, now time.Time) {
	if s != nil {
		GiveBack(s.store, r, now)
	}
}

// RefusalID returns the id of a decision that refuses a copy of r's content: the
// first half of the given one, and a last half by which the content is found.
func (s *Settler) RefusalID(decisionID string, r authz.Reservation) string {
	id, ok := parseID(decisionID)
	if s == nil || !ok || r.Fingerprint.IsZero() {
		return decisionID
	}
	last := s.seal.Load().name([8]byte(id[:8]), r.Fingerprint)
	copy(id[8:], last[:])
	return hex.EncodeToString(id[:])
}

// Refused takes down a copy that was refused, for Redeliver, and returns the
// ticket for RedeliverTicket; empty if there is none.
func (s *Settler) Refused(decisionID, webhook string, r authz.Reservation) string {
	id, ok := parseID(decisionID)
	if s == nil || !ok || webhook == "" || len(webhook) > maxTicketName || r.Fingerprint.IsZero() {
		return ""
	}
	s.refused.add(id, webhook, r)
	return s.seal.Load().ticket(id, webhook, r)
}

// Redeliver lets the next copy of what the decision refused through, once,
// within PermitTime. It returns the webhook, or "" if no such refusal is
// remembered or what it refused would not be a copy any more.
func (s *Settler) Redeliver(ctx context.Context, decisionID string, now time.Time) (webhook string, err error) {
	id, ok := parseID(decisionID)
	if !ok {
		return "", nil
	}
	webhook, r, ok := s.refused.find(id, s.seal.Load())
	if !ok {
		return "", nil
	}
	return s.permit(ctx, webhook, r, now)
}

// RedeliverTicket is Redeliver by a ticket, which any replica with the same store
// and key may have given, also before a restart. It also returns the decision.
func (s *Settler) RedeliverTicket(ctx context.Context, ticket string, now time.Time) (webhook, decisionID string, err error) {
	id, webhook, r, ok := s.seal.Load().openTicket(ticket)
	if !ok {
		return "", "", nil
	}
	webhook, err = s.permit(ctx, webhook, r, now)
	return webhook, hex.EncodeToString(id[:]), err
}

func (s *Settler) permit(ctx context.Context, webhook string, r authz.Reservation, now time.Time) (string, error) {
	permitted, err := s.store.Permit(ctx, r, now.Add(PermitTime), now)
	if err != nil || !permitted {
		return "", err
	}
	s.refused.forget(webhook, r)
	return webhook, nil
}

const (
	// firstPause doubles up to lastPause, in pauses tries: 127 ms in all. Envoy sends
	// the access log in batches, which wait for 50 ms as we ask for them, and for
	// 100 ms at most where the audit finds nothing.
	firstPause = time.Millisecond
	lastPause  = 32 * time.Millisecond
	pauses     = 8
	// maxWaiting bounds the calls that wait: copies must not hold up others.
	maxWaiting = 64
)

// pause waits before the next try, if there is one.
func (s *Settler) pause(ctx context.Context, try int) (time.Duration, bool) {
	if s == nil || try >= pauses {
		return 0, false
	}
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		s.hurried.Add(1)
		return 0, false
	}
	defer s.waiting.Add(-1)
	d := min(firstPause<<try, lastPause)
	if deadline, ok := ctx.Deadline(); ok && d > time.Until(deadline)/2 {
		return 0, false // the answer needs time, too
	}
	if s.Pause != nil {
		return d, s.Pause(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return d, true
	case <-ctx.Done():
		return d, false
	}
}

func (r Rules) fate(result Result) Fate {
	switch result {
	case ResultDelivered:
		return Delivered
	case ResultFailed:
		return taken(r.Failure)
	case ResultClientError:
		return taken(r.ClientError)
	case ResultUnknown:
		return taken(r.Unknown)
	case ResultInterrupted:
		return possible(r.Failure)
	case ResultClientErrorLate:
		return possible(r.ClientError)
	default:
		return Undecided
	}
}

func taken(f Fate) Fate {
	if f == Undelivered || f == Unsure {
		return f
	}
	return Taken
}

// possible is the fate where the upstream may have acted: what would be let
// through once more is marked.
func possible(f Fate) Fate {
	if f = taken(f); f == Undelivered {
		return Unsure
	}
	return f
}

// pack makes one byte of the rules: two bits for what is not taken.
func (r Rules) pack() uint8 {
	var b uint8
	for i, f := range []Fate{r.Failure, r.ClientError, r.Unknown} {
		switch f {
		case Undelivered:
			b |= 1 << (2 * i)
		case Unsure:
			b |= 2 << (2 * i)
		default:
		}
	}
	return b
}

func unpack(b uint8) Rules {
	fate := func(i int) Fate {
		return [...]Fate{Taken, Undelivered, Unsure, Taken}[b>>(2*i)&3]
	}
	return Rules{fate(0), fate(1), fate(2)}
}
