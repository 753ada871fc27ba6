package file_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// restarts are the ways from one process to the next.
var restarts = map[string]func(*testing.T, *file.Store){
	"clean": func(t *testing.T, s *file.Store) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	},
	"killed": func(_ *testing.T, s *file.Store) { s.Kill() },
	"compacted and killed": func(t *testing.T, s *file.Store) {
		if err := s.Compact(start); err != nil {
			t.Error(err)
		}
		s.Kill()
	},
}

// TestWhatIsPendingSurvives restarts in the middle of a delivery.
func TestWhatIsPendingSurvives(t *testing.T) {
	for name, end := range restarts {
		t.Run(name, func(t *testing.T) {
			c := config(directory(t))
			s := opened(t, c, before)
			reserve := func(n, check, owner uint64, unknown replay.Fate, at time.Time) replay.Answer {
				t.Helper()
				nonce := nonceOf(n)
				nonce.Tenant = authz.View("tenant")
				a, err := s.Reserve(context.Background(), nonce, replaytest.Claim(check, owner, unknown), at)
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
			want := func(what string, got, want replay.Outcome) {
				t.Helper()
				if got != want {
					t.Errorf("%s: outcome %d, want %d", what, got, want)
				}
			}
			var as [6]replay.Answer
			for n := range as {
				as[n] = reserve(uint64(n), uint64(n+1), uint64(n+1), replay.Taken, start)
			}
			possible := reserve(10, 10, 10, replay.Unsure, start)
			end(t, s)
			s = opened(t, c, start)
			defer func() { s.Kill() }()
			settle := func(n int, fate replay.Fate, at time.Time) bool {
				t.Helper()
				ok, err := s.Settle(context.Background(), as[n].Reservation, fate, at)
				if err != nil {
					t.Fatal(err)
				}
				return ok
			}
			want("pending", reserve(0, 100, 100, replay.Taken, start).Outcome, replay.Pending)
			if !settle(0, replay.Delivered, start) || !settle(1, replay.Undelivered, start) {
				t.Error("a settlement that came after the restart did nothing")
			}
			want("settled after the restart", reserve(0, 101, 101, replay.Taken, start).Outcome, replay.Copy)
			want("released after the restart", reserve(1, 102, 102, replay.Taken, start).Outcome, replay.Reserved)
			if a := reserve(2, 3, 103, replay.Taken, start); !a.Adopted || a.Reservation.ID != as[2].Reservation.ID {
				t.Errorf("the repetition of a check: %+v", a)
			}
			if ok, _ := s.Release(context.Background(), as[2].Reservation, start); !ok {
				t.Error("the first attempt could not give back")
			}
			want("owned by another attempt", reserve(2, 106, 106, replay.Taken, start).Outcome, replay.Pending)
			if ok, _ := s.Release(context.Background(), as[3].Reservation, start); !ok {
				t.Error("the owner could not release it")
			}
			after := start.Add(replaytest.Lease)
			if settle(4, replay.Delivered, after) {
				t.Error("settled after the lease")
			}
			want("after the lease", reserve(5, 104, 104, replay.Taken, after).Outcome, replay.CopyUnknown)
			if a := reserve(10, 105, 105, replay.Unsure, after); a.Outcome != replay.Reserved || a.Mark != authz.MarkPossible || a.Reservation.ID == possible.Reservation.ID {
				t.Errorf("after the lease, under RELEASE: %+v", a)
			}
		})
	}
}

// A permit is for one copy, before a restart or after it.
func TestPermitsSurvive(t *testing.T) {
	for name, end := range restarts {
		t.Run(name, func(t *testing.T) {
			c := config(directory(t))
			s := opened(t, c, before)
			reserve := func(n, check uint64, want replay.Outcome) replay.Answer {
				t.Helper()
				a, err := s.Reserve(context.Background(), replaytest.Unsigned(n, start, time.Hour), replaytest.Claim(check, check, replay.Taken), start)
				if err != nil || a.Outcome != want {
					t.Fatalf("nonce %d: outcome %d, %v", n, a.Outcome, err)
				}
				return a
			}
			for n := range uint64(3) { // 0 has no permit, 1 has one, that of 2 is used up
				a := reserve(n, n+1, replay.Reserved)
				if _, err := s.Settle(context.Background(), a.Reservation, replay.Delivered, start); err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					continue
				}
				if ok, err := s.Permit(context.Background(), a.Reservation, start.Add(time.Minute), start); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			reserve(2, 12, replay.Reserved)
			end(t, s)
			s = opened(t, c, start)
			defer func() { s.Kill() }()
			reserve(0, 20, replay.Copy)
			if a := reserve(1, 21, replay.Reserved); a.Mark != authz.MarkRedelivered {
				t.Errorf("%+v", a)
			}
			reserve(1, 31, replay.Copy)
			reserve(2, 22, replay.Copy)
		})
	}
}

// What was delivered is compared with its copies after a restart, too, also where
// only some webhooks ask for it.
func TestLikenessesSurvive(t *testing.T) {
	const many = 500
	for name, end := range restarts {
		t.Run(name, func(t *testing.T) {
			c := config(directory(t))
			s := opened(t, c, before)
			nonce := func(n uint64, like authz.Likeness) replay.Nonce {
				nonce := replaytest.Unsigned(n, start, time.Hour)
				nonce.Likeness = like
				return nonce
			}
			reserve := func(n uint64, like authz.Likeness, want replay.Outcome) replay.Answer {
				t.Helper()
				a, err := s.Reserve(context.Background(), nonce(n, like), replaytest.Claim(n, n, replay.Taken), start)
				if err != nil || a.Outcome != want {
					t.Fatalf("nonce %d: outcome %d, %v", n, a.Outcome, err)
				}
				return a
			}
			for n := range uint64(many) {
				a := reserve(n, authz.Likeness(n%2*(n+1)), replay.Reserved)
				if _, err := s.Settle(context.Background(), a.Reservation, replay.Delivered, start); err != nil {
					t.Fatal(err)
				}
			}
			end(t, s)
			s = opened(t, c, start)
			defer func() { s.Kill() }()
			for n := range uint64(many) {
				if a := reserve(n, authz.Likeness(n+1), replay.Copy); a.Alike != (n%2 == 1) {
					t.Fatalf("nonce %d: alike %t", n, a.Alike)
				}
				if a := reserve(n, authz.Likeness(n+2), replay.Copy); a.Alike {
					t.Fatalf("nonce %d is alike what it is not", n)
				}
			}
		})
	}
}

// TestRecovery looks at what guards a start, and what does not.
func TestRecovery(t *testing.T) {
	const behind = 40 * time.Second
	for _, c := range []struct {
		name  string
		end   string
		sync  time.Duration
		boot  string
		now   time.Time
		guard bool
	}{
		{"a clean end", "clean", time.Second, "one", start, false},
		{"a clean end, another boot", "clean", time.Second, "two", start, false},
		{"a kill", "killed", time.Second, "one", start, false},
		{"a kill, another boot", "killed", time.Second, "two", start, true},
		{"a kill, another boot, nothing unsynced", "killed", 0, "two", start, false},
		{"a kill, no boot known", "killed", time.Second, " ", start, false},
		{"a clock a little behind", "killed", time.Second, "one", start.Add(-20 * time.Second), false},
		{"a clock far behind", "clean", time.Second, "one", start.Add(-behind), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := config(directory(t))
			config.Sync = c.sync
			if c.boot == " " {
				config.Boot = c.boot
			}
			s := opened(t, config, before)
			if !s.Recovery().New {
				t.Error("it is not new")
			}
			ask(t, s, 1)
			restarts[c.end](t, s)
			config.Boot = c.boot
			s = opened(t, config, c.now)
			defer s.Kill()
			r := s.Recovery()
			if r.New || r.Crash != (c.end == "killed") || (r.PowerLoss || r.ClockBack > 0) != c.guard || r.Damage != nil {
				t.Errorf("%+v", r)
			}
			if r.ClockBack > 0 && r.ClockBack != behind {
				t.Errorf("the clock is behind by %s", r.ClockBack)
			}
			if got := ask(t, s, 1); got == replay.Reserved {
				t.Error("a nonce was accepted again")
			}
			honest := replaytest.Signed(77, c.now.Add(-time.Second))
			a, err := s.Reserve(context.Background(), honest, replay.Claim{}, c.now)
			if err != nil || (a.Outcome == replay.Uncertain) != c.guard {
				t.Errorf("signed before the start: outcome %d, %v", a.Outcome, err)
			}
		})
	}
}

