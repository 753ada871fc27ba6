package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// twoAlone are two replicas that go alone, and their stores in Redis, which is
// away.
func twoAlone(t *testing.T, server *redistest.Server, happened *[]redis.Happening) (a, b *redis.Fallback, now time.Time) {
	t.Helper()
	c := config(server)
	c.TrustRestart = true
	c.OnEvent = func(e redis.Event) { *happened = append(*happened, e.What) }
	for _, f := range []**redis.Fallback{&a, &b} {
		*f = redis.NewFallback(open(t, c), memory.New(memory.Config{MaxEntries: 1000}))
	}
	// An access log comes.
	delivered(t, a, replaytest.Signed(1000, start), 1, start)
	want(t, b, replaytest.Signed(1000, start), 2, start, replay.Copy)
	server.Kill()
	for _, f := range []*redis.Fallback{a, b} {
		if f.Probe(context.Background(), start) == nil {
			t.Fatal("it is not away")
		}
		_, _ = f.Reserve(context.Background(), replaytest.Unsigned(1001, start, time.Hour), replay.Claim{}, start) // from here on
	}
	return a, b, start.Add(3 * time.Second)
}

// The access log tells one replica of what the other has taken alone. It is
// handed on when Redis is back.
func TestSettledElsewhere(t *testing.T) {
	var happened []redis.Happening
	server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	a, b, now := twoAlone(t, server, &happened)
	fates := []replay.Fate{replay.Delivered, replay.Taken, replay.Undelivered, replay.Unsure}
	var nonces []replay.Nonce
	for i, fate := range fates {
		n := replaytest.Unsigned(uint64(i), now, time.Hour)
		nonces = append(nonces, n)
		r := reserve(t, a, n, replaytest.Claim(uint64(i+10), uint64(i+10), replay.Taken), now)
		if r.Outcome != replay.Reserved {
			t.Fatalf("outcome %d", r.Outcome)
		}
		sealed := authz.Reservation{Fingerprint: r.Reservation.Fingerprint, Partition: r.Reservation.Partition, ID: r.Reservation.ID, Ends: r.Reservation.Ends}
		if ok, err := b.Settle(context.Background(), sealed, fate, now); ok || !errors.Is(err, redis.ErrElsewhere) {
			t.Errorf("%d: %t, %v", fate, ok, err)
		}
	}
	said := 0
	for _, what := range happened {
		if what == redis.Elsewhere {
			said++
		}
	}
	if r := b.Remote(); said != 1 || r.Elsewhere != 4 || r.Told != 0 {
		t.Errorf("said %d times; %+v", said, r)
	}
	server.Restart()
	now = now.Add(10 * time.Second)
	probe(t, a.Store, now) // it is first, and nobody has told it yet
	want(t, a, nonces[2], 20, now, replay.Pending)
	probe(t, b.Store, now)
	probe(t, a.Store, now)
	for i, outcome := range []replay.Outcome{replay.Copy, replay.CopyUnknown, replay.Reserved, replay.Reserved} {
		want(t, a, nonces[i], uint64(30+i), now, outcome)
	}
	if r := b.Remote(); r.Told != 4 {
		t.Errorf("%+v", r)
	}
}

// While Redis stays away nobody can be told. What ends without a word passes once
// more, marked, and an honest retry is not lost.
func TestNobodyCanBeTold(t *testing.T) {
	var happened []redis.Happening
	server := redistest.Start(t, redistest.Options{})
	a, b, now := twoAlone(t, server, &happened)
	n := replaytest.Unsigned(1, now, time.Hour)
	r := reserve(t, a, n, replaytest.Claim(1, 1, replay.Taken), now)
	if _, err := b.Settle(context.Background(), r.Reservation, replay.Undelivered, now); !errors.Is(err, redis.ErrElsewhere) {
		t.Error(err)
	}
	want(t, a, n, 2, now.Add(replaytest.Lease-time.Second), replay.Pending)
	if again := want(t, a, n, 3, now.Add(replaytest.Lease), replay.Reserved); again.Mark != authz.MarkPossible {
		t.Errorf("mark %q", again.Mark)
	}
	// Nor is it told late, to whoever has it by then.
	if ok, err := b.Settle(context.Background(), r.Reservation, replay.Undelivered, now.Add(replaytest.Lease)); ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
}

// Where no access log comes, the end of a lease means what the policy says.
func TestAloneWithoutALog(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	f := redis.NewFallback(open(t, config(server)), memory.New(memory.Config{MaxEntries: 1000}))
	server.Kill()
	if f.Probe(context.Background(), start) == nil {
		t.Fatal("it is not away")
	}
	n := replaytest.Unsigned(1, start, time.Hour)
	_, _ = f.Reserve(context.Background(), n, replay.Claim{}, start) // from here on
	now := start.Add(3 * time.Second)
	reserve(t, f, n, replaytest.Claim(1, 1, replay.Taken), now)
	want(t, f, n, 2, now.Add(replaytest.Lease), replay.CopyUnknown)
}
