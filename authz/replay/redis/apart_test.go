package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// apart is two servers that are masters at once, each with a replica of the service, as
// after a failover that has not reached all. What the old one accepts, the new one is not told.
func apart(t *testing.T, kind string, trust bool) (old, promoted *redistest.Server, left, right *redis.Store, d *delay) {
	t.Helper()
	old, promoted = startPair(t, kind)
	d = startDelay(t, old)
	c := config(old)
	c.Addresses, c.TrustRestart, c.Recovery = []string{d.listener.Addr().String()}, trust, time.Minute
	left = open(t, c)
	await(t, "the replica has the epochs", func() bool { return promoted.Do("DBSIZE") == old.Do("DBSIZE") })
	promoted.Do("REPLICAOF", "NO", "ONE")
	c.Addresses = []string{promoted.Address}
	right = open(t, c)
	return old, promoted, left, right, d
}

// What was accepted at a master that had been replaced passes no more where its replica of
// the service comes to the new one.
func TestMastersAtOnce(t *testing.T) {
	for name, trust := range map[string]bool{"": false, "trusted": true} {
		t.Run(name, func(t *testing.T) {
			eachAtOnce(t, func(t *testing.T, kind string) {
				old, promoted, left, right, d := apart(t, kind, trust)
				now := start.Add(10 * time.Minute)
				probe(t, left, now)
				probe(t, right, now)
				signed, plain := replaytest.Signed(1, now), replaytest.Unsigned(2, now, time.Hour)
				delivered(t, left, signed, 1, now)
				delivered(t, left, plain, 2, now)
				follow(t, old, promoted) // the partition is over
				d.lead(promoted)
				d.cut()
				now = now.Add(time.Second)
				noneAccepted(t, left, now, signed, plain)
				noneAccepted(t, right, now, signed, plain)
				now = now.Add(2 * time.Minute)
				want(t, left, replaytest.Signed(4, now), 4, now, replay.Reserved)
				if a := want(t, right, plain, 5, now, replay.Reserved); a.Mark == 0 {
					t.Error("it has no mark")
				}
			})
		})
	}
}

// An empty server that another replica takes for a new one is not new for who knows better.
func TestNewToAnother(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a := open(t, config(server))
	now := start.Add(time.Minute)
	nonce := replaytest.Signed(1, now)
	delivered(t, a, nonce, 1, now)
	server.Do("FLUSHALL")
	b := redis.New(config(server))
	defer b.Close()
	probe(t, b, now)
	noneAccepted(t, a, now, nonce)
	if x, err := b.Reserve(context.Background(), nonce, replaytest.Claim(9, 9, replay.Unsure), now); err == nil && x.Outcome == replay.Reserved {
		t.Error("a copy was accepted")
	}
}
