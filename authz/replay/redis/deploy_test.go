package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// probeUntil probes until it succeeds or fails as is wanted.
func probeUntil(t *testing.T, s *redis.Store, now time.Time, done func(error) bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; {
		err := s.Probe(context.Background(), now)
		if done(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last probe: %v", err)
		}
	}
}

func good(err error) bool { return err == nil }

// Sentinels promote a replica. It has not been told of the generation, so what
// it may not have got is uncertain, until nothing is.
func TestFailover(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		master, replica, sentinels := startSentinels(t, redistest.Options{Kind: kind}, "")
		c := config(master)
		c.Addresses, c.Master, c.WaitReplicas, c.Budget = sentinels, "hooks", 1, 5*time.Second
		s := open(t, c)
		now := start
		delivered(t, s, replaytest.Signed(1, now), 1, now)
		delivered(t, s, replaytest.Unsigned(2, now, time.Hour), 2, now)
		master.Kill()
		s.ForgetNear()
		if _, err := s.Reserve(context.Background(), replaytest.Signed(1, now), replaytest.Claim(3, 3, replay.Unsure), now); err == nil {
			t.Fatal("an answer of a dead master")
		}
		now = now.Add(10 * time.Second)
		probeUntil(t, s, now, good)
		if r := s.Remote(); r.Restarted != 16 {
			t.Errorf("%+v", r)
		}
		// It waited for the replica, so nothing is lost; but that cannot be known.
		want(t, s, replaytest.Signed(1, start), 4, now, replay.Copy)
		want(t, s, replaytest.Signed(3, start.Add(9*time.Second)), 5, now, replay.Uncertain)
		now = now.Add(91 * time.Second)
		replica.Do("CONFIG", "SET", "min-replicas-to-write", "0")
		s2 := c
		s2.WaitReplicas = 0
		later := open(t, s2)
		want(t, later, replaytest.Signed(4, now), 6, now, replay.Reserved)
		// There is no replica left to wait for.
		if a, err := s.Reserve(context.Background(), replaytest.Signed(5, now), replaytest.Claim(7, 7, replay.Taken), now); !errors.Is(err, redis.ErrReplicas) {
			t.Errorf("%+v, %v", a, err)
		}
		probe(t, s, now)
		want(t, later, replaytest.Signed(5, now), 8, now, replay.Reserved)
	})
}

// startSentinels starts a master, its replica and three sentinels.
func startSentinels(t *testing.T, o redistest.Options, more string) (master, replica *redistest.Server, sentinels []string) {
	t.Helper()
	o.TCP, o.Args = true, []string{"--repl-diskless-sync-delay", "0"}
	if o.Password != "" {
		o.Args = append(o.Args, "--masterauth", o.Password)
	}
	master, replica = redistest.Start(t, o), redistest.Start(t, o)
	follow(t, replica, master)
	o.Password = ""
	o.Sentinel = "sentinel monitor hooks 127.0.0.1 " + master.Port() + ` 2
sentinel down-after-milliseconds hooks 500
sentinel failover-timeout hooks 3000
` + more
	for range 3 {
		s := redistest.Start(t, o)
		sentinels = append(sentinels, s.Address)
		await(t, "the sentinel knows the replica", func() bool { return strings.Contains(s.Do("INFO", "sentinel"), "slaves=1") })
	}
	return master, replica, sentinels
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal(what + ": it never does")
		}
	}
}

// In a cluster the shards lie on all masters. When one is away, the others go
// on.
func TestCluster(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		nodes, addresses := startCluster(t, redistest.Options{Kind: kind})
		c := config(nodes[0])
		c.Addresses = addresses
		a, b := redis.New(c), redis.New(c)
		defer a.Close()
		defer b.Close()
		probeUntil(t, a, start, good)
		probeUntil(t, b, start, good)
		for n := range uint64(200) {
			nonce := replaytest.Signed(n, start)
			r := want(t, a, nonce, 2*n+1, start, replay.Reserved)
			want(t, b, nonce, 2*n+2, start, replay.Pending)
			if ok, err := b.Settle(context.Background(), r.Reservation, replay.Delivered, start); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		for _, n := range nodes {
			if keys := n.Do("DBSIZE"); keys == "0" || len(keys) < 2 {
				t.Errorf("a node has %s keys", keys)
			}
		}
		nodes[2].Kill()
		probeUntil(t, a, start, func(err error) bool { return err != nil })
		answered, refused := 0, 0
		a.ForgetNear()
		for n := range uint64(200) {
			switch answer, err := a.Reserve(context.Background(), replaytest.Signed(n, start), replaytest.Claim(n+1000, n+1000, replay.Taken), start); {
			case err != nil:
				refused++
			case answer.Outcome == replay.Copy:
				answered++
			default:
				t.Fatalf("outcome %d", answer.Outcome)
			}
		}
		if answered < 100 || refused < 30 {
			t.Errorf("%d answered, %d refused", answered, refused)
		}
	})
}

