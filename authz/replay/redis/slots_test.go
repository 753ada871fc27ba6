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

// A slot of a live cluster moves to another master. While it moves, and after,
// no copy passes; when it has moved, its part begins again.
func TestSlotMoves(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		nodes, addresses := startCluster(t, redistest.Options{Kind: kind})
		c := config(nodes[0])
		c.Addresses = addresses
		s := redis.New(c)
		defer s.Close()
		probeUntil(t, s, start, good)
		var nonces []replay.Nonce
		for n := range uint64(200) {
			nonces = append(nonces, replaytest.Signed(n, start))
			delivered(t, s, nonces[n], n+1, start)
		}
		copies := func(at string) (refused int) {
			t.Helper()
			s.ForgetNear()
			for n, nonce := range nonces {
				a, err := s.Reserve(context.Background(), nonce, replaytest.Claim(uint64(n+1000), uint64(n+1000), replay.Taken), start.Add(time.Second))
				if err == nil && a.Outcome == replay.Reserved {
					t.Fatalf("%s: a copy was accepted", at)
				}
				if err != nil {
					refused++
				}
			}
			return refused
		}
		from, to := nodes[0], nodes[1] // the first tag lies in the first sixteenth
		slot := from.Do("CLUSTER", "KEYSLOT", "{"+redis.Tags()[0]+"}")
		source, target := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
		to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", source)
		from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", target)
		copies("before the first key moves")
		for _, nonce := range nonces {
			key := redis.NonceKey(nonce.Fingerprint)
			if !strings.Contains(key, "{"+redis.Tags()[0]+"}") {
				continue
			}
			from.Do("MIGRATE", "127.0.0.1", to.Port(), key, "0", "5000")
		}
		copies("when the nonces have moved")
		from.Do("MIGRATE", "127.0.0.1", to.Port(), "hookbastion:{"+redis.Tags()[0]+"}epoch", "0", "5000")
		copies("when the epoch has moved")
		moveRest(t, from, to, slot)
		for _, n := range []*redistest.Server{to, from, nodes[2]} {
			n.Do("CLUSTER", "SETSLOT", slot, "NODE", target)
		}
		copies("when the slot has moved")
		probeUntil(t, s, start.Add(time.Second), good)
		if refused := copies("when all is well"); refused > 0 {
			t.Errorf("%d were not answered", refused)
		}
		if r := s.Remote(); r.Restarted+r.Lost == 0 {
			t.Errorf("nothing has begun again: %+v", r)
		}
	})
}

// A move that is broken off leaves some of the nonces at the other master: the part begins
// again, and no copy passes. That is no restart that might be trusted.
func TestSlotMoveBrokenOff(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		nodes, addresses := startCluster(t, redistest.Options{Kind: kind})
		c := config(nodes[0])
		c.Addresses, c.TrustRestart = addresses, true
		a, b := redis.New(c), redis.New(c)
		defer a.Close()
		defer b.Close()
		probeUntil(t, a, start, good)
		probeUntil(t, b, start, good)
		from, to := nodes[0], nodes[1]
		slot := from.Do("CLUSTER", "KEYSLOT", "{"+redis.Tags()[0]+"}")
		to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.Do("CLUSTER", "MYID"))
		var moved []replay.Nonce
		for n := range uint64(200) {
			if nonce := replaytest.Signed(n, start); strings.Contains(redis.NonceKey(nonce.Fingerprint), "{"+redis.Tags()[0]+"}") {
				delivered(t, a, nonce, n+1, start)
				moved = append(moved, nonce)
			}
		}
		from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.Do("CLUSTER", "MYID"))
		for _, nonce := range moved {
			from.Do("MIGRATE", "127.0.0.1", to.Port(), redis.NonceKey(nonce.Fingerprint), "0", "5000")
		}
		for _, s := range []*redis.Store{a, b} {
			if err := s.Probe(context.Background(), start); err == nil {
				t.Error("a slot that moves is used")
			}
		}
		to.Do("CLUSTER", "SETSLOT", slot, "STABLE")
		from.Do("CLUSTER", "SETSLOT", slot, "STABLE")
		now := start.Add(time.Second)
		probeUntil(t, a, now, good)
		probeUntil(t, b, now, good)
		probeUntil(t, a, now, good)
		a.ForgetNear()
		for i, nonce := range moved {
			want(t, []*redis.Store{a, b}[i%2], nonce, uint64(i+1000), now, replay.Uncertain)
		}
		if len(moved) < 2 {
			t.Errorf("only %d nonces", len(moved))
		}
		later := now.Add(2 * time.Minute)
		want(t, b, replaytest.Signed(1_000_000, later), 5000, later, replay.Reserved)
	})
}

// moveRest moves what is left in a slot: a server gives up none that holds keys.
func moveRest(t *testing.T, from, to *redistest.Server, slot string) {
	t.Helper()
	c := from.Client()
	await(t, "the slot is empty", func() bool {
		keys, err := c.Do(context.Background(), c.B().Arbitrary("CLUSTER", "GETKEYSINSLOT", slot, "100").Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			from.Do("MIGRATE", "127.0.0.1", to.Port(), key, "0", "5000", "REPLACE")
		}
		return len(keys) == 0
	})
}
