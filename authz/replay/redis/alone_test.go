package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// marked is a delivery without a signed time that nobody knows.
func marked(t *testing.T, s replay.Store, n, check uint64, window time.Duration, now time.Time, mark authz.Mark) replay.Answer {
	t.Helper()
	a := want(t, s, replaytest.Unsigned(n, now, window), check, now, replay.Reserved)
	if a.Mark != mark || !a.New {
		t.Errorf("nonce %d: %+v, want mark %q", n, a, mark)
	}
	return a
}

// What a replica takes alone, others may have taken: it is marked, and so is what
// comes afterwards at any of them until its window has ended. It does not take
// its own mark for a delivery that it knows.
func TestMarkedAlone(t *testing.T) {
	const window = time.Hour
	var happened []redis.Happening
	server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	a, b, now := twoAlone(t, server, &happened)
	signed := replaytest.Signed(90, now.Add(10*time.Minute))
	if got := want(t, a, signed, 90, signed.Signed, replay.Reserved); got.Mark != authz.MarkNone {
		t.Errorf("a signed time: %q", got.Mark)
	}
	taken := marked(t, a, 1, 10, window, now, authz.MarkPossible)
	if again := want(t, a, replaytest.Unsigned(1, now, window), 10, now, replay.Reserved); !again.Adopted || again.Mark != authz.MarkPossible {
		t.Errorf("%+v", again)
	}
	if ok, err := a.Settle(context.Background(), taken.Reservation, replay.Delivered, now); !ok || err != nil {
		t.Fatal(ok, err)
	}
	want(t, a, replaytest.Unsigned(1, now, window), 11, now, replay.Copy)
	marked(t, b, 1, 12, window, now, authz.MarkPossible) // the other cannot know it

	server.Restart()
	back := now.Add(15 * time.Minute)
	probe(t, b.Store, back)
	probe(t, a.Store, back)
	for i, s := range []replay.Store{a, b} {
		n := uint64(20 + 10*i)
		marked(t, s, n, n, window, back.Add(time.Second), authz.MarkPossible)
		marked(t, s, n+1, n+1, window, back.Add(window+replay.Skew-time.Second), authz.MarkPossible)
		marked(t, s, n+2, n+2, window, back.Add(window+replay.Skew+time.Second), authz.MarkNone)
		marked(t, s, n+3, n+3, time.Minute, back.Add(2*time.Minute), authz.MarkNone)
	}
	want(t, a, replaytest.Unsigned(1, now, window), 13, back, replay.Copy)
}

// A replica that has seen no outage is told by the one that was alone. One that
// only looked, and took nothing, tells nobody.
func TestToldOfAnOutage(t *testing.T) {
	const window = time.Hour
	for _, takes := range []bool{true, false} {
		server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
		var happened []redis.Happening
		a, _, now := twoAlone(t, server, &happened)
		if takes {
			marked(t, a, 1, 10, window, now, authz.MarkPossible)
		}
		server.Restart()
		c := config(server)
		c.TrustRestart = true
		other := open(t, c) // which does not go alone, and was not there
		probe(t, a.Store, now)
		mark := authz.MarkNone
		if takes {
			mark = authz.MarkPossible
		}
		marked(t, other, 2, 11, window, now, mark)
		marked(t, a, 3, 12, window, now, authz.MarkPossible)
	}
}

// An outage that is over before replicas go alone is none for this.
func TestShortOutage(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	c := config(server)
	c.TrustRestart = true
	f := redis.NewFallback(open(t, c), memory.New(memory.Config{MaxEntries: 1000}))
	server.Kill()
	if f.Probe(context.Background(), start) == nil {
		t.Fatal("it is not away")
	}
	server.Restart()
	probe(t, f.Store, start.Add(time.Second))
	marked(t, f, 1, 1, time.Hour, start.Add(time.Minute), authz.MarkNone)
}

// While keys are changed, what is new by both is marked after a loss, and what is
// known by the other is not taken for new.
func TestMarkedWhileKeysChange(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	c := config(server)
	c.Recovery = time.Second
	s := open(t, c)
	server.Do("FLUSHALL")
	probe(t, s, start)
	now := start.Add(time.Minute)
	n := replaytest.Unsigned(1, now, time.Hour)
	n.Alternate = replaytest.Fingerprint(2)
	a := want(t, s, n, 1, now, replay.Reserved)
	if a.Mark != authz.MarkPossible || !a.New {
		t.Errorf("%+v", a)
	}
	want(t, s, replaytest.Unsigned(3, now, time.Hour), 2, now, replay.Reserved)
	n = replaytest.Unsigned(4, now, time.Hour)
	n.Alternate = replaytest.Fingerprint(3)
	want(t, s, n, 3, now, replay.Pending)
}
