package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// setBack are ways in which a running server comes to an earlier state.
var setBack = map[string]struct{ before, after func(s *redistest.Server) }{
	"an older file is loaded": {
		func(s *redistest.Server) { s.Do("SAVE") },
		func(s *redistest.Server) { s.Do("DEBUG", "RELOAD", "NOSAVE") },
	},
	"older keys are restored": {
		func(s *redistest.Server) { s.Do("EVAL", copyAll, "0", "1") },
		func(s *redistest.Server) {
			s.Do("FLUSHDB")
			s.Do("SWAPDB", "0", "1")
		},
	},
}

// copyAll makes a copy of all keys in another database.
const copyAll = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  redis.call('COPY', key, key, 'DB', ARGV[1])
end
return 1`

// A server that is the one that it was, with the generation that it had, and has forgotten
// what came since.
func TestSetBack(t *testing.T) {
	for name, back := range setBack {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, kind string) {
				server := redistest.Start(t, redistest.Options{Kind: kind, Args: []string{"--enable-debug-command", "yes"}})
				c := config(server)
				c.TrustRestart = true // it is none
				a, b := open(t, c), open(t, c)
				delivered(t, a, replaytest.Signed(1, start), 1, start)
				back.before(server)
				signed, plain := replaytest.Signed(2, start), replaytest.Unsigned(3, start, time.Hour)
				delivered(t, a, signed, 2, start)
				delivered(t, b, plain, 3, start)
				now := start.Add(5 * time.Second)
				probe(t, a, now)
				probe(t, b, now)
				back.after(server)
				now = now.Add(time.Second)
				probe(t, b, now)
				a.ForgetNear()
				if x, err := a.Reserve(context.Background(), signed, replaytest.Claim(4, 4, replay.Unsure), now); err == nil && x.Outcome == replay.Reserved {
					t.Error("a copy was accepted")
				}
				noneAccepted(t, a, now, signed, plain)
				noneAccepted(t, b, now, signed, plain)
				want(t, b, replaytest.Signed(1, start), 5, now, replay.Copy)
				if lost := a.Remote().Lost + b.Remote().Lost; lost != 16 {
					t.Errorf("%d parts were lost", lost)
				}
				probe(t, a, now)
				probe(t, b, now)
				if lost := a.Remote().Lost + b.Remote().Lost; lost != 16 {
					t.Errorf("%d parts were lost, in the end", lost)
				}
			})
		})
	}
}
