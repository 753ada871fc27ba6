package redis_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

func reserve(t testing.TB, s replay.Store, n replay.Nonce, claim replay.Claim, now time.Time) replay.Answer {
	t.Helper()
	a, err := s.Reserve(context.Background(), n, claim, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func want(t testing.TB, s replay.Store, n replay.Nonce, check uint64, now time.Time, want replay.Outcome) replay.Answer {
	t.Helper()
	a := reserve(t, s, n, replaytest.Claim(check, check, replay.Unsure), now)
	if a.Outcome != want {
		t.Fatalf("outcome %d, want %d", a.Outcome, want)
	}
	return a
}

// delivered is a nonce whose delivery the application took.
func delivered(t testing.TB, s replay.Store, n replay.Nonce, check uint64, now time.Time) {
	t.Helper()
	a := want(t, s, n, check, now, replay.Reserved)
	if ok, err := s.Settle(context.Background(), a.Reservation, replay.Delivered, now); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

func probe(t testing.TB, s *redis.Store, now time.Time) {
	t.Helper()
	if err := s.Probe(context.Background(), now); err != nil {
		t.Fatal(err)
	}
}

// losses are the ways in which a server forgets, or may have.
var losses = map[string]struct {
	args []string
	lose func(t *testing.T, s *redistest.Server)
	// kept: the nonces are there all the same.
	kept bool
}{
	"flushed": {nil, func(_ *testing.T, s *redistest.Server) { s.Do("FLUSHALL") }, false},
	"killed without a file": {nil, func(_ *testing.T, s *redistest.Server) {
		s.Kill()
		s.Restart()
	}, false},
	"started from an old file": {nil, func(t *testing.T, s *redistest.Server) {
		s.Kill()
		if err := os.Rename(filepath.Join(s.Dir(), "old.rdb"), filepath.Join(s.Dir(), "dump.rdb")); err != nil {
			t.Fatal(err)
		}
		s.Restart()
	}, false},
	"restarted with its log": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, func(_ *testing.T, s *redistest.Server) {
		s.Kill()
		s.Restart()
	}, true},
}

// After a loss, whatever could have come before is uncertain, and nothing that
// came before is accepted.
func TestLoss(t *testing.T) {
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, kind string) {
				server := redistest.Start(t, redistest.Options{Kind: kind, Args: loss.args})
				c := config(server)
				c.Recovery = 3 * time.Minute
				a, b := open(t, c), open(t, c)
				if loss.args == nil {
					server.Do("SAVE") // with our keys, and before the nonces
					if err := os.Rename(filepath.Join(server.Dir(), "dump.rdb"), filepath.Join(server.Dir(), "old.rdb")); err != nil {
						t.Fatal(err)
					}
				}
				now := start.Add(time.Minute)
				ahead := replaytest.Signed(1, now.Add(59*time.Second)) // as far as the policy lets it be
				aheadByOther := replaytest.Signed(2, now.Add(59*time.Second+replay.Skew))
				plain, unsigned := replaytest.Signed(3, now), replaytest.Unsigned(4, now, time.Hour)
				delivered(t, a, ahead, 1, now)
				delivered(t, b, aheadByOther, 2, now.Add(replay.Skew))
				delivered(t, a, plain, 3, now)
				delivered(t, b, unsigned, 4, now)
				loss.lose(t, server)
				a.ForgetNear()
				b.ForgetNear()

				known := replay.Uncertain
				if loss.kept {
					known = replay.Copy
				}
				now = now.Add(time.Second)
				// The first that meets it finds it out by itself.
				if answer, err := b.Reserve(context.Background(), plain, replaytest.Claim(5, 5, replay.Unsure), now); err == nil && answer.Outcome == replay.Reserved {
					t.Fatal("a copy was accepted")
				}
				probe(t, b, now)
				if answer, err := a.Reserve(context.Background(), ahead, replaytest.Claim(6, 6, replay.Unsure), now); err == nil && answer.Outcome == replay.Reserved {
					t.Fatal("a copy was accepted")
				}
				probe(t, a, now)
				for n, nonce := range []replay.Nonce{ahead, aheadByOther, plain, unsigned} {
					want(t, a, nonce, uint64(10+n), now, known)
					want(t, b, nonce, uint64(20+n), now, known)
				}
				// What is new, and might not be.
				want(t, a, replaytest.Signed(5, now), 30, now, replay.Uncertain)
				want(t, b, replaytest.Unsigned(6, now, time.Hour), 31, now, replay.Uncertain)
				// What cannot have come before.
				later := now.Add(time.Minute + replay.Skew + time.Second)
				want(t, a, replaytest.Signed(7, later), 32, later, replay.Reserved)
				want(t, b, replaytest.Unsigned(8, later, time.Hour), 33, later, replay.Uncertain)
				want(t, b, replaytest.Unsigned(9, later, time.Minute), 34, later, replay.Reserved) // it would be forgotten by now
				later = now.Add(3*time.Minute + replay.Skew)
				want(t, b, replaytest.Unsigned(8, later, time.Hour), 35, later, replay.Reserved)
				if r := b.Remote(); r.Lost+r.Restarted != 16 {
					t.Errorf("%+v", r)
				}
				if r := a.Remote(); r.Lost+r.Restarted != 0 { // it was told
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// A server that is trusted has kept all, and an empty one has lost all whatever
// is trusted.
func TestTrustedRestart(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	c := config(server)
	c.TrustRestart = true
	s := open(t, c)
	delivered(t, s, replaytest.Signed(1, start), 1, start)
	server.Kill()
	server.Restart()
	s.ForgetNear()
	probe(t, s, start)
	want(t, s, replaytest.Signed(1, start), 2, start, replay.Copy)
	want(t, s, replaytest.Signed(2, start), 3, start, replay.Reserved)
	server.Do("FLUSHALL")
	s.ForgetNear()
	probe(t, s, start)
	want(t, s, replaytest.Signed(1, start), 4, start, replay.Uncertain)
}

// Who does not find its scripts on a server that has forgotten nothing loads them
// and goes on: another version of the service has begun the generation, with
// scripts of its own, or somebody has emptied the cache. Else each version would
// begin again what the other has begun, for as long as both run.
func TestScriptsOfAnotherVersion(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind})
		a := open(t, config(server))
		delivered(t, a, replaytest.Signed(1, start), 1, start)
		server.Do("SCRIPT", "FLUSH")
		epoch := server.Do("GET", redis.DefaultPrefix+"{"+redis.Tags()[0]+"}epoch")
		b := open(t, config(server))
		want(t, b, replaytest.Signed(1, start), 2, start, replay.Copy)
		want(t, b, replaytest.Signed(2, start), 3, start, replay.Reserved)
		want(t, b, replaytest.Unsigned(3, start, time.Hour), 4, start, replay.Reserved)
		server.Do("SCRIPT", "FLUSH")
		if answer, err := a.Reserve(context.Background(), replaytest.Signed(4, start), replaytest.Claim(5, 5, replay.Unsure), start); err == nil {
			t.Fatalf("without scripts: outcome %d", answer.Outcome)
		}
		probe(t, a, start)
		want(t, a, replaytest.Signed(4, start), 6, start, replay.Reserved)
		for _, s := range []*redis.Store{a, b} {
			if r := s.Remote(); r.Lost+r.Restarted+r.Evicted > 16 { // the first beginning
				t.Errorf("%+v", r)
			}
		}
		if now := server.Do("GET", redis.DefaultPrefix+"{"+redis.Tags()[0]+"}epoch"); now != epoch {
			t.Errorf("the generation %q became %q", epoch, now)
		}
	})
}

