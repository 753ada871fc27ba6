package replaytest

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Lease is the lease of the suite's claims.
const Lease = time.Minute

// Ended is when a lease has ended in each store: one that replicas share keeps
// it for as long as their clocks may be apart.
const Ended = Lease + replay.Skew

// Claim is a claim of the check and attempt with those numbers.
func Claim(check, owner uint64, unknown replay.Fate) replay.Claim {
	return replay.Claim{Check: authz.CheckID{Stream: check, Time: int64(check), Port: 1}, Owner: owner, Lease: Lease, Unknown: unknown}
}

// story is a store with one nonce, told step by step.
type story struct {
	*testing.T
	store replay.Store
	nonce replay.Nonce
}

func (s *story) reserve(claim replay.Claim, at time.Time, want replay.Outcome) replay.Answer {
	s.Helper()
	a, err := s.store.Reserve(context.Background(), s.nonce, claim, at)
	if err != nil {
		s.Fatal(err)
	}
	if a.Outcome != want {
		s.Fatalf("outcome %d, want %d", a.Outcome, want)
	}
	if want == replay.Reserved && (a.Reservation.ID == 0 || a.Reservation.Fingerprint != s.nonce.Fingerprint) {
		s.Fatalf("reserved %+v", a.Reservation)
	}
	return a
}

func (s *story) settle(r authz.Reservation, fate replay.Fate, at time.Time, want bool) {
	s.Helper()
	got, err := s.store.Settle(context.Background(), r, fate, at)
	if err != nil || got != want {
		s.Fatalf("settled: %t, %v", got, err)
	}
}

func (s *story) release(r authz.Reservation, at time.Time, want bool) {
	s.Helper()
	got, err := s.store.Release(context.Background(), r, at)
	if err != nil || got != want {
		s.Fatalf("released: %t, %v", got, err)
	}
}

func (s *story) permit(r authz.Reservation, until, at time.Time, want bool) {
	s.Helper()
	got, err := s.store.Permit(context.Background(), r, until, at)
	if err != nil || got != want {
		s.Fatalf("permitted: %t, %v", got, err)
	}
}

// states tells what may happen to a nonce, with and without a signed time.
func states(t *testing.T, newStore func(t *testing.T) replay.Store) {
	for _, all := range []map[string]func(*story){stories, copyStories} {
		for name, tell := range all {
			t.Run(name, func(t *testing.T) {
				t.Run("signed time", func(t *testing.T) { tell(&story{t, newStore(t), Signed(1, Start)}) })
				t.Run("no time", func(t *testing.T) { tell(&story{t, newStore(t), Unsigned(1, Start, 6*time.Minute)}) })
			})
		}
	}
}