// startCluster starts a cluster of three masters.
func startCluster(t *testing.T, o redistest.Options) (nodes []*redistest.Server, addresses []string) {
	t.Helper()
	o.TCP = true
	o.Args = []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"}
	for i := range 3 {
		n := redistest.Start(t, o)
		nodes, addresses = append(nodes, n), append(addresses, n.Address)
		n.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*5461), fmt.Sprint(min((i+1)*5461-1, 16383)+boundary(i)))
		n.Do("CLUSTER", "MEET", "127.0.0.1", nodes[0].Port())
	}
	for _, n := range nodes {
		await(t, "the cluster is whole", func() bool {
			info := n.Do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	return nodes, addresses
}

// boundary gives the last node the slot that is left over.
func boundary(i int) int {
	if i == 2 {
		return 16383 - (3*5461 - 1)
	}
	return 0
}

// TestTags: each shard lies in its own sixteenth of a cluster's slots.
func TestTags(t *testing.T) {
	server := redistest.Start(t, redistest.Options{TCP: true, Args: []string{"--cluster-enabled", "yes"}})
	for i, tag := range redis.Tags() {
		var slot int
		if _, err := fmt.Sscan(server.Do("CLUSTER", "KEYSLOT", "hookbastion:{"+tag+"}epoch"), &slot); err != nil {
			t.Fatal(err)
		}
		if slot/1024 != i || slot%1024 < 256 || slot%1024 > 768 {
			t.Errorf("shard %d lies in slot %d", i, slot)
		}
	}
}

// A server that would evict is refused, whenever it begins to.
func TestMaxmemoryPolicy(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind, Args: []string{"--maxmemory-policy", "allkeys-lru"}})
		s := redis.New(config(server))
		defer s.Close()
		wrong := func(err error) bool { return err != nil && strings.Contains(err.Error(), "noeviction") }
		if err := s.Probe(context.Background(), start); !wrong(err) {
			t.Fatal(err)
		}
		if _, err := s.Reserve(context.Background(), replaytest.Signed(1, start), replay.Claim{}, start); !errors.Is(err, redis.ErrDown) {
			t.Errorf("%v", err)
		}
		server.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
		probe(t, s, start)
		want(t, s, replaytest.Signed(1, start), 1, start, replay.Reserved)
		server.Do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
		if err := s.Probe(context.Background(), start); !wrong(err) {
			t.Fatal(err)
		}
		server.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
		probe(t, s, start)
		server.Kill()
		server.Restart("--maxmemory-policy", "allkeys-random")
		if _, err := s.Reserve(context.Background(), replaytest.Signed(2, start), replay.Claim{}, start); err == nil {
			t.Error("accepted by a server that evicts")
		}
		probeUntil(t, s, start, wrong)
	})
}

// A full server refuses new deliveries, and settles old ones.
func TestFull(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind})
		s := open(t, config(server))
		a := want(t, s, replaytest.Signed(1, start), 1, start, replay.Reserved)
		b := want(t, s, replaytest.Signed(2, start), 2, start, replay.Reserved)
		server.Do("CONFIG", "SET", "maxmemory", "1")
		want(t, s, replaytest.Signed(3, start), 3, start, replay.Full)
		want(t, s, replaytest.Signed(1, start), 4, start, replay.Pending)
		if ok, err := s.Settle(context.Background(), a.Reservation, replay.Delivered, start); !ok || err != nil {
			t.Error(ok, err)
		}
		if ok, err := s.Release(context.Background(), b.Reservation, start); !ok || err != nil {
			t.Error(ok, err)
		}
		for range 5 {
			probe(t, s, start) // to be full is not to be away
		}
		server.Do("CONFIG", "SET", "maxmemory", "0")
		want(t, s, replaytest.Signed(1, start), 5, start, replay.Copy)
		probe(t, s, start) // how much room there is, it asks then
		want(t, s, replaytest.Signed(2, start), 6, start, replay.Reserved)
	})
}

// commands returns the words of those lines of docs/replay.md that begin so.
func commands(t *testing.T, first string) (lines [][]string) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, first) {
			lines = append(lines, strings.Fields(line))
		}
	}
	return lines
}

