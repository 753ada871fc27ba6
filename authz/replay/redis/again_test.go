package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// What was settled in the moment before a master died is settled again at the one that has
// been promoted, which has the reservations alone.
func TestSettledAgain(t *testing.T) {
	for name, trust := range map[string]bool{"": false, "trusted": true} {
		t.Run(name, func(t *testing.T) {
			eachAtOnce(t, func(t *testing.T, kind string) { settledAgain(t, kind, trust) })
		})
	}
}

func settledAgain(t *testing.T, kind string, trust bool) {
	master, replica := startPair(t, kind)
	d := startDelay(t, master)
	c := config(master)
	c.TrustRestart = trust
	c.Addresses = []string{d.listener.Addr().String()}
	s := open(t, c)
	fates := []replay.Fate{replay.Undelivered, replay.Delivered, replay.Taken, replay.Unsure}
	var answers []replay.Answer
	for n := range fates {
		answers = append(answers, want(t, s, replaytest.Signed(uint64(n), start), uint64(n+1), start, replay.Reserved))
	}
	early := want(t, s, replaytest.Signed(9, start), 9, start, replay.Reserved)
	if ok, err := s.Settle(context.Background(), early.Reservation, replay.Undelivered, start); !ok || err != nil {
		t.Fatal(ok, err)
	}
	want(t, s, replaytest.Signed(9, start), 10, start, replay.Reserved) // the retry, which is open
	await(t, "the replica has them", func() bool { return replica.Do("DBSIZE") == master.Do("DBSIZE") })
	replica.Do("REPLICAOF", "NO", "ONE")
	for i, fate := range fates {
		if ok, err := s.Settle(context.Background(), answers[i].Reservation, fate, start); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	master.Kill()
	d.lead(replica)
	d.cut()
	s.ForgetNear()
	now := start.Add(10 * time.Second)
	probeUntil(t, s, now, good)
	first := replay.Uncertain
	if trust { // its retry may have been taken
		first = replay.Pending
	}
	for i, outcome := range []replay.Outcome{first, replay.Copy, replay.CopyUnknown, replay.Reserved} {
		want(t, s, replaytest.Signed(uint64(i), start), uint64(20+i), now, outcome)
	}
	want(t, s, replaytest.Signed(9, start), 30, now, replay.Pending)
	if settled := s.Stats(); settled.Delivered != 1 || settled.Released != 2 {
		t.Errorf("%+v", settled)
	}
}