var stories = map[string]func(*story){
	"delivered": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Unsure), Start, replay.Reserved)
		s.reserve(Claim(2, 2, replay.Unsure), Start, replay.Pending)
		s.settle(a.Reservation, replay.Delivered, Start, true)
		s.reserve(Claim(2, 3, replay.Unsure), Start, replay.Copy)
		s.settle(a.Reservation, replay.Undelivered, Start, false) // doubled
		s.reserve(Claim(1, 4, replay.Unsure), Start, replay.Copy)
	},
	"undelivered": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Undelivered, Start, true)
		b := s.reserve(Claim(2, 2, replay.Taken), Start, replay.Reserved)
		if b.Mark != authz.MarkNone || b.Adopted {
			s.Errorf("%+v", b)
		}
		s.settle(a.Reservation, replay.Undelivered, Start, false) // the doubled entry of the first
		s.reserve(Claim(3, 3, replay.Taken), Start, replay.Pending)
	},
	"a lease that ends and takes": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.reserve(Claim(2, 2, replay.Taken), Start.Add(Lease-1), replay.Pending)
		s.reserve(Claim(2, 3, replay.Taken), Start.Add(Ended), replay.CopyUnknown)
		s.settle(a.Reservation, replay.Undelivered, Start.Add(Ended), false) // late
		s.reserve(Claim(2, 4, replay.Taken), Start.Add(Ended), replay.CopyUnknown)
	},
	"a lease that ends and releases": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Unsure), Start, replay.Reserved)
		b := s.reserve(Claim(2, 2, replay.Unsure), Start.Add(Ended), replay.Reserved)
		if b.Mark != authz.MarkPossible {
			s.Errorf("mark %q", b.Mark)
		}
		s.settle(a.Reservation, replay.Delivered, Start.Add(Ended), false)
		c := s.reserve(Claim(2, 3, replay.Unsure), Start.Add(Ended), replay.Reserved)
		if c.Mark != authz.MarkPossible || !c.Adopted {
			s.Errorf("the repetition of that check: %+v", c)
		}
		// The upstream failed this time. What came before is still unknown.
		s.settle(c.Reservation, replay.Undelivered, Start.Add(Ended), true)
		d := s.reserve(Claim(3, 4, replay.Unsure), Start.Add(Ended), replay.Reserved)
		if d.Mark != authz.MarkPossible {
			s.Errorf("mark %q", d.Mark)
		}
		s.settle(d.Reservation, replay.Delivered, Start.Add(Ended), true)
		s.reserve(Claim(4, 5, replay.Unsure), Start.Add(Ended), replay.Copy)
	},
	"a lease that ends late": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Unsure), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Delivered, Start.Add(Ended), false)
		if b := s.reserve(Claim(2, 2, replay.Unsure), Start.Add(Ended), replay.Reserved); b.Mark != authz.MarkPossible {
			s.Errorf("mark %q", b.Mark)
		}
	},
	"settled as unknown": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Unsure, Start, true)
		b := s.reserve(Claim(2, 2, replay.Taken), Start, replay.Reserved)
		if b.Mark != authz.MarkPossible {
			s.Errorf("mark %q", b.Mark)
		}
		s.settle(b.Reservation, replay.Taken, Start, true)
		s.reserve(Claim(3, 3, replay.Taken), Start, replay.CopyUnknown)
	},
	"settled as undecided": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Undecided, Start, false)
		s.settle(a.Reservation, replay.Delivered, Start, true)
	},
	"of another reservation": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved).Reservation
		other := a
		other.ID++
		s.settle(other, replay.Undelivered, Start, false)
		s.release(other, Start, false)
		other = a
		other.Fingerprint = Fingerprint(99)
		s.settle(other, replay.Undelivered, Start, false)
		s.permit(other, Start.Add(time.Hour), Start, false)
		s.reserve(Claim(2, 2, replay.Taken), Start, replay.Pending)
	},
	"adopted": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		b := s.reserve(Claim(1, 2, replay.Taken), Start, replay.Reserved)
		if !b.Adopted || b.Reservation.ID != a.Reservation.ID {
			s.Errorf("%+v, then %+v", a, b)
		}
		s.release(a.Reservation, Start, true)
		s.release(a.Reservation, Start, false)
		s.reserve(Claim(2, 3, replay.Taken), Start, replay.Pending) // the second attempt owns it still
		s.settle(a.Reservation, replay.Delivered, Start, true)      // whichever answer Envoy took
		s.reserve(Claim(2, 4, replay.Taken), Start, replay.Copy)
	},
	"given back": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.release(a.Reservation, Start, true)
		s.release(a.Reservation, Start, false)
		s.settle(a.Reservation, replay.Delivered, Start, false)
		if b := s.reserve(Claim(1, 2, replay.Taken), Start, replay.Reserved); b.Adopted || b.Mark != authz.MarkNone {
			s.Errorf("%+v", b)
		}
	},
	"given back after an unknown outcome": func(s *story) {
		s.reserve(Claim(1, 1, replay.Unsure), Start, replay.Reserved)
		b := s.reserve(Claim(2, 2, replay.Unsure), Start.Add(Ended), replay.Reserved)
		s.release(b.Reservation, Start.Add(Ended), true)
		if c := s.reserve(Claim(3, 3, replay.Unsure), Start.Add(Ended), replay.Reserved); c.Mark != authz.MarkPossible {
			s.Errorf("mark %q", c.Mark)
		}
	},
	"one phase": func(s *story) {
		claim := Claim(1, 1, replay.Taken)
		claim.Lease = 0
		a := s.reserve(claim, Start, replay.Reserved)
		other := Claim(2, 2, replay.Taken)
		s.reserve(other, Start, replay.CopyUnknown)
		s.settle(a.Reservation, replay.Undelivered, Start, false)
		claim.Owner = 3
		b := s.reserve(claim, Start, replay.Reserved)
		if !b.Adopted {
			s.Error("the repetition of the check was not adopted")
		}
		s.release(a.Reservation, Start, true)
		s.reserve(other, Start, replay.CopyUnknown)
		s.release(b.Reservation, Start, true)
		s.reserve(other, Start, replay.Reserved)
	},
	"more attempts than can be told apart": func(s *story) {
		var all []authz.Reservation
		for owner := range uint64(40) {
			all = append(all, s.reserve(Claim(1, owner+1, replay.Unsure), Start, replay.Reserved).Reservation)
		}
		for _, r := range all[1:] {
			_, _ = s.store.Release(context.Background(), r, Start)
		}
		s.reserve(Claim(2, 99, replay.Unsure), Start, replay.Pending) // the first one's answer was taken
		s.settle(all[0], replay.Delivered, Start, true)
		s.reserve(Claim(2, 100, replay.Unsure), Start, replay.Copy)
	},
	"attempts in every order":            func(s *story) { s.attempts(Lease, replay.Pending) },
	"attempts in every order, one phase": func(s *story) { s.attempts(0, replay.CopyUnknown) },
	"checks that nobody can tell apart": func(s *story) {
		s.reserve(replay.Claim{Owner: 1, Lease: Lease}, Start, replay.Reserved)
		s.reserve(replay.Claim{Owner: 2, Lease: Lease}, Start, replay.Pending)
	},
	"permitted once": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.permit(a.Reservation, Start.Add(time.Hour), Start, false) // no copy yet
		s.settle(a.Reservation, replay.Delivered, Start, true)
		refused := s.reserve(Claim(2, 2, replay.Taken), Start, replay.Copy)
		s.permit(refused.Reservation, Start.Add(time.Minute), Start, true)
		b := s.reserve(Claim(3, 3, replay.Taken), Start, replay.Reserved)
		if b.Mark != authz.MarkRedelivered {
			s.Errorf("mark %q", b.Mark)
		}
		s.reserve(Claim(4, 4, replay.Taken), Start, replay.Copy)
		if c := s.reserve(Claim(3, 5, replay.Taken), Start, replay.Reserved); !c.Adopted || c.Mark != authz.MarkRedelivered {
			s.Errorf("the repetition of the check: %+v", c)
		}
		s.settle(b.Reservation, replay.Undelivered, Start, false)
		s.reserve(Claim(5, 6, replay.Taken), Start, replay.Copy)
	},
	"a permit given back": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Delivered, Start, true)
		s.permit(a.Reservation, Start.Add(time.Minute), Start, true)
		b := s.reserve(Claim(2, 2, replay.Taken), Start, replay.Reserved)
		late := s.reserve(Claim(2, 7, replay.Taken), Start, replay.Reserved)
		s.release(late.Reservation, Start, true)
		s.reserve(Claim(3, 8, replay.Taken), Start, replay.Copy)
		s.release(b.Reservation, Start, true)
		s.reserve(Claim(3, 3, replay.Taken), Start, replay.Reserved)
		s.reserve(Claim(4, 4, replay.Taken), Start, replay.Copy)
	},
	"a permit that is over": func(s *story) {
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Delivered, Start, true)
		s.permit(a.Reservation, Start.Add(time.Minute), Start, true)
		s.reserve(Claim(2, 2, replay.Taken), Start.Add(time.Minute), replay.Copy)
	},
}