// The service needs few rights, and its password may change.
func TestACL(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind})
		lines := commands(t, "ACL SETUSER ")
		if len(lines) != 1 || lines[0][4] != ">PASSWORD" {
			t.Fatalf("the page says %v", lines)
		}
		lines[0][2], lines[0][4] = "hooks", ">first"
		server.Do(lines[0]...)
		file := filepath.Join(t.TempDir(), "password")
		c := config(server)
		c.OnKeys = func([]replay.Key) {}
		c.Credentials = func() (string, string, error) {
			text, err := os.ReadFile(file)
			return "hooks", string(text), err
		}
		s := redis.New(c)
		defer s.Close()
		for _, password := range []string{"", "a-lie"} {
			if password != "" {
				if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Probe(context.Background(), start); err == nil || strings.Contains(err.Error(), "a-lie") {
				t.Fatalf("with the password %q: %v", password, err)
			}
		}
		if err := os.WriteFile(file, []byte("first"), 0o600); err != nil {
			t.Fatal(err)
		}
		probe(t, s, start)
		delivered(t, s, replaytest.Signed(1, start), 1, start)
		// Another password, and the connections that had the old one are gone.
		server.Do("ACL", "SETUSER", "hooks", "resetpass", ">second")
		if err := os.WriteFile(file, []byte("second"), 0o600); err != nil {
			t.Fatal(err)
		}
		server.Do("CLIENT", "KILL", "USER", "hooks")
		probeUntil(t, s, start, good)
		s.ForgetNear()
		want(t, s, replaytest.Signed(1, start), 2, start, replay.Copy)
		// A right is taken away.
		server.Do("ACL", "SETUSER", "hooks", "-evalsha")
		for range 3 {
			if _, err := s.Reserve(context.Background(), replaytest.Signed(2, start), replay.Claim{}, start); err == nil {
				t.Error("an answer without the right to ask")
			}
		}
		if _, err := s.Reserve(context.Background(), replaytest.Signed(2, start), replay.Claim{}, start); !errors.Is(err, redis.ErrDown) {
			t.Error(err)
		}
	})
}

// In one phase and after a permit, too, a check is repeated at a replica with
// another clock, and is no copy of itself.
func TestAdoptionByAnotherClock(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	for n, skew := range []time.Duration{-replay.Skew, 0, replay.Skew} {
		nonce := replaytest.Unsigned(uint64(n), start, time.Hour)
		claim := replaytest.Claim(uint64(n), 1, replay.Taken)
		claim.Lease = 0
		first, err := a.Reserve(t.Context(), nonce, claim, start)
		if err != nil || first.Outcome != replay.Reserved {
			t.Fatal(first.Outcome, err)
		}
		claim.Owner = 2
		again, err := b.Reserve(t.Context(), nonce, claim, start.Add(skew+5*time.Second))
		if err != nil || !again.Adopted || again.Reservation.ID != first.Reservation.ID {
			t.Errorf("skew %s: %+v, %v", skew, again, err)
		}
	}
}

// A copy that one replica has refused is permitted by another, by the record of the
// refusal alone.
func TestTicketAtAnotherReplica(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	nonce := replaytest.Signed(1, start)
	delivered(t, a, nonce, 1, start)
	refused := want(t, a, nonce, 2, start, replay.Copy)
	of := func(s *redis.Store) *replay.Settler { return replay.NewSettler(s, replaytest.Lease, replay.SealKey{1}) }
	id := strings.Repeat("a", 32)
	ticket := of(a).Refused(id, "hook", refused.Reservation)
	if webhook, err := of(b).Redeliver(t.Context(), id, start); webhook != "" || err != nil {
		t.Errorf("by the decision alone: %q, %v", webhook, err)
	}
	if webhook, decision, err := of(b).RedeliverTicket(t.Context(), ticket, start); webhook != "hook" || decision != id || err != nil {
		t.Fatalf("%q, %q, %v", webhook, decision, err)
	}
	later := start.Add(3 * time.Second) // than what a remembers
	if got := want(t, a, nonce, 3, later, replay.Reserved); got.Mark != authz.MarkRedelivered {
		t.Errorf("%+v", got)
	}
	want(t, b, nonce, 4, later, replay.Copy)
}

// Clocks of replicas may be apart: a lease that one has given does not end at
// another before it has ended here, so that the application may take as long as
// the lease, and an entry that comes within it settles.
func TestLeaseByAnotherClock(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	for _, skew := range []time.Duration{-replay.Skew, replay.Skew} {
		for n, unknown := range []replay.Fate{replay.Unsure, replay.Taken} {
			number := uint64(n)
			if skew > 0 {
				number += 10
			}
			nonce := replaytest.Unsigned(number, start, time.Hour)
			reserve := func(s *redis.Store, check uint64, at time.Time) replay.Answer {
				t.Helper()
				answer, err := s.Reserve(t.Context(), nonce, replaytest.Claim(check, check, unknown), at)
				if err != nil {
					t.Fatal(err)
				}
				return answer
			}
			first := reserve(a, 1, start)
			within := start.Add(replaytest.Lease - time.Second)
			if got := reserve(b, 2, within.Add(skew)).Outcome; got != replay.Pending {
				t.Errorf("skew %s, within the lease: outcome %d", skew, got)
			}
			if ok, err := b.Settle(t.Context(), first.Reservation, replay.Undelivered, within.Add(skew)); !ok || err != nil {
				t.Errorf("skew %s: settled %t, %v", skew, ok, err)
			}
			if again := reserve(a, 3, within); again.Outcome != replay.Reserved || again.Mark != 0 {
				t.Errorf("skew %s, the honest retry: %+v", skew, again)
			}
		}
	}
}
