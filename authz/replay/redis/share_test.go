package redis_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// user is a replica that takes its keys from Redis.
type user struct {
	*redis.Store
	fingerprinter *authz.Fingerprinter
	settler       *replay.Settler
	changes       int
	onChange      func()
}

func newUser(t *testing.T, server *redistest.Server) *user {
	t.Helper()
	return userOf(t, config(server))
}

func userOf(t *testing.T, c redis.Config) *user {
	t.Helper()
	u := &user{fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{9})}
	c.OnKeys = func(keys []replay.Key) {
		replay.UseKeys(keys, u.settler, u.fingerprinter)
		u.changes++
		if u.onChange != nil {
			u.onChange()
		}
	}
	u.Store = redis.New(c)
	t.Cleanup(u.Close)
	u.settler = replay.NewSettler(u.Store, replaytest.Lease, replay.SealKey{9})
	probeUntil(t, u.Store, start, good)
	return u
}

// nonce is content as the replica knows it.
func (u *user) nonce(content string) replay.Nonce {
	n := replaytest.Signed(0, start)
	p := u.fingerprinter.Begin("hook", nil)
	_, _ = p.Write([]byte(content))
	n.Fingerprint, n.Alternate = u.fingerprinter.End(p)
	n.Likeness, n.AlternateLikeness = u.fingerprinter.Likeness(&authz.Request{
		Path: authz.View("/hook"), Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(content)}},
	})
	return n
}

// Replicas share keys from the first start on, and after a flush.
func TestSharedKeys(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := newUser(t, server), newUser(t, server)
	if a.nonce("one").Fingerprint != b.nonce("one").Fingerprint || a.nonce("one").Fingerprint == a.nonce("two").Fingerprint {
		t.Error("the fingerprints")
	}
	r := want(t, a, a.nonce("one"), 1, start, replay.Reserved).Reservation
	if got := b.settler.Settle(context.Background(), []byte(a.settler.Seal(r)), replay.ResultDelivered, start); got != replay.Settled {
		t.Errorf("settled by another replica: %s", got)
	}
	server.Do("FLUSHALL")
	probe(t, b.Store, start)
	c := newUser(t, server)
	if a.nonce("one").Fingerprint != c.nonce("one").Fingerprint {
		t.Error("a flush has parted the replicas")
	}
	if a.changes != 1 || b.changes != 1 {
		t.Errorf("the keys changed %d and %d times", a.changes, b.changes)
	}
	server.Do("LPUSH", a.KeysName(), "nonsense")
	if err := a.Probe(context.Background(), start); err == nil {
		t.Error("nonsense was taken for a key")
	}
}

// Whether somebody has learned what became of a delivery is known to all, and asking
// changes nothing.
func TestOpenAnywhere(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := newUser(t, server), newUser(t, server)
	r := want(t, a, a.nonce("one"), 1, start, replay.Reserved).Reservation
	open := func(what string, s *redis.Store, at time.Time, want bool) {
		t.Helper()
		got, err := s.Open(t.Context(), r, at)
		if err != nil || got != want {
			t.Errorf("%s: %t, %v", what, got, err)
		}
	}
	open("at once", a.Store, start, true)
	open("at another replica", b.Store, start.Add(5*time.Second), true)
	open("when its lease is over and nobody has looked", a.Store, start.Add(time.Hour), true)
	other := r
	other.ID++
	if got, err := a.Open(t.Context(), other, start); got || err != nil {
		t.Errorf("another reservation is open: %v", err)
	}
	if got := b.settler.Settle(t.Context(), []byte(a.settler.Seal(r)), replay.ResultDelivered, start.Add(time.Second)); got != replay.Settled {
		t.Fatalf("asking has changed something: %s", got)
	}
	open("settled by another", a.Store, start.Add(5*time.Second), false)
	server.Stop()
	if _, err := a.Open(t.Context(), r, start); err == nil {
		t.Error("a server that is away knows")
	}
}

