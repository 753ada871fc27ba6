package redis_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// small is a server with room for some 20,000 nonces.
func small(t *testing.T, kind string) *redistest.Server {
	t.Helper()
	server := redistest.Start(t, redistest.Options{Kind: kind})
	server.Do("CONFIG", "SET", "maxmemory", strconv.FormatInt(usedMemory(t, server)+6<<20, 10))
	return server
}

// of is a delivery without a signed time.
func of(webhook string, n uint64, now time.Time) replay.Nonce {
	nonce := replaytest.Unsigned(n, now, 24*time.Hour)
	nonce.Webhook = webhook
	return nonce
}

// flood delivers until there is no room, and returns how many found some.
func flood(t *testing.T, stores []*redis.Store, webhook string, first uint64, atMost int, now time.Time) int {
	t.Helper()
	const step = 500
	got, full := 0, false
	for asked := 0; asked < atMost && !full; asked += step {
		outcomes := make([]replay.Outcome, step)
		inParallel(step, func(i int) {
			n := first + uint64(asked+i)
			a, err := stores[i%len(stores)].Reserve(context.Background(), of(webhook, n, now), replaytest.Claim(n+1, n+1, replay.Taken), now)
			if err != nil {
				t.Error(err)
			}
			outcomes[i] = a.Outcome
		})
		for _, o := range outcomes {
			switch o {
			case replay.Reserved:
				got++
			case replay.Full:
				full = true
			default:
				t.Fatalf("outcome %d", o)
			}
		}
		for _, s := range stores {
			probe(t, s, now)
		}
	}
	return got
}

// A flood of one webhook ends in its own partition, over all replicas. Others find
// room, those who come late, too, and what they have already is still known.
func TestFloodEndsInItsPartition(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := small(t, kind)
		stores := []*redis.Store{open(t, config(server)), open(t, config(server))}
		got := flood(t, stores, "loud", 0, 100_000, start)
		if got < 5_000 || got >= 100_000 {
			t.Fatalf("%d of a flood found room", got)
		}
		for w := range uint64(16) {
			if n := flood(t, stores, "late-"+strconv.FormatUint(w, 10), (w+1)<<32, 500, start); n < 40 {
				t.Errorf("webhook %d found room for %d", w, n)
			}
		}
		if n := flood(t, stores, "loud", 1<<40, 500, start); n > 50 {
			t.Errorf("the flood goes on, with %d", n)
		}
		want(t, stores[0], of("loud", 0, start), 1<<41, start, replay.Pending)
		// When its nonces have expired, they are not counted any more.
		later := start.Add(28 * time.Hour)
		want(t, stores[0], of("loud", 1<<42, later), 1<<42, later, replay.Reserved)
	})
}

// What was given back, or failed, takes no room of its webhook, however often.
func TestReleasedTakesNoRoom(t *testing.T) {
	server := small(t, "redis")
	s := open(t, config(server))
	got := flood(t, []*redis.Store{s}, "hook", 0, 100_000, start)
	for n := range uint64(got) + 500 { // which are asked for at once
		r := authz.Reservation{Fingerprint: of("hook", n, start).Fingerprint, Owner: n + 1}
		if _, err := s.Release(context.Background(), r, start); err != nil {
			t.Fatal(err)
		}
	}
	if left := server.Do("EVAL", "return #redis.call('KEYS', '*share:*')", "0"); left != "0" {
		t.Errorf("%s partitions are counted", left)
	}
	probe(t, s, start)
	for i := range uint64(1000) {
		a := want(t, s, of("hook", i, start), 1<<21+i, start, replay.Reserved)
		if ok, err := s.Settle(context.Background(), a.Reservation, replay.Undelivered, start); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if left := server.Do("EVAL", "return #redis.call('KEYS', '*share:*')", "0"); left != "0" {
		t.Errorf("after failures %s partitions are counted", left)
	}
}

// Without a limit of the server nothing is counted.
func TestNoLimit(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	s := open(t, config(server))
	delivered(t, s, of("hook", 1, start), 1, start)
	if n := server.Do("EVAL", "return #redis.call('KEYS', '*share:*')", "0"); n != "0" {
		t.Errorf("%s partitions", n)
	}
}
