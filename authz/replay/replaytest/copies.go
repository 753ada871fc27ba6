package replaytest

import (
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// copyStories tell what is said of copies: whether they are like what was
// delivered, and whether they are known without a reservation.
var copyStories = map[string]func(*story){
	"what is known without reserving": func(s *story) {
		s.nonce.Likeness = 7
		s.unknown(Start)
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		s.unknown(Start) // on its way
		s.settle(a.Reservation, replay.Undelivered, Start, true)
		s.unknown(Start)
		a = s.reserve(Claim(2, 2, replay.Taken), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Delivered, Start, true)
		for like, alike := range map[authz.Likeness]bool{7: true, 8: false} {
			s.nonce.Likeness = like
			if c, ok := s.store.Known(s.nonce, Start); !ok || c.Outcome != replay.Copy || c.Alike != alike ||
				c.Reservation.ID != 0 || c.Reservation.Fingerprint != s.nonce.Fingerprint {
				s.Errorf("%t, %+v", ok, c)
			}
		}
		copied := s.reserve(Claim(3, 3, replay.Taken), Start, replay.Copy)
		s.permit(copied.Reservation, Start.Add(time.Minute), Start, true)
		s.unknown(Start) // the permit is for it
		s.reserve(Claim(4, 4, replay.Taken), Start, replay.Reserved)
		s.unknown(Start) // that check may be repeated
		s.reserve(Claim(4, 5, replay.Taken), Start, replay.Reserved)
	},
	"what is known in one phase": func(s *story) {
		claim := Claim(1, 1, replay.Taken)
		claim.Lease = 0
		s.reserve(claim, Start, replay.Reserved)
		s.unknown(Start) // that check may be repeated
		s.reserve(Claim(2, 2, replay.Taken), Start, replay.CopyUnknown)
		s.unknown(Start)
		s.reserve(claim, Start, replay.Reserved)
		later := Start.Add(Ended)
		s.reserve(Claim(3, 3, replay.Taken), later, replay.CopyUnknown)
		if c, ok := s.store.Known(s.nonce, later); !ok || c.Outcome != replay.CopyUnknown || c.Alike {
			s.Errorf("%t, %+v", ok, c)
		}
		s.unknown(Start.Add(time.Hour)) // it has expired
	},
	"a copy that is like what was delivered":   func(s *story) { s.likenesses(7, 7, true) },
	"a copy that is unlike what was delivered": func(s *story) { s.likenesses(7, 8, false) },
	"a copy of what was not compared":          func(s *story) { s.likenesses(0, 7, false) },
	"a copy that is not compared":              func(s *story) { s.likenesses(7, 0, false) },
	"neither is compared":                      func(s *story) { s.likenesses(0, 0, false) },
	"the largest likeness":                     func(s *story) { s.likenesses(1<<64-1, 1<<64-1, true) },
	"what was taken in the end is what counts": func(s *story) {
		s.nonce.Likeness = 7
		a := s.reserve(Claim(1, 1, replay.Unsure), Start, replay.Reserved)
		s.settle(a.Reservation, replay.Unsure, Start, true)
		s.nonce.Likeness = 8
		b := s.reserve(Claim(2, 2, replay.Unsure), Start, replay.Reserved)
		s.settle(b.Reservation, replay.Delivered, Start, true)
		for like, want := range map[authz.Likeness]bool{7: false, 8: true} {
			s.nonce.Likeness = like
			if c := s.reserve(Claim(3, 3, replay.Unsure), Start, replay.Copy); c.Alike != want {
				s.Errorf("likeness %d: alike %t", like, c.Alike)
			}
		}
	},
	"nobody is alike what is not known to be done": func(s *story) {
		s.nonce.Likeness = 7
		a := s.reserve(Claim(1, 1, replay.Taken), Start, replay.Reserved)
		if p := s.reserve(Claim(2, 2, replay.Taken), Start, replay.Pending); p.Alike {
			s.Error("while it was on its way")
		}
		s.settle(a.Reservation, replay.Taken, Start, true)
		for range 2 { // a store may remember the second time
			if c := s.reserve(Claim(3, 3, replay.Taken), Start, replay.CopyUnknown); c.Alike {
				s.Error("after an unknown outcome")
			}
		}
	},
	"likenesses of many": func(s *story) {
		const many = 3_000
		like := func(n uint64) authz.Likeness { return authz.Likeness(n % 3 * (n + 1)) } // each third has none
		at := func(n uint64) replay.Claim {
			s.nonce.Fingerprint, s.nonce.Likeness = Fingerprint(n+10), like(n)
			return Claim(n+10, 1, replay.Taken)
		}
		for n := range uint64(many) {
			a := s.reserve(at(n), Start, replay.Reserved)
			s.settle(a.Reservation, replay.Delivered, Start, true)
		}
		for n := range uint64(many) {
			claim := at(n)
			if c := s.reserve(claim, Start, replay.Copy); c.Alike != (like(n) != 0) {
				s.Fatalf("nonce %d: alike %t", n, c.Alike)
			}
			s.nonce.Likeness++
			if c := s.reserve(claim, Start, replay.Copy); c.Alike {
				s.Fatalf("nonce %d is alike what it is not", n)
			}
		}
	},
}

// unknown wants nothing to be known of it.
func (s *story) unknown(at time.Time) {
	s.Helper()
	if c, ok := s.store.Known(s.nonce, at); ok {
		s.Errorf("known: %+v", c)
	}
}

// likenesses lets a copy with one likeness follow a delivery with another.
func (s *story) likenesses(first, second authz.Likeness, alike bool) {
	s.nonce.Likeness = first
	a := s.reserve(Claim(1, 1, replay.Unsure), Start, replay.Reserved)
	s.settle(a.Reservation, replay.Delivered, Start, true)
	s.nonce.Likeness = second
	for range 2 { // a store may remember the second time
		if c := s.reserve(Claim(2, 2, replay.Unsure), Start, replay.Copy); c.Alike != alike {
			s.Errorf("alike %t", c.Alike)
		}
	}
}
