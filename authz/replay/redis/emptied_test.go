package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// The master that has the shared keys is emptied, and who finds that has not known them: with
// new keys, what lies at the other masters is found by nobody.
func TestKeysAreLost(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		nodes, addresses := startCluster(t, redistest.Options{Kind: kind})
		c := config(nodes[0])
		c.Addresses = addresses
		a := userOf(t, c)
		nonce := func(u *user, n int) replay.Nonce { return u.nonce(fmt.Sprint("content ", n)) }
		const deliveries = 100
		for n := range deliveries {
			delivered(t, a, nonce(a, n), uint64(n+1), start)
		}
		nodes[0].Do("FLUSHALL")
		c.SetupUntil = time.Time{}
		b := userOf(t, c)
		now := start.Add(time.Second)
		for _, u := range []*user{b, a} {
			u.ForgetNear()
			for n := range deliveries {
				check := uint64(n + 1000)
				if x, err := u.Reserve(context.Background(), nonce(u, n), replaytest.Claim(check, check, replay.Unsure), now); err == nil && x.Outcome == replay.Reserved {
					t.Fatalf("a copy was accepted, mark %d", x.Mark)
				}
			}
			probeUntil(t, a.Store, now, good)
		}
		later := now.Add(2 * time.Minute)
		fresh := a.nonce("fresh")
		fresh.Signed, fresh.Expires = later, later.Add(5*time.Minute)
		want(t, a, fresh, 5000, later, replay.Reserved)
		want(t, b, fresh, 5001, later, replay.Pending)
	})
}

// Somebody puts another key into the list, beside which none of the old ones stands: what was
// accepted is known by none, from the moment at which a replica has it.
func TestKeysAreReplaced(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a := newUser(t, server)
	delivered(t, a, a.nonce("one"), 1, start)
	now := start.Add(time.Second)
	refused := func(s *user, check uint64) {
		t.Helper()
		s.ForgetNear()
		if x, err := s.Reserve(context.Background(), s.nonce("one"), replaytest.Claim(check, check, replay.Unsure), now); err == nil && x.Outcome == replay.Reserved {
			t.Errorf("a copy was accepted, mark %d", x.Mark)
		}
	}
	a.onChange = func() { refused(a, 2) }
	server.Do("DEL", a.KeysName())
	server.Do("RPUSH", a.KeysName(), replay.NewKey().Text())
	probe(t, a.Store, now)
	refused(a, 3)
	refused(newUser(t, server), 4)
	if a.changes != 2 || a.Remote().Lost != 16 {
		t.Errorf("%d changes, %+v", a.changes, a.Remote())
	}
	probe(t, a.Store, now)
	if a.Remote().Lost != 16 {
		t.Errorf("once was not enough: %+v", a.Remote())
	}
}

// Who cannot read the list does not know which keys are right, and leaves alone what others
// have begun.
func TestKeysOfOthers(t *testing.T) {
	nodes, addresses := startCluster(t, redistest.Options{})
	c := config(nodes[0])
	c.Addresses = addresses
	a := userOf(t, c)
	tag := redis.Tags()[15] // at the last node, and the list is at the first
	nodes[2].Do("SET", "hookbastion:{"+tag+"}keyed", "0123456789abcdef")
	epoch := nodes[2].Do("GET", "hookbastion:{"+tag+"}epoch")
	nodes[0].Kill()
	probeUntil(t, a.Store, start, func(err error) bool { return err != nil })
	for n := range uint64(200) {
		nonce := replaytest.Signed(n, start)
		if !strings.Contains(redis.NonceKey(nonce.Fingerprint), "{"+tag+"}") {
			continue
		}
		if _, err := a.Reserve(context.Background(), nonce, replaytest.Claim(n, n, replay.Unsure), start); !errors.Is(err, redis.ErrDown) {
			t.Errorf("with other keys: %v", err)
		}
	}
	if now := nodes[2].Do("GET", "hookbastion:{"+tag+"}epoch"); now != epoch {
		t.Errorf("the generation %q became %q", epoch, now)
	}
}
