package memory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// What may have been taken is not forgotten when a repetition of it finds no room
// in the table of a new policy.
func TestUnknownOutcomeOutlivesAFullStore(t *testing.T) {
	for name, config := range map[string]memory.Config{
		"no room for another that is open": {MaxEntries: 1000, MaxPending: 8},
		"no bytes for another table":       {MaxEntries: 1000, MaxBytes: 16 * 16},
	} {
		t.Run(name, func(t *testing.T) {
			m := memory.New(config)
			nonce := replaytest.Unsigned(1, start, time.Hour)
			if a, _ := m.Reserve(context.Background(), nonce, replaytest.Claim(1, 1, replay.Unsure), start); a.Outcome != replay.Reserved {
				t.Fatalf("outcome %d", a.Outcome)
			}
			now := start.Add(replaytest.Lease + time.Second)
			var others []authz.Reservation
			for n := range uint64(8) {
				if a, _ := m.Reserve(context.Background(), inShard(replaytest.Unsigned(100+n, now, time.Hour), nonce.Fingerprint[8]), replaytest.Claim(100+n, 1, replay.Unsure), now); a.Outcome == replay.Reserved {
					others = append(others, a.Reservation)
				}
			}
			nonce.Span, nonce.Expires = 10*time.Hour, now.Add(10*time.Hour)
			if a, _ := m.Reserve(context.Background(), nonce, replaytest.Claim(2, 2, replay.Unsure), now); a.Outcome != replay.Full {
				t.Fatalf("a full store: outcome %d", a.Outcome)
			}
			held := m.Entries()
			for _, r := range others {
				if ok, _ := m.Settle(context.Background(), r, replay.Delivered, now); !ok {
					t.Fatal("not settled")
				}
			}
			nonce.Span, nonce.Expires = time.Hour, now.Add(time.Hour)
			if a, _ := m.Reserve(context.Background(), nonce, replaytest.Claim(3, 3, replay.Unsure), now); a.Outcome != replay.Reserved || a.Mark != authz.MarkPossible {
				t.Errorf("then: outcome %d, mark %q", a.Outcome, a.Mark)
			}
			if m.Entries() != held {
				t.Errorf("%d entries, and %d before", m.Entries(), held)
			}
		})
	}
}

// The room of a store of any size is for as many tenants as it has nonces for, and
// what has no partition of its own lies in that of its webhook.
func TestManyTenantsInAnyRoom(t *testing.T) {
	for _, entries := range []int{20_000, 100_000, 1_000_000} {
		m := roomFor(entries)
		const tenants = 20_000
		refused := 0
		for n := range uint64(tenants * 2 / 3) {
			nonce := replaytest.Unsigned(n, start, time.Hour)
			nonce.Tenant = authz.View(fmt.Sprintf("tenant %d", n))
			if got := reserve(t, m, nonce, start); got != replay.Reserved {
				refused++
			}
		}
		if refused > 0 {
			t.Errorf("with room for %d: %d of %d tenants have none; %+v", entries, refused, tenants*2/3, m.Stats())
		}
	}
}

// Where the lease is longer than the window, a nonce can be gone while its outcome
// is still open. What is then told of it says nothing of the next delivery.
func TestLeaseOutlivesItsNonce(t *testing.T) {
	const window = replaytest.Lease / 2
	for name, second := range map[string]replay.Claim{
		"two phases": replaytest.Claim(2, 2, replay.Taken),
		"one phase":  {Owner: 2},
	} {
		for _, fate := range []replay.Fate{replay.Delivered, replay.Undelivered} {
			m, later := roomFor(1000), start.Add(window+window/8)
			first := m.ReserveNoted(replaytest.Unsigned(1, start, window), replaytest.Claim(1, 1, replay.Taken), start, nil)
			next := m.ReserveNoted(replaytest.Unsigned(1, later, window), second, later, nil)
			if first.Outcome != replay.Reserved || next.Outcome != replay.Reserved || next.Adopted {
				t.Fatalf("%s: %+v, %+v", name, first, next)
			}
			want := replay.Pending
			if second.Lease == 0 {
				want = replay.CopyUnknown
			}
			if ok := m.SettleNoted(first.Reservation, fate, later, nil); ok {
				t.Errorf("%s: the first was settled", name)
			}
			if ok := m.ReleaseNoted(first.Reservation, later, nil); ok {
				t.Errorf("%s: the first was released", name)
			}
			third := m.ReserveNoted(replaytest.Unsigned(1, later, window), replaytest.Claim(3, 3, replay.Taken), later, nil)
			if third.Outcome != want {
				t.Errorf("%s: outcome %d after the first was settled as %d, want %d", name, third.Outcome, fate, want)
			}
			if ok := m.SettleNoted(next.Reservation, replay.Delivered, later, nil); ok != (second.Lease > 0) {
				t.Errorf("%s: the second was settled: %t", name, ok)
			}
			if got := m.Stats().Pending; got != 0 {
				t.Errorf("%s: %d are open", name, got)
			}
		}
	}
}
