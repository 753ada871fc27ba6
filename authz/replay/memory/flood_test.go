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

// of puts a nonce into a partition.
func of(webhook, tenant string, n replay.Nonce) replay.Nonce {
	n.Webhook, n.Tenant = webhook, authz.View(tenant)
	return n
}

// A flood of genuine deliveries of some webhooks or tenants takes nothing from
// others: what they hold stays, their watermark does not rise, and new ones
// find room.
func TestFloodsStayInTheirPartition(t *testing.T) {
	const room, few = 40_000, 500
	for name, flooders := range map[string][][2]string{
		"a webhook":                 {{"loud", ""}},
		"two webhooks":              {{"loud", ""}, {"louder", ""}},
		"a tenant":                  {{"shared", "loud"}},
		"two tenants and a webhook": {{"shared", "loud"}, {"shared", "louder"}, {"loud", ""}},
	} {
		for _, signed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, signed %t", name, signed), func(t *testing.T) {
				m := memory.New(memory.Config{MaxEntries: room})
				nonce := func(n uint64, at time.Time) replay.Nonce {
					if signed {
						return replaytest.Signed(n, at)
					}
					return replaytest.Unsigned(n, at, time.Hour)
				}
				quiet := [][2]string{{"quiet", ""}, {"shared", "quiet"}}
				for i, q := range quiet {
					for n := range uint64(few) {
						if got := reserve(t, m, of(q[0], q[1], nonce(uint64(i)<<32|n, start)), start); got != replay.Reserved {
							t.Fatalf("outcome %d", got)
						}
					}
				}
				now := start
				for n := range uint64(3 * room) {
					f := flooders[n%uint64(len(flooders))]
					now = now.Add(time.Millisecond)
					reserve(t, m, of(f[0], f[1], nonce(1<<40|n, now)), now)
					if m.Entries() > room {
						t.Fatalf("%d entries", m.Entries())
					}
				}
				for i, q := range quiet {
					for n := range uint64(few) {
						if got := reserve(t, m, of(q[0], q[1], nonce(uint64(i)<<32|n, start)), now); got != replay.CopyUnknown {
							t.Fatalf("%v lost one: outcome %d", q, got)
						}
						if got := reserve(t, m, of(q[0], q[1], nonce(uint64(i+10)<<32|n, now)), now); got != replay.Reserved {
							t.Fatalf("%v found no room: outcome %d", q, got)
						}
					}
				}
			})
		}
	}
}

// The same for those whose outcome is open: the log is away.
func TestPendingOnesStayInTheirShare(t *testing.T) {
	m := memory.New(memory.Config{MaxEntries: 100_000, MaxPending: 1000})
	count := func(webhook string, from uint64) (reserved, full int) {
		for n := range uint64(2000) {
			a, err := m.Reserve(context.Background(), of(webhook, "", replaytest.Signed(from+n, start)), replaytest.Claim(from+n, n, replay.Taken), start)
			if err != nil {
				t.Fatal(err)
			}
			switch a.Outcome {
			case replay.Reserved:
				reserved++
			case replay.Full:
				full++
			default:
				t.Fatalf("outcome %d", a.Outcome)
			}
		}
		return reserved, full
	}
	loud, full := count("loud", 0)
	quiet, _ := count("quiet", 1<<32)
	if loud < 700 || full == 0 || quiet < 100 || loud+quiet > 1000 {
		t.Errorf("%d and %d of 1000, %d refused", loud, quiet, full)
	}
	later := start.Add(replaytest.Lease)
	m.SweepAll(later)
	if s := m.Stats(); s.Pending != 0 || s.LeaseTaken != int64(loud+quiet) {
		t.Errorf("after the lease: %+v", s)
	}
}

// Tenants that are gone leave nothing behind.
func TestIdleTenantsAreGivenUp(t *testing.T) {
	m := memory.New(memory.Config{MaxEntries: 100_000})
	for n := range uint64(2000) {
		reserve(t, m, of("shared", fmt.Sprint(n), replaytest.Signed(n, start)), start)
	}
	before := m.Stats().Bytes
	later := start.Add(2 * time.Hour)
	for range 3 {
		m.SweepAll(later)
	}
	s := m.Stats()
	if before < 2000*16*16 || s.Nonces != 0 || s.Bytes > before/100 {
		t.Errorf("%d bytes before, then %+v", before, s)
	}
	if got := reserve(t, m, of("shared", "7", replaytest.Signed(7, later)), later); got != replay.Reserved {
		t.Errorf("outcome %d", got)
	}
}

// A tenant for which there was no partition of its own lies in its webhook's, and is
// found there also when there would be room for one.
func TestTenantsWithoutAPartitionAreFoundLater(t *testing.T) {
	const many = 1 << 14 // as many as have a partition of their own
	m := roomFor(1 << 20)
	for n := range uint64(many) {
		reserve(t, m, of("crowd", fmt.Sprint(n), replaytest.Unsigned(n, start, time.Minute)), start)
	}
	late := of("quiet", "tenant", replaytest.Unsigned(many, start, time.Hour))
	if got := reserve(t, m, late, start); got != replay.Reserved {
		t.Fatalf("outcome %d", got)
	}
	later := start.Add(10 * time.Minute)
	for range 4 {
		m.SweepAll(later)
	}
	if got := reserve(t, m, late, later); got != replay.CopyUnknown {
		t.Errorf("the same again, after the others have gone: outcome %d", got)
	}
}

// Slots are bounded, whatever partitions there are.
func TestBytesAreBounded(t *testing.T) {
	const most = 1 << 20
	m := memory.New(memory.Config{MaxEntries: 1_000_000, MaxBytes: most})
	full := false
	for n := range uint64(200_000) {
		tenant := ""
		if n%2 == 0 {
			tenant = fmt.Sprint(n % 3000)
		}
		full = reserve(t, m, of("hook", tenant, replaytest.Unsigned(n, start, time.Hour)), start) == replay.Full || full
		if got := m.Stats().Bytes; got > most+1536*16 { // the last segment may have grown past it
			t.Fatalf("%d bytes after %d", got, n)
		}
	}
	if !full {
		t.Error("never full")
	}
}