// Keys are changed while deliveries come to replicas that are not at the same
// step, and nothing that was accepted is accepted again.
func TestKeysAreChangedWithoutAGap(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := newUser(t, server), newUser(t, server)
	key := replay.NewKey()
	step := 0
	both := func(content string) {
		t.Helper()
		step++
		first, second := a, b
		if step%2 == 0 {
			first, second = b, a
		}
		check := uint64(100 * step)
		r := want(t, first, first.nonce(content), check, start, replay.Reserved)
		want(t, second, second.nonce(content), check+1, start, replay.Pending)
		// Envoy repeats its check at the other replica.
		if again := want(t, second, second.nonce(content), check, start, replay.Reserved); !again.Adopted || again.Reservation.ID != r.Reservation.ID {
			t.Errorf("%s: %+v, then %+v", content, r, again)
		}
		if got := second.settler.Settle(context.Background(), []byte(first.settler.Seal(r.Reservation)), replay.ResultDelivered, start); got != replay.Settled {
			t.Errorf("%s: %s", content, got)
		}
		for _, u := range []*user{a, b} {
			if c := want(t, u, u.nonce(content), check+2, start, replay.Copy); !c.Alike {
				t.Errorf("%s: a copy that is alike is not", content)
			}
			altered := u.nonce(content)
			altered.Likeness++
			altered.AlternateLikeness++
			for range 2 { // the second time it is remembered
				if c := want(t, u, altered, check+3, start, replay.Copy); c.Alike {
					t.Errorf("%s: an altered copy is alike", content)
				}
			}
		}
	}
	both("with the old key")
	page := map[string][]string{}
	for _, command := range []string{"RPUSH ", "LMOVE ", "RPOP "} {
		lines := commands(t, command+a.KeysName())
		if len(lines) != 1 {
			t.Fatalf("the page says %v", lines)
		}
		page[command] = lines[0]
	}
	page["RPUSH "][2] = key.Text() // in place of NEW_KEY
	server.Do(page["RPUSH "]...)
	probe(t, a.Store, start)
	both("one knows the new key")
	both("one knows the new key, again")
	probe(t, b.Store, start)
	both("both know the new key")
	server.Do(page["LMOVE "]...)
	probe(t, b.Store, start)
	both("one begins with the new key")
	both("one begins with the new key, again")
	probe(t, a.Store, start)
	both("both begin with the new key")
	for _, content := range []string{"with the old key", "one knows the new key", "both know the new key", "one begins with the new key"} {
		want(t, a, a.nonce(content), 9000, start, replay.Copy)
		want(t, b, b.nonce(content), 9001, start, replay.Copy)
	}
	server.Do(page["RPOP "]...)
	probe(t, a.Store, start)
	both("one has forgotten the old key")
	probe(t, b.Store, start)
	both("only the new key")
	want(t, a, a.nonce("both begin with the new key"), 9002, start, replay.Copy)
}

// Of many at once, at replicas with the keys in different orders, at most one
// passes, and if none does, the next one.
func TestChangedKeysRace(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := newUser(t, server), newUser(t, server)
	server.Do("RPUSH", a.KeysName(), replay.NewKey().Text())
	probe(t, a.Store, start)
	server.Do("LMOVE", a.KeysName(), a.KeysName(), "RIGHT", "LEFT")
	probe(t, b.Store, start)
	for round := range 200 {
		content := string(rune('a'+round%26)) + time.Duration(round).String()
		var winners atomic.Int64
		var all sync.WaitGroup
		for i, u := range []*user{a, b, a, b} {
			all.Go(func() {
				answer, err := u.Reserve(context.Background(), u.nonce(content), replaytest.Claim(uint64(i+1), uint64(i+1), replay.Taken), start)
				if err == nil && answer.Outcome == replay.Reserved {
					winners.Add(1)
				}
			})
		}
		all.Wait()
		if winners.Load() == 0 { // each saw the other, and the sender comes again
			again, err := a.Reserve(context.Background(), a.nonce(content), replaytest.Claim(9, 9, replay.Taken), start)
			if err != nil || again.Outcome != replay.Reserved {
				t.Fatalf("%s: the retry: %+v, %v", content, again, err)
			}
			winners.Add(1)
		}
		if n := winners.Load(); n != 1 {
			t.Fatalf("%s: %d passed", content, n)
		}
	}
}

// The access log of a replica proves itself to the others.
func TestProvenToAll(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	r := want(t, a, replaytest.Signed(1, start), 1, start, replay.Reserved)
	if r.Proven {
		t.Error("proven before anything has come")
	}
	other := r.Reservation
	other.ID++ // it changes nothing, but it has come
	if _, err := a.Settle(context.Background(), other, replay.Delivered, start); err != nil {
		t.Fatal(err)
	}
	if r := want(t, b, replaytest.Signed(1, start), 2, start, replay.Pending); !r.Proven {
		t.Error("not proven to the other replica")
	}
	key := replay.SealKey{1}
	settler := replay.NewSettler(b, replaytest.Lease, key)
	check := &replay.Check{Store: b, Settler: settler, Window: time.Hour}
	call := &authz.Call{
		Context: context.Background(), Now: start, Webhook: "hook", Proof: authz.ProofSignature,
		Fingerprint: replaytest.Fingerprint(1), Request: &authz.Request{},
	}
	settler.Pause = func(context.Context, time.Duration) bool { return false }
	if got := check.Run(call); got != authz.InFlight || !settler.Proven() {
		t.Errorf("%s, proven %t", got, settler.Proven())
	}
}