// A delivery that was forgotten as expired is not accepted after the clock was
// set back, nor when it was set back between two processes.
func TestClockSetBack(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	n := replaytest.Signed(1, start)
	reserve := func(at time.Time) replay.Outcome {
		a, err := s.Reserve(context.Background(), n, replay.Claim{}, at)
		if err != nil {
			t.Fatal(err)
		}
		return a.Outcome
	}
	if got := reserve(start); got != replay.Reserved {
		t.Fatalf("outcome %d", got)
	}
	later := start.Add(2 * time.Hour)
	s.SweepAll(later)
	if a, err := s.Reserve(context.Background(), replaytest.Signed(2, later), replay.Claim{}, later); err != nil || a.Outcome != replay.Reserved {
		t.Fatal(a, err)
	}
	if err := s.Compact(later); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{start, later.Add(-replay.Skew)} {
		s.Kill()
		s = opened(t, c, at)
		if got := reserve(start); got != replay.Uncertain {
			t.Errorf("restarted at %s: outcome %d", at, got)
		}
	}
	s.Kill()
}

// A watermark from an eviction outlives the process, and the compaction that
// forgets what was evicted.
func TestWatermarkSurvives(t *testing.T) {
	for name, end := range restarts {
		c := config(directory(t))
		c.Memory.MaxEntries = 500
		s := opened(t, c, before)
		for n := range uint64(3000) {
			if a, err := s.Reserve(context.Background(), replaytest.Signed(n, start.Add(time.Duration(n)*20*time.Millisecond)), replay.Claim{}, start.Add(time.Minute)); err != nil {
				t.Fatal(a, err)
			}
		}
		if s.Stats().Evicted == 0 {
			t.Fatal("nothing was evicted")
		}
		end(t, s)
		s = opened(t, c, start.Add(time.Minute))
		for n := range uint64(3000) {
			a, err := s.Reserve(context.Background(), replaytest.Signed(n, start.Add(time.Duration(n)*20*time.Millisecond)), replay.Claim{}, start.Add(time.Minute))
			if err != nil || a.Outcome == replay.Reserved {
				t.Fatalf("%s: nonce %d: outcome %d, %v", name, n, a.Outcome, err)
			}
		}
		a, err := s.Reserve(context.Background(), replaytest.Signed(1<<30, start.Add(time.Minute+5*time.Second)), replay.Claim{}, start.Add(time.Minute))
		if err != nil || a.Outcome != replay.Reserved {
			t.Errorf("%s: one signed later: outcome %d, %v", name, a.Outcome, err)
		}
		s.Kill()
	}
}

// That an access log comes is known after a restart: else the next lease that ends
// would take what the application failed.
func TestSettledSurvives(t *testing.T) {
	for name, end := range restarts {
		t.Run(name, func(t *testing.T) {
			c := config(directory(t))
			s := opened(t, c, before)
			a, err := s.Reserve(context.Background(), nonceOf(1), replaytest.Claim(1, 1, replay.Unsure), start)
			if err != nil {
				t.Fatal(err)
			}
			end(t, s)
			s = opened(t, c, start)
			if s.Recovery().Settled {
				t.Error("nothing was settled")
			}
			if done, err := s.Settle(context.Background(), a.Reservation, replay.Delivered, start); err != nil || !done {
				t.Fatalf("settled %v, %v", done, err)
			}
			end(t, s)
			if s = opened(t, c, start); !s.Recovery().Settled {
				t.Error("it is not known that an access log came")
			}
			s.Kill()
		})
	}
}
