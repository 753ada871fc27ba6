package serve

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
)

// An upgrade from an older build keeps what was accepted, the policies and the settings.
// testdata/upgrade is of the build of 24 November 2026 (b9a3eb3): its settings and policies,
// deliveries that its service has accepted over each store, some that it has never seen
// (-new), the directory that it left when it was killed, and what it had in Redis. now is
// when that was, in Unix seconds.

func TestMain(m *testing.M) {
	fetched.Need(redistest.Find)
	leak.Main(m)
}

// upgraded is a service of today on what the older one has left.
type upgraded struct {
	store *nonceStore
	table *authz.Table
	start time.Time
}

// upgrade opens it, as a start some seconds later does.
func upgrade(t *testing.T, dir, file string, overlay func(*settings.Settings)) *upgraded {
	t.Helper()
	t.Chdir(dir)
	s, err := settings.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := settings.Settings{MaxEntries: 50_000, MaxPending: 2000, Tenants: 500}
	if s.MaxEntries != kept.MaxEntries || s.MaxPending != kept.MaxPending || s.Tenants != kept.Tenants || s.Mapping.MaxRequestBytes != 256<<10 ||
		s.Limits.InFlight != 300 || s.Limits.BytesInFlight != 128<<20 || s.Limits.Connections != 200 {
		t.Errorf("the settings are others: %+v", s)
	}
	overlay(s)
	text, err := os.ReadFile("now")
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	u := &upgraded{start: time.Unix(seconds+3, 0)}
	if u.store, err = openStore(t.Context(), s, slog.New(slog.DiscardHandler), u.start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.store.close() }) // nothing more is written
	fingerprinter := authz.NewFingerprinter(u.store.fingerprints)
	settler := newSettler(s, u.store, u.store.Store, slog.New(slog.DiscardHandler))
	u.store.keys.onChange(func(keys []replay.Key) { replay.UseKeys(keys, settler, fingerprinter) })
	set, err := policy.Load(s.Policies...)
	if err != nil {
		t.Fatal(err)
	}
	if u.table, err = policy.Compile(set, policy.Deps{
		Store: u.store.Store, Settler: settler, Fingerprinter: fingerprinter, MaxBodyBytes: s.Mapping.MaxRequestBytes, Now: u.start,
		Lasting: true, Strict: true, Kept: u.store.kept,
	}); err != nil {
		t.Fatal(err)
	}
	return u
}

// judge decides each delivery of the directory: what was accepted is a copy, and of what
// was not this says what it is. Deliveries that are signed later pass.
func (u *upgraded) judge(t *testing.T, unseen authz.Reason) {
	t.Helper()
	names, err := filepath.Glob("*.http")
	if err != nil || len(names) != 10 {
		t.Fatalf("%d deliveries, %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := authz.Replayed
		if strings.HasSuffix(name, "-new.http") {
			want = unseen
		}
		if got := u.decide(t, text, u.start); got.Reason != want {
			t.Errorf("%s: %s, want %s", name, got.Reason, want)
		}
		// The same body, signed anew: by the older one's policies and secrets.
		later := u.start.Add(10 * time.Minute) // what Redis may have lost came before, by any clock
		hook := strings.TrimSuffix(strings.TrimSuffix(name, ".http"), "-new")
		req, err := capture.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		req.Source = sender
		if err := u.table.Webhook(hook).Sign(req, authz.Signing{Now: later, Tenant: "acme", NewID: rand.Text}); err != nil {
			t.Fatal(hook, err)
		}
		d := &authz.Decision{}
		if u.table.Decide(context.Background(), req, later, d); slices.Contains([]string{"github", "partner"}, hook) {
			continue // they sign no time: it is the same delivery
		}
		if d.Reason != authz.OK {
			t.Errorf("%s, signed later: %s", hook, d.Reason)
		}
	}
}

// sender is an address that the policies take.
var sender = netip.MustParseAddr("203.0.113.7")

func (u *upgraded) decide(t *testing.T, text []byte, at time.Time) *authz.Decision {
	t.Helper()
	req, err := capture.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	req.Source = sender
	d := &authz.Decision{}
	u.table.Decide(context.Background(), req, at, d)
	return d
}

func TestUpgradeOfAFile(t *testing.T) {
	dir := t.TempDir()
	copyInto(t, dir, "file")
	u := upgrade(t, dir, "hookbastion.yaml", func(*settings.Settings) {})
	u.judge(t, authz.OK)
}

// The older one did not note by which name its Redis knew its history, so that nobody can
// tell whether it has lost something: what was signed before the start is refused with 503,
// and comes again.
func TestUpgradeOfRedis(t *testing.T) {
	dir := t.TempDir()
	copyInto(t, dir, "redis")
	server := redistest.Start(t, redistest.Options{Kind: "redis"})
	fill(t, server, filepath.Join(dir, "keys.txt"))
	u := upgrade(t, dir, "hookbastion-redis.yaml", func(s *settings.Settings) {
		s.Redis.Config.Addresses, s.Redis.Config.Unix = []string{server.Address}, server.Unix
	})
	u.judge(t, authz.ReplayUncertain)
}

// copyInto copies what both have, and one of them.
func copyInto(t *testing.T, dir, one string) {
	t.Helper()
	for from, to := range map[string]string{"policies": "policies", "secrets": "secrets", one: "."} {
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(filepath.Join("testdata", "upgrade", from))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"hookbastion.yaml", "hookbastion-redis.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", "upgrade", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// fill puts into a server what the older one had: for each key the milliseconds that it
// had left, and the command that makes it.
func fill(t *testing.T, server *redistest.Server, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		var words []string
		for _, field := range fields[1:] {
			word, err := strconv.Unquote(field)
			if err != nil {
				t.Fatal(err)
			}
			words = append(words, word)
		}
		server.Do(words...)
		if fields[0] != "-1" {
			server.Do("PEXPIRE", words[1], fields[0])
		}
		keys++
	}
	if keys < 20 {
		t.Fatalf("%d keys", keys)
	}
}