// The first delivery of a replica that was just started ends as the policy says, if an
// access log has come to others, and is taken if it has come to nobody.
func TestFirstDeliveryOfANewReplica(t *testing.T) {
	for proven, want := range map[bool]authz.Reason{true: authz.OK, false: authz.Replayed} {
		server := redistest.Start(t, redistest.Options{})
		a, b := open(t, config(server)), open(t, config(server))
		if proven {
			for i := range uint64(200) { // each of the parts has to hear of it
				delivered(t, a, replaytest.Signed(10+i, start), 10+i, start)
			}
		}
		settler := replay.NewSettler(b, replaytest.Lease, replay.SealKey{1})
		settler.Pause = func(context.Context, time.Duration) bool { return false }
		check := &replay.Check{Store: b, Settler: settler, Window: time.Hour, Rules: replay.Rules{Unknown: replay.Unsure}}
		run := func(now time.Time) (authz.Reason, *authz.Call) {
			call := &authz.Call{
				Context: context.Background(), Now: now, Webhook: "hook", Proof: authz.ProofSignature,
				Fingerprint: replaytest.Fingerprint(2), Request: &authz.Request{},
			}
			return check.Run(call), call
		}
		if got, _ := run(start); got != authz.OK {
			t.Fatalf("proven %t: the first: %s", proven, got)
		}
		got, call := run(start.Add(replaytest.Lease + replay.Skew + time.Second))
		if got != want || want == authz.OK && call.Mark != authz.MarkPossible {
			t.Errorf("proven %t: after its lease: %s, marked %q, want %s", proven, got, call.Mark, want)
		}
	}
}

// A flood of copies does not reach Redis, and an operator's permit is seen in
// the end.
func TestNearCache(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	n := replaytest.Signed(1, start)
	delivered(t, a, n, 1, start)
	want(t, b, n, 2, start, replay.Copy)
	for range 100 {
		want(t, b, n, 3, start.Add(time.Second), replay.Copy)
	}
	if got := b.Remote().Near; got != 100 {
		t.Errorf("%d copies were known without a call", got)
	}
	refused := want(t, a, n, 4, start, replay.Copy)
	if ok, err := a.Permit(context.Background(), refused.Reservation, start.Add(time.Minute), start); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got := want(t, b, n, 5, start.Add(3*time.Second), replay.Reserved); got.Mark != authz.MarkRedelivered {
		t.Errorf("%+v", got)
	}
	// What is open is asked for each time.
	open := replaytest.Signed(2, start)
	want(t, a, open, 6, start, replay.Reserved)
	near := a.Remote().Near
	want(t, a, open, 7, start, replay.Pending)
	want(t, a, open, 8, start, replay.Pending)
	if got := a.Remote().Near; got != near {
		t.Error("an open reservation was known without a call")
	}
	// Nothing is known for longer than it lives.
	brief := replaytest.Unsigned(3, start, time.Second)
	delivered(t, a, brief, 9, start)
	later := start.Add(time.Second)
	want(t, a, replaytest.Unsigned(3, later, time.Second), 10, later, replay.Reserved)
}

// While Redis is away, a replica that may goes on alone.
func TestFallback(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	c := config(server)
	c.TrustRestart = true
	store := open(t, c)
	s := redis.NewFallback(store, memory.New(memory.Config{MaxEntries: 1000}))
	now := start
	delivered(t, s, replaytest.Signed(1, now), 1, now)
	slow := replaytest.Claim(2, 2, replay.Unsure)
	slow.Lease = 10 * time.Minute
	open := reserve(t, s, replaytest.Signed(2, now), slow, now)
	server.Kill()
	now = now.Add(time.Second)
	if err := store.Probe(context.Background(), now); err == nil {
		t.Fatal("it is not away")
	}
	// At first it waits for Redis.
	if _, err := s.Reserve(context.Background(), replaytest.Signed(3, now), replaytest.Claim(3, 3, replay.Unsure), now); err == nil {
		t.Error("it goes alone at once")
	}
	now = now.Add(3 * time.Second)
	want(t, s, replaytest.Signed(1, start), 4, now, replay.Uncertain)
	want(t, s, replaytest.Signed(4, now), 4, now, replay.Uncertain) // another clock may be ahead, and the signer's too
	now = now.Add(2 * time.Minute)
	delivered(t, s, replaytest.Signed(4, now), 5, now)
	want(t, s, replaytest.Signed(4, now), 6, now, replay.Copy)
	alone := want(t, s, replaytest.Signed(5, now), 7, now, replay.Reserved)
	unsigned := replaytest.Unsigned(6, now, time.Hour)
	delivered(t, s, unsigned, 8, now)
	if got := s.Remote().Local; got != 6 || s.Remote().Up {
		t.Errorf("%+v", s.Remote())
	}
	server.Restart()
	now = now.Add(time.Second)
	probe(t, store, now)
	store.ForgetNear()
	want(t, s, replaytest.Signed(1, start), 9, now, replay.Copy)
	if ok, err := s.Settle(context.Background(), open.Reservation, replay.Undelivered, now); !ok || err != nil {
		t.Error(ok, err)
	}
	want(t, s, replaytest.Signed(2, start), 10, now, replay.Reserved)
	// What was taken alone stays a copy here, and is settled here.
	want(t, s, replaytest.Signed(4, now.Add(-time.Second)), 11, now, replay.Copy)
	want(t, s, unsigned, 12, now, replay.Copy)
	want(t, s, replaytest.Signed(5, now.Add(-time.Second)), 13, now, replay.Pending)
	if ok, err := s.Settle(context.Background(), alone.Reservation, replay.Undelivered, now); !ok || err != nil {
		t.Error(ok, err)
	}
	if got := want(t, s, replaytest.Signed(5, now.Add(-time.Second)), 14, now, replay.Reserved); got.Reservation.Partition != 0 {
		t.Error("it is not in Redis")
	}
}
