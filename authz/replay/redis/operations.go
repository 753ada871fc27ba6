package redis

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

const reserved = int64(replay.Reserved)

// Reserve fails with an error if Redis did not answer in time, is away, or was
// begun again. What it may have reserved then is given back.
func (s *Store) Reserve(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	reserve := s.reserve
	if awaited(&nonce) {
		reserve = s.reserveBoth
	}
	answer, err := reserve(ctx, nonce, claim, now)
	if err == nil {
		s.counters.answered(answer)
	}
	return answer, err
}

func (s *Store) reserve(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	f := nonce.Fingerprint
	named := replay.Answer{Reservation: authz.Reservation{Fingerprint: f}}
	if copied, ok := s.remembered(f, nonce.Likeness, now); ok {
		return copied, nil
	}
	final, ends := "1", int64(0)
	if claim.Lease > 0 {
		// By the clock of no replica does it end too early.
		final, ends = "0", microUp(now.Add(claim.Lease+replay.Skew))
	}
	id := rand.Uint64() | 1 //nolint:gosec // it is sealed before it leaves
	partition := s.roomFor(&nonce, s.shard(f))
	rest := append(partition[:], flag(nonce.Doubtful))
	reply, err := s.call(ctx, opReserve, f, now, append([]string{
		strconv.FormatInt(microUp(nonce.Expires), 10), hexadecimal(id), hexadecimal(claim.Owner), check(claim.Check),
		strconv.FormatInt(ends, 10), final, unknownName(&claim), s.couldHaveCome(nonce), strconv.FormatInt(s.recovery(nonce).Microseconds(), 10), likeText(nonce.Likeness),
	}, rest...)...)
	if isFull(err) {
		named.Outcome = replay.Full
		return named, nil
	}
	if err != nil {
		var open maybe
		if errors.As(err, &open) {
			s.giveBackLater(f, claim, now)
		}
		return replay.Answer{}, err
	}
	answer, err := s.answer(reply, named, claim.Owner)
	if err != nil || answer.Outcome != replay.Copy && answer.Outcome != replay.CopyUnknown {
		return answer, err
	}
	like, err := likeOf(reply, replyLike)
	if err != nil {
		return replay.Answer{}, err
	}
	if answer.Outcome != replay.Copy {
		like = 0 // nobody knows whether that was taken
	}
	answer.Alike = like.Like(nonce.Likeness)
	expires, err := number(reply, replyExpires)
	if err == nil {
		s.near.add(f, copied{expires, answer.Outcome, like}, now)
	}
	return answer, err
}

// Known looks into the near cache alone: a call before the call that reserves
// would make each honest delivery slower.
func (s *Store) Known(nonce replay.Nonce, now time.Time) (replay.Answer, bool) {
	answer, ok := s.remembered(nonce.Fingerprint, nonce.Likeness, now)
	if !ok && awaited(&nonce) {
		answer, ok = s.remembered(nonce.Alternate, nonce.AlternateLikeness, now)
	}
	if ok {
		s.counters.answered(answer)
	}
	return answer, ok
}

// remembered is the answer to a copy that the near cache knows.
func (s *Store) remembered(f authz.Fingerprint, like authz.Likeness, now time.Time) (replay.Answer, bool) {
	c, ok := s.near.get(f, now)
	if !ok {
		return replay.Answer{}, false
	}
	s.counters.near.Add(1)
	return replay.Answer{Outcome: c.outcome, Alike: c.like.Like(like), Reservation: authz.Reservation{Fingerprint: f}}, true
}

// The places in the reply to a reservation.
const (
	replyOutcome = iota
	replyMark
	replyAdopted
	replyEnds
	replyEnded
	replyProven
	replyExpires
	replyNew
	replyID
	replyLike
)

func (s *Store) answer(reply []rueidis.RedisMessage, named replay.Answer, owner uint64) (replay.Answer, error) {
	var n [replyID]int64
	for i := range n {
		var err error
		if n[i], err = number(reply, i); err != nil {
			return replay.Answer{}, err
		}
	}
	s.counters.endedLease(n[replyEnded])
	named.Outcome, named.Proven = replay.Outcome(n[replyOutcome]), n[replyProven] == 1
	if named.Outcome != replay.Reserved {
		return named, nil
	}
	text, err := reply[replyID].ToString()
	if err != nil {
		return replay.Answer{}, err
	}
	id, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return replay.Answer{}, err
	}
	named.Mark, named.Adopted, named.New = authz.Mark(n[replyMark]), n[replyAdopted] == 1, n[replyNew] == 1
	named.Reservation.ID, named.Reservation.Owner, named.Reservation.Ends = id, owner, n[replyEnds]*1000
	s.near.remove(named.Reservation.Fingerprint)
	return named, nil
}

// couldHaveCome is the earliest time at which a delivery could have been
// accepted; empty if it has no signed time.
func (s *Store) couldHaveCome(nonce replay.Nonce) string {
	if nonce.Signed.IsZero() {
		return ""
	}
	ahead := nonce.Span - nonce.Expires.Sub(nonce.Signed)
	return micro(nonce.Signed.Add(-max(ahead, 0)))
}

// recovery is how long after a loss a delivery without a signed time is
// uncertain: never longer than it would have been remembered.
func (s *Store) recovery(nonce replay.Nonce) time.Duration {
	return min(s.config.Recovery, nonce.Span) + replay.Skew
}

