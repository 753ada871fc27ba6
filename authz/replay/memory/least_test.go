package memory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// greedy reserves until it is refused, and returns how many it got. Its nonces
// are no others' that have another number.
func greedy(t *testing.T, m *memory.Store, webhook, tenant string, number uint64, lease time.Duration, at time.Time) (got int) {
	t.Helper()
	for n := number << 32; ; n++ {
		nonce := of(webhook, tenant, replaytest.Unsigned(n, at, 24*time.Hour))
		a, err := m.Reserve(context.Background(), nonce, replay.Claim{Owner: n, Lease: lease, Unknown: replay.Unsure}, at)
		if err != nil {
			t.Fatal(err)
		}
		if a.Outcome != replay.Reserved {
			return got
		}
		got++
	}
}

// Everybody takes what there is, one after the other, and nobody gives anything
// back. Who comes late still has what is reserved, and the whole stays bounded.
func TestNewcomersHaveRoomOfTheirOwn(t *testing.T) {
	const entries, pending = 300_000, 200_000
	for name, c := range map[string]struct {
		names   func(i int) (webhook, tenant string)
		lease   time.Duration
		whole   int
		many    int // newcomers that have at least one
		first64 int // what each of the first 64 has at least
	}{
		"webhooks":                {func(i int) (string, string) { return fmt.Sprint(i), "" }, 0, entries, 900, 25},
		"tenants of one webhook":  {func(i int) (string, string) { return "hook", fmt.Sprint(i) }, 0, entries, 900, 25},
		"tenants of many":         {func(i int) (string, string) { return fmt.Sprint(i % 10), fmt.Sprint(i) }, 0, entries, 900, 25},
		"open ones of webhooks":   {func(i int) (string, string) { return fmt.Sprint(i), "" }, time.Minute, pending, 700, 16},
		"open ones of tenants":    {func(i int) (string, string) { return "hook", fmt.Sprint(i) }, time.Minute, pending, 700, 16},
		"more than there is room": {func(i int) (string, string) { return fmt.Sprint(i % 2000), fmt.Sprint(i) }, 0, entries, 900, 25},
	} {
		t.Run(name, func(t *testing.T) {
			m := memory.New(memory.Config{MaxEntries: entries, MaxPending: pending})
			sum := 0
			for i := range 2000 {
				webhook, tenant := c.names(i)
				got := greedy(t, m, webhook, tenant, uint64(i), c.lease, start)
				sum += got
				if got == 0 && i < c.many || got < c.first64 && i < 64 {
					t.Fatalf("newcomer %d got %d", i, got)
				}
			}
			if sum > c.whole || sum < c.whole*9/10 {
				t.Errorf("%d of %d", sum, c.whole)
			}
		})
	}
}

// What tenants had that are gone is there for others.
func TestRoomOfTenantsThatAreGone(t *testing.T) {
	m := memory.New(memory.Config{MaxEntries: 100_000})
	now := start
	for round := range 20 {
		for i := range uint64(500) {
			n := of("hook", fmt.Sprint(round, " ", i), replaytest.Signed(uint64(round)<<32|i, now))
			if got := reserve(t, m, n, now); got != replay.Reserved {
				t.Fatalf("outcome %d", got)
			}
		}
		now = now.Add(2 * time.Hour)
		for range 3 {
			m.SweepAll(now)
		}
	}
	greedy(t, m, "loud", "", 1<<20, 0, now)
	if got := greedy(t, m, "hook", "late", 1<<21, 0, now); got < 20 {
		t.Errorf("the first tenant after 10,000 others got %d", got)
	}
}
