package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// A master whose replicas have left refuses all that is new, which is told at once and not by
// the deliveries alone. What is known is a copy as ever, and is settled.
func TestReplicasLeave(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		master, replica := startPair(t, kind)
		var last redis.Event
		c := config(master)
		c.WaitReplicas, c.Budget = 1, time.Second
		c.OnEvent = func(e redis.Event) { last = e }
		s := open(t, c)
		up := func(err error) bool { return err == nil && s.Remote().Up }
		probeUntil(t, s, start, up)
		delivered(t, s, replaytest.Signed(1, start), 1, start)
		pending := want(t, s, replaytest.Signed(2, start), 2, start, replay.Reserved)
		replica.Kill()
		probeUntil(t, s, start, func(err error) bool { return err == nil && !s.Remote().Up })
		if last.What != redis.WentDown || !errors.Is(last.Err, redis.ErrReplicas) {
			t.Errorf("%+v", last)
		}
		if _, err := s.Reserve(context.Background(), replaytest.Signed(3, start), replaytest.Claim(3, 3, replay.Unsure), start); !errors.Is(err, redis.ErrReplicas) {
			t.Error(err)
		}
		s.ForgetNear()
		want(t, s, replaytest.Signed(1, start), 4, start, replay.Copy)
		if ok, err := s.Settle(context.Background(), pending.Reservation, replay.Delivered, start); !ok || err != nil {
			t.Error(ok, err)
		}
		replica.Restart()
		follow(t, replica, master)
		probeUntil(t, s, start, up)
		if last.What != redis.CameUp {
			t.Errorf("%+v", last)
		}
		want(t, s, replaytest.Signed(5, start), 5, start, replay.Reserved)
	})
}