// Settle fails with an error if Redis did not answer; it is tried again until
// the lease ends.
func (s *Store) Settle(ctx context.Context, r authz.Reservation, fate replay.Fate, now time.Time) (bool, error) {
	name := fateName(fate, "")
	if name == "" {
		return false, nil
	}
	t := task{r: r, fate: fate, until: time.Unix(0, r.Ends)}
	changed, err := s.settle(ctx, t, now)
	if err != nil {
		s.later.add(t)
		s.Wake()
	}
	return changed, err
}

func (s *Store) settle(ctx context.Context, t task, now time.Time) (bool, error) {
	f := t.r.Fingerprint
	reply, err := s.call(ctx, opSettle, f, now, hexadecimal(t.r.ID), fateName(t.fate, ""))
	if err != nil {
		return false, err
	}
	changed, err := s.changed(reply)
	if changed && !t.again {
		s.counters.settled(t.fate)
		t.again = true
		s.shard(f).settled.add(t)
	}
	if changed && t.fate == replay.Delivered {
		s.learn(f, reply, now)
	}
	return changed, err
}

// learn takes over what a reply to a settlement says of what is done now.
func (s *Store) learn(f authz.Fingerprint, reply []rueidis.RedisMessage, now time.Time) {
	const replyExpires, replyLike = 2, 3
	expires, err := number(reply, replyExpires)
	like, err2 := likeOf(reply, replyLike)
	if err == nil && err2 == nil {
		s.near.add(f, copied{expires, replay.Copy, like}, now)
	}
}

// changed reads a reply of whether something changed and which lease ended.
func (s *Store) changed(reply []rueidis.RedisMessage) (bool, error) {
	n, err := number(reply, 0)
	if err != nil {
		return false, err
	}
	if len(reply) > 1 {
		ended, err := number(reply, 1)
		if err != nil {
			return false, err
		}
		s.counters.endedLease(ended)
	}
	return n == 1, nil
}

// Release fails with an error if Redis did not answer; it is tried again.
func (s *Store) Release(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	released, err := s.release(ctx, r, now)
	if err != nil {
		s.later.add(task{r: r, until: now.Add(laterAtMost)})
		s.Wake()
	}
	return released, err
}

func (s *Store) release(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	reply, err := s.call(ctx, opRelease, r.Fingerprint, now, hexadecimal(r.ID), hexadecimal(r.Owner), micro(now.Add(replay.PermitTime)))
	if err != nil {
		return false, err
	}
	left, err := number(reply, 0)
	if err == nil && left == 1 {
		s.counters.givenBack.Add(1)
	}
	return err == nil && left > 0, err
}

// Open reports whether the outcome of a reservation is open still: neither this replica nor
// another has learned it, and its lease has not been ended. It changes nothing, and fails
// with an error if Redis did not answer.
func (s *Store) Open(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	reply, err := s.call(ctx, opOpen, r.Fingerprint, now, hexadecimal(r.ID))
	if err != nil {
		return false, err
	}
	n, err := number(reply, 0)
	return n == 1, err
}

// Permit fails with an error if Redis did not answer.
func (s *Store) Permit(ctx context.Context, r authz.Reservation, until, now time.Time) (bool, error) {
	life := until.Sub(now) + replay.Skew
	reply, err := s.call(ctx, opPermit, r.Fingerprint, now, micro(until), strconv.FormatInt(max(1, life.Milliseconds()), 10))
	if err != nil {
		return false, err
	}
	permitted, err := s.changed(reply)
	if permitted {
		s.near.remove(r.Fingerprint)
	}
	return permitted, err
}

// giveBackLater undoes what a call may have reserved whose answer did not come.
func (s *Store) giveBackLater(f authz.Fingerprint, claim replay.Claim, now time.Time) {
	s.later.add(task{r: authz.Reservation{Fingerprint: f, Owner: claim.Owner}, until: now.Add(max(claim.Lease, laterAtMost))})
	s.counters.abandoned.Add(1)
	s.Wake()
}

// likeText writes a likeness; empty if there is none.
func likeText(l authz.Likeness) string {
	if l == 0 {
		return ""
	}
	return hexadecimal(uint64(l))
}

// likeOf reads a likeness from a reply.
func likeOf(reply []rueidis.RedisMessage, i int) (authz.Likeness, error) {
	if i >= len(reply) {
		return 0, errShort
	}
	text, err := reply[i].ToString()
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 16, 64)
	return authz.Likeness(n), err
}

func hexadecimal(n uint64) string { return strconv.FormatUint(n, 16) }

// check writes who asks; "-" if nobody knows.
func check(c authz.CheckID) string {
	if c == (authz.CheckID{}) {
		return "-"
	}
	var b [20]byte
	binary.BigEndian.PutUint64(b[:], c.Stream)
	binary.BigEndian.PutUint64(b[8:], uint64(c.Time))
	binary.BigEndian.PutUint32(b[16:], c.Port)
	return hex.EncodeToString(b[:])
}

// unknownName is what the end of the lease means: P leaves it to the script, which knows
// whether an access log has come to another replica.
func unknownName(c *replay.Claim) string {
	if c.IfProven == replay.Unsure {
		return "P"
	}
	return fateName(c.Unknown, "T")
}

// fateName is what the scripts call a fate.
func fateName(fate replay.Fate, fallback string) string {
	switch fate {
	case replay.Delivered:
		return "D"
	case replay.Taken:
		return "T"
	case replay.Unsure:
		return "U"
	case replay.Undelivered:
		if fallback == "" {
			return "R"
		}
	default:
	}
	return fallback
}
