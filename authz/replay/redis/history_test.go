package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// follow makes a server the replica of another and waits until it has its data.
func follow(t *testing.T, replica, master *redistest.Server) {
	t.Helper()
	replica.Do("REPLICAOF", "127.0.0.1", master.Port())
	await(t, "the replica follows", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
}

// startPair is a master and its replica.
func startPair(t *testing.T, kind string) (one, two *redistest.Server) {
	t.Helper()
	o := redistest.Options{Kind: kind, TCP: true, Args: []string{"--repl-diskless-sync-delay", "0"}}
	one, two = redistest.Start(t, o), redistest.Start(t, o)
	follow(t, two, one)
	return one, two
}

// noneAccepted sends copies to a store that nobody has probed, and to one that
// has been, and all are refused.
func noneAccepted(t *testing.T, s *redis.Store, now time.Time, nonces ...replay.Nonce) {
	t.Helper()
	s.ForgetNear()
	for n, nonce := range nonces {
		check := uint64(1000 + n)
		if a, err := s.Reserve(context.Background(), nonce, replaytest.Claim(check, check, replay.Unsure), now); err == nil && a.Outcome == replay.Reserved {
			t.Fatalf("a copy of delivery %d was accepted, mark %q", n, a.Mark)
		}
	}
	probe(t, s, now)
	for n, nonce := range nonces {
		a := reserve(t, s, nonce, replaytest.Claim(uint64(2000+n), uint64(2000+n), replay.Unsure), now)
		if a.Outcome != replay.Uncertain && a.Outcome != replay.Copy {
			t.Fatalf("after a probe, delivery %d: outcome %d", n, a.Outcome)
		}
	}
}

// A master that was demoted, took the data of the one that was promoted in its
// place, and was promoted again is the same process with the same scripts and
// the same generation. It has forgotten what it accepted alone.
func TestDemotedAndPromotedAgain(t *testing.T) {
	for name, during := range map[string]func(t *testing.T, s *redis.Store, old replay.Nonce){
		"nobody calls in between": nil,
		"calls meet READONLY": func(t *testing.T, s *redis.Store, old replay.Nonce) {
			if a, err := s.Reserve(context.Background(), old, replaytest.Claim(9, 9, replay.Taken), start); err == nil && a.Outcome == replay.Reserved {
				t.Fatal("a replica has accepted")
			}
			if s.Probe(context.Background(), start) == nil {
				t.Fatal("a replica is taken for a master")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachAtOnce(t, func(t *testing.T, kind string) {
				one, two := startPair(t, kind)
				c := config(one)
				c.Recovery = time.Minute
				s := open(t, c)
				two.Do("REPLICAOF", "NO", "ONE") // a partition: both are masters
				signed, plain := replaytest.Signed(1, start), replaytest.Unsigned(2, start, time.Hour)
				delivered(t, s, signed, 1, start)
				delivered(t, s, plain, 2, start)
				unsure := replaytest.Signed(3, start)
				r := want(t, s, unsure, 3, start, replay.Reserved)
				if ok, err := s.Settle(context.Background(), r.Reservation, replay.Unsure, start); !ok || err != nil {
					t.Fatal(ok, err)
				}
				follow(t, one, two) // healed
				if during != nil {
					during(t, s, signed)
				}
				one.Do("REPLICAOF", "NO", "ONE")
				now := start.Add(time.Second)
				noneAccepted(t, s, now, signed, plain, unsure)
				if r := s.Remote(); r.Restarted+r.Lost != 16 { // the other may have got the epochs, or not
					t.Errorf("%+v", r)
				}
				now = now.Add(2 * time.Minute)
				want(t, s, replaytest.Signed(4, now), 4, now, replay.Reserved)
				want(t, s, replaytest.Unsigned(5, now, time.Hour), 5, now, replay.Reserved)
			})
		})
	}
}

// A replica that may be written to is no master either: what it takes, it
// forgets when it follows again.
func TestWritableReplica(t *testing.T) {
	one, two := startPair(t, "redis")
	s := open(t, config(one))
	one.Do("CONFIG", "SET", "replica-read-only", "no")
	two.Do("REPLICAOF", "NO", "ONE")
	follow(t, one, two)
	if a, err := s.Reserve(context.Background(), replaytest.Signed(1, start), replaytest.Claim(1, 1, replay.Taken), start); err == nil {
		t.Errorf("a replica has answered %d", a.Outcome)
	}
	if err := s.Probe(context.Background(), start); err == nil {
		t.Error("a replica is taken for a master")
	}
}

// A master gives its history another name when its first replica comes. That is
// no loss.
func TestFirstReplica(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		o := redistest.Options{Kind: kind, TCP: true, Args: []string{"--repl-diskless-sync-delay", "0"}}
		one, two := redistest.Start(t, o), redistest.Start(t, o)
		s := open(t, config(one))
		delivered(t, s, replaytest.Signed(1, start), 1, start)
		before := one.Do("INFO", "replication")
		follow(t, two, one)
		if id := "master_replid:"; field(before, id) == field(one.Do("INFO", "replication"), id) {
			t.Fatal("the history has kept its name")
		}
		s.ForgetNear()
		probe(t, s, start)
		want(t, s, replaytest.Signed(1, start), 2, start, replay.Copy)
		want(t, s, replaytest.Signed(2, start), 3, start, replay.Reserved)
		if r := s.Remote(); r.Restarted+r.Lost != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func field(info, name string) string {
	_, rest, _ := strings.Cut(info, name)
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// An address leads to another server and then back to the first, which nobody
// has demoted: it does not know what the other has accepted, and is trusted in that by nobody.
func TestAddressGoesAndComesBack(t *testing.T) {
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	d := startDelay(t, one)
	c := config(one)
	c.Addresses, c.Unix, c.TrustRestart = []string{d.listener.Addr().String()}, false, true
	s := open(t, c)
	delivered(t, s, replaytest.Signed(1, start), 1, start)
	d.lead(two)
	d.cut()
	now := start.Add(time.Second)
	probe(t, s, now)
	now = now.Add(2 * time.Minute)
	there := replaytest.Signed(2, now)
	delivered(t, s, there, 2, now)
	d.lead(one)
	d.cut()
	s.ForgetNear()
	now = now.Add(time.Second)
	noneAccepted(t, s, now, there)
	noneAccepted(t, s, now, replaytest.Signed(1, start))
}

// Evictions are seen in the step after, and are not forgotten when the server is
// told to evict no more.
func TestEvicted(t *testing.T) {
	for _, policy := range []string{"allkeys-random", "volatile-ttl", "volatile-lfu"} {
		t.Run(policy, func(t *testing.T) {
			each(t, func(t *testing.T, kind string) {
				server := redistest.Start(t, redistest.Options{Kind: kind, Args: []string{"--maxmemory", "8mb"}})
				c := config(server)
				c.TrustRestart = true // which is no trust in what evicts
				s := open(t, c)
				var nonces []replay.Nonce
				for n := range uint64(60) {
					nonces = append(nonces, replaytest.Unsigned(n, start, time.Hour))
					delivered(t, s, nonces[n], n+1, start)
				}
				server.Do("CONFIG", "SET", "maxmemory-policy", policy)
				for i := range 48 {
					server.Do("SET", "other"+string(rune('a'+i)), strings.Repeat("x", 1<<18), "EX", "600")
				}
				if field(server.Do("INFO", "stats"), "evicted_keys:") == "0" {
					t.Fatal("nothing was evicted")
				}
				now := start.Add(time.Second)
				s.ForgetNear()
				for n, nonce := range nonces {
					check := uint64(1000 + n)
					if a, err := s.Reserve(context.Background(), nonce, replaytest.Claim(check, check, replay.Unsure), now); err == nil && a.Outcome == replay.Reserved {
						t.Fatal("a copy was accepted while it evicts")
					}
				}
				if err := s.Probe(context.Background(), now); err == nil {
					t.Error("a server that evicts is good")
				}
				server.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
				server.Do("CONFIG", "SET", "maxmemory", "100mb")
				noneAccepted(t, s, now, nonces...)
				if r := s.Remote(); r.Evicted+r.Lost != 16 { // where its epoch went, too, a part is empty
					t.Errorf("%+v", r)
				}
			})
		})
	}
}