// attempts lets three attempts of one check come and give back in every order:
// each may be held up, and cancelled, or be the one whose answer was taken. As
// long as one has not given back, a second delivery gets that outcome.
func (s *story) attempts(lease time.Duration, held replay.Outcome) {
	n := uint64(0)
	interleave([][]string{{"0", "0"}, {"1", "1"}, {"2", "2"}}, func(order []int) {
		n++
		if s.nonce.Fingerprint = Fingerprint(n + 1); s.Failed() {
			return
		}
		claim := func(check, owner uint64) replay.Claim {
			c := Claim(check, owner, replay.Taken)
			c.Lease = lease
			return c
		}
		var came [3]bool
		var of [3]authz.Reservation
		owned := map[int]bool{}
		for _, i := range order {
			if !came[i] {
				a := s.reserve(claim(n, uint64(i)+1), Start, replay.Reserved)
				if a.Adopted != (len(owned) > 0) {
					s.Errorf("%v: attempt %d adopted: %t", order, i, a.Adopted)
				}
				came[i], owned[i], of[i] = true, true, a.Reservation
			} else {
				s.release(of[i], Start, true)
				s.release(of[i], Start, false)
				delete(owned, i)
			}
			if len(owned) > 0 {
				s.reserve(claim(1_000, 9), Start, held)
				continue
			}
			other := s.reserve(claim(1_000, 9), Start, replay.Reserved)
			if other.Adopted || other.Mark != authz.MarkNone {
				s.Errorf("%v: after all have given back: %+v", order, other)
			}
			s.release(other.Reservation, Start, true)
		}
	})
}