// Two replicas that begin at once on an empty server agree.
func TestBeginAtOnce(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	for range 20 {
		server.Do("FLUSHALL")
		stores := []*redis.Store{redis.New(config(server)), redis.New(config(server)), redis.New(config(server))}
		errs := make(chan error)
		for _, s := range stores {
			go func() { errs <- s.Probe(context.Background(), start) }()
		}
		for range stores {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		begun := int64(0)
		for i, s := range stores {
			n := replaytest.Signed(1, start)
			outcome := replay.Pending
			if i == 0 {
				outcome = replay.Reserved
			}
			want(t, s, n, uint64(i+1), start, outcome)
			begun += s.Remote().Lost + s.Remote().Restarted
			s.Close()
		}
		if begun != 0 {
			t.Errorf("a new server was taken for one that has lost something, %d times", begun)
		}
	}
}

// An empty server is a new one only until the time that the settings say.
func TestSetupUntil(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	c := config(server)
	c.SetupUntil, c.Recovery = start, time.Minute
	s := open(t, c)
	want(t, s, replaytest.Signed(1, start), 1, start, replay.Uncertain)
	want(t, s, replaytest.Unsigned(2, start, time.Hour), 2, start, replay.Uncertain)
	server.Do("FLUSHALL")
	c.SetupUntil = start.Add(time.Second)
	s = open(t, c)
	want(t, s, replaytest.Signed(1, start), 1, start, replay.Reserved)
	server.Do("FLUSHALL") // which this process knows was not new
	probe(t, s, start)
	want(t, s, replaytest.Signed(1, start), 1, start, replay.Uncertain)
}

// Clocks that differ by the skew accept no copy, in either order.
func TestSkewedClocks(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	n := uint64(0)
	for _, first := range []time.Duration{0, replay.Skew} {
		for _, age := range []time.Duration{-time.Minute, 0, 299 * time.Second, 300 * time.Second} {
			n++
			nonce := replaytest.Signed(n, start)
			at := start.Add(age)
			if at.Add(first).Sub(start) > 300*time.Second {
				continue
			}
			delivered(t, a, nonce, n*10, at.Add(first))
			for _, other := range []time.Duration{0, replay.Skew} {
				now := at.Add(other)
				if now.Sub(start) > 300*time.Second {
					continue // the freshness check refuses it there
				}
				b.ForgetNear()
				want(t, b, nonce, n*10+1, now, replay.Copy)
			}
		}
	}
	// It is kept in Redis until the last of them has refused it: 300 s after the
	// signed time by the clock that is behind, which is 330 s by the other.
	nonce := replaytest.Signed(99, start)
	delivered(t, a, nonce, 999, start.Add(300*time.Second))
	if left := timeToLive(t, server, nonce.Fingerprint); left < 2*replay.Skew-10*time.Second || left > replaytest.Ended+replay.Skew {
		t.Errorf("kept for %s", left)
	}
}

func timeToLive(t *testing.T, server *redistest.Server, f authz.Fingerprint) time.Duration {
	t.Helper()
	left, err := time.ParseDuration(server.Do("PTTL", redis.NonceKey(f)) + "ms")
	if err != nil {
		t.Fatal(err)
	}
	return left
}
