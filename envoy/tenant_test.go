package envoy_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy"
)

// tenants are many that each have a secret for one webhook.
type tenants struct {
	dir   string
	count int
}

func newTenants(t testing.TB, count int) *tenants {
	t.Helper()
	all := &tenants{t.TempDir(), count}
	for i := range count {
		if err := os.WriteFile(filepath.Join(all.dir, fmt.Sprint("t", i)), []byte(all.secret(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (*tenants) secret(i int) string { return fmt.Sprintf("gL7xQ2mVb3YdTnX0pW%d", i) }

// table has the webhook, with room in memory for so many tenants.
func (all *tenants) table(t testing.TB, entries int) *authz.Table {
	t.Helper()
	text := fmt.Sprintf("webhooks: [{name: shop, match: {path: '/{tenant}/shop'}, provider: github, secrets: [{file: '%s/{tenant}'}]}]", all.dir)
	return compile(t, t.TempDir(), text, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1 << 22}), Tenants: tenant.NewLoader(tenant.Config{Entries: entries}), Strict: true,
	})
}

// message is a new delivery for a tenant, as Envoy asks for it. It is signed
// here, since to sign by the table would take the secret into memory.
func (all *tenants) message(t testing.TB, i int) []byte {
	t.Helper()
	body := []byte(rand.Text())
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("https://h/t%d/shop", i), nil)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(all.secret(i)))
	mac.Write(body)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return marshal(t, checkRequest(req, body, nil))
}

// BenchmarkTenants is the path from message bytes to answer bytes: for one
// tenant; for 100,000 that all are in memory; for those where each file is looked
// at again, since the last look was too long ago; and for 100,000 with room for
// 10,000, so that every secret is read from its file. It prints what the tenants
// keep of the heap once each has sent: secrets, nonces and their partitions.
func BenchmarkTenants(b *testing.B) {
	const most = 100_000
	all := newTenants(b, most)
	for _, c := range []struct {
		name             string
		tenants, entries int
		pause            time.Duration // between requests
	}{
		{"one", 1, most, 0},
		{"100000 in memory", most, most, 0},
		{"100000 in memory, looked at again", most, most, 11 * time.Second},
		{"100000, 10000 in memory", most, tenant.DefaultEntries, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := heap()
			s := service(all.table(b, c.entries))
			at := time.Now()
			s.Now = func() time.Time { return at }
			out, next := make([]byte, 0, 4<<10), 0
			for i := range c.tenants {
				if out = s.Answer(context.Background(), all.message(b, i), out[:0]); !decode(b, out).allowed {
					b.Fatalf("denied: %q", out)
				}
			}
			kept := heap() - before
			messages := make([][]byte, 1024)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ { // the function runs once
				if i%len(messages) == 0 {
					b.StopTimer()
					for j := range messages {
						messages[j] = all.message(b, next%c.tenants)
						next++
					}
					b.StartTimer()
				}
				at = at.Add(c.pause)
				out = s.Answer(context.Background(), messages[i%len(messages)], out[:0])
			}
			if !decode(b, out).allowed {
				b.Fatalf("denied: %q", out)
			}
			b.ReportMetric(float64(kept)/(1<<20), "kept-MiB")
			runtime.KeepAlive(s)
		})
	}
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A flood of unknown tenants through the whole path: it looks for no more files
// than the bounds allow, keeps no more names, and costs those who are known
// nothing.
func TestFloodOfUnknownTenants(t *testing.T) {
	all := newTenants(t, 1)
	table := all.table(t, tenant.DefaultEntries)
	s := service(table)
	at := time.Now()
	s.Now = func() time.Time { return at }
	statuses := map[int]int{}
	good := func() {
		t.Helper()
		if a := decode(t, s.Answer(context.Background(), all.message(t, 0), nil)); !a.allowed {
			t.Fatalf("the known tenant: status %d", a.status)
		}
	}
	good()
	const names, seconds = 3000, 12
	for i := range names * seconds {
		if i%names == 0 {
			at = at.Add(time.Second)
			good()
		}
		statuses[decode(t, s.Answer(context.Background(), all.message(t, i+1), nil)).status]++
	}
	good()
	if statuses[http.StatusNotFound] != tenant.MissesPerSecond*seconds || statuses[http.StatusServiceUnavailable] != (names-tenant.MissesPerSecond)*seconds {
		t.Errorf("statuses %v", statuses)
	}
	if known, unknown := table.Tenants(); known != 1 || unknown != tenant.UnknownEntries {
		t.Errorf("%d known, %d unknown tenants in memory", known, unknown)
	}
}
