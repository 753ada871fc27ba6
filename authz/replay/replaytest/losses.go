package replaytest

import (
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// afterLoss is a story that begins with a loss.
type afterLoss struct {
	*story
	marks int64
}

// marked reserves what the store does not know, and may have known.
func (s *afterLoss) marked(claim replay.Claim, at time.Time) replay.Answer {
	s.Helper()
	s.marks++
	s.nonce.Expires = at.Add(s.nonce.Span)
	a := s.reserve(claim, at, replay.Reserved)
	if a.Mark != authz.MarkPossible || !a.New || a.Adopted {
		s.Fatalf("not marked as new and possible: %+v", a)
	}
	return a
}

// Losses tells what a store does with deliveries without a signed time after it
// may have forgotten some: what it does not know passes with a mark, until the
// window has ended since. newSubject returns an empty store that knows all, whose
// Restart forgets; its Recovery must be shorter than a minute.
func Losses(t *testing.T, newSubject func(t *testing.T) Subject) {
	const window = time.Minute
	lost := Start.Add(10 * time.Minute)
	for name, tell := range map[string]func(s *afterLoss, recovered time.Time){
		"a copy of what was forgotten": func(s *afterLoss, recovered time.Time) {
			a := s.marked(Claim(1, 1, replay.Taken), recovered)
			s.settle(a.Reservation, replay.Delivered, recovered, true)
			s.reserve(Claim(2, 2, replay.Taken), recovered, replay.Copy)
		},
		"an attempt that adopts gets the same mark": func(s *afterLoss, recovered time.Time) {
			s.marked(Claim(1, 1, replay.Taken), recovered)
			if b := s.reserve(Claim(1, 2, replay.Taken), recovered, replay.Reserved); !b.Adopted || b.New || b.Mark != authz.MarkPossible {
				s.Errorf("%+v", b)
			}
			s.reserve(Claim(2, 3, replay.Taken), recovered, replay.Pending)
		},
		"a failure forgets it, and no doubt": func(s *afterLoss, recovered time.Time) {
			a := s.marked(Claim(1, 1, replay.Taken), recovered)
			s.settle(a.Reservation, replay.Undelivered, recovered, true)
			b := s.marked(Claim(2, 2, replay.Taken), recovered)
			s.release(b.Reservation, recovered, true)
			s.marked(Claim(3, 3, replay.Taken), recovered)
		},
		"one phase": func(s *afterLoss, recovered time.Time) {
			claim := Claim(1, 1, replay.Taken)
			claim.Lease = 0
			a := s.marked(claim, recovered)
			s.reserve(Claim(2, 2, replay.Taken), recovered, replay.CopyUnknown)
			s.release(a.Reservation, recovered, true)
			s.marked(claim, recovered)
		},
		"until the window has ended": func(s *afterLoss, _ time.Time) {
			s.marked(Claim(1, 1, replay.Taken), lost.Add(window+replay.Skew-time.Microsecond))
			s.nonce.Fingerprint = Fingerprint(2)
			a := s.reserve(Claim(2, 2, replay.Taken), lost.Add(window+replay.Skew), replay.Reserved)
			if a.Mark != authz.MarkNone || !a.New {
				s.Errorf("%+v", a)
			}
		},
		"what says itself that it may be a copy": func(s *afterLoss, _ time.Time) {
			s.nonce.Doubtful = true
			s.marked(Claim(1, 1, replay.Taken), lost.Add(time.Hour))
		},
		"a signed time is certain, or refused": func(s *afterLoss, recovered time.Time) {
			s.nonce = Signed(1, recovered)
			s.reserve(Claim(1, 1, replay.Taken), recovered, replay.Uncertain)
			later := lost.Add(time.Minute + replay.Skew + time.Second)
			s.nonce = Signed(1, later)
			if a := s.reserve(Claim(1, 1, replay.Taken), later, replay.Reserved); a.Mark != authz.MarkNone {
				s.Errorf("%+v", a)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			subject := newSubject(t)
			before := &story{t, subject.Replicas[0], Unsigned(1, Start, window)}
			before.nonce.Expires = lost.Add(window)
			if a := before.reserve(Claim(9, 9, replay.Taken), lost.Add(-time.Second), replay.Reserved); a.Mark != authz.MarkNone || !a.New {
				t.Errorf("before the loss: %+v", a)
			}
			subject = subject.Restart(lost)
			recovered := lost.Add(subject.Recovery)
			s := &afterLoss{story: &story{t, subject.Replicas[1], Unsigned(1, recovered, window)}}
			tell(s, recovered)
			if got := subject.Possible(); got != s.marks {
				t.Errorf("%d counted as possible, %d were", got, s.marks)
			}
		})
	}
}
