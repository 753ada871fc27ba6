package envoy_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
)

const lease = time.Minute

// settling is a gateway in two phases, whose store tells what it settles.
type settling struct {
	*gateway
	store   *watchedStore
	settler *replay.Settler
	ahead   *atomic.Int64 // of the clock
}

// watchedStore tells of each settlement and each release.
type watchedStore struct {
	*memory.Store
	settled  chan bool
	released chan bool
	// early is called before a reservation is made, and before when it was made
	// and before anybody knows, if they are set.
	early  atomic.Pointer[func(ctx context.Context)]
	before atomic.Pointer[func(ctx context.Context, a replay.Answer)]
}

func (s *watchedStore) Reserve(ctx context.Context, n replay.Nonce, c replay.Claim, now time.Time) (replay.Answer, error) {
	if early := s.early.Load(); early != nil {
		(*early)(ctx)
	}
	a, err := s.Store.Reserve(ctx, n, c, now)
	if before := s.before.Load(); before != nil {
		(*before)(ctx, a)
	}
	return a, err
}

func (s *watchedStore) Settle(ctx context.Context, r authz.Reservation, fate replay.Fate, now time.Time) (bool, error) {
	changed, err := s.Store.Settle(ctx, r, fate, now)
	s.settled <- changed
	return changed, err
}

func (s *watchedStore) Release(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	changed, err := s.Store.Release(ctx, r, now)
	s.released <- changed
	return changed, err
}

// settlingPolicies has a webhook for each way to settle.
func settlingPolicies(t *testing.T, store replay.Store, settler *replay.Settler) *authz.Table {
	t.Helper()
	dir := t.TempDir()
	text := "webhooks:\n"
	for name, rest := range map[string]string{
		"github":            "provider: github",
		"shopify":           "provider: shopify",
		"stripe":            "provider: stripe",
		"standard-webhooks": "provider: standard-webhooks",
		"release":           "provider: github, replay: {on_unknown: RELEASE}",
		"taken":             "provider: github, replay: {on_unknown: TAKEN}",
		"never":             "provider: github, replay: {release: NEVER}",
		"mark":              "provider: github, replay: {on_replay: MARK}",
		"adyen":             "provider: adyen, replay: {on_replay: ACKNOWLEDGE}",
		"conditional":       `provider: github, replay: {on_replay: ACKNOWLEDGE}, conditions: ["headers['x-kind'][0] == 'good'"]`,
		"acknowledge":       "provider: github, replay: {on_replay: ACKNOWLEDGE, on_unknown: TAKEN}",
		"unknown":           "provider: pagerduty",
		"own":               "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}]}}",
		"own-button":        "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}]}, retry: NONE}",
	} {
		secret := secrets[name]
		if name == "adyen" {
			secret = strings.Repeat("0123456789abcdef", 4)[:63] + "7"
		}
		if secret == "" {
			secret = secrets["github"]
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("- {name: %s, match: {path: /%s}, secrets: [{file: %s}], %s}\n", name, name, name, rest)
	}
	if err := os.WriteFile(filepath.Join(dir, "next"), []byte("whsec_another_key_that_comes_next"), 0o600); err != nil {
		t.Fatal(err)
	}
	text += "- {name: rotating, match: {path: /rotating}, provider: stripe, secrets: [{file: stripe}, {id: next, file: next}]}\n"
	return compile(t, dir, text, policy.Deps{Store: store, Settler: settler})
}

// settle starts a gateway whose access log has proven that it is there.
func settle(t *testing.T, edit func(envoytest.Config)) *settling {
	t.Helper()
	g := settleUnproven(t, edit)
	g.post(t, "github", "the first delivery", 200)
	g.await(t, g.store.settled, true)
	return g
}

func settleUnproven(t *testing.T, edit func(envoytest.Config)) *settling {
	t.Helper()
	return settleLimited(t, envoy.Limits{}, edit)
}

func settleLimited(t *testing.T, limits envoy.Limits, edit func(envoytest.Config)) *settling {
	t.Helper()
	g := &settling{
		store: &watchedStore{
			Store:   memory.New(memory.Config{MaxEntries: 1 << 20}),
			settled: make(chan bool, 1000), released: make(chan bool, 1000),
		},
		ahead: &atomic.Int64{},
	}
	g.settler = replay.NewSettler(g.store, lease, replay.SealKey{1})
	table := settlingPolicies(t, g.store, g.settler)
	g.gateway = start(t, envoytest.Options{Source: fixed{table}, Settler: g.settler, Now: g.now, Limits: limits, Edit: edit})
	g.table = table
	return g
}

func (g *settling) now() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }

// await waits for something that happens once.
func (g *settling) await(t *testing.T, happened <-chan bool, want bool) {
	t.Helper()
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	select {
	case got := <-happened:
		if got != want {
			t.Errorf("%t, want %t", got, want)
		}
	case <-timeout.C:
		t.Fatal("nothing came")
	}
}

// post sends a delivery whose bytes are the same each time, and returns what
// reached the upstream.
func (g *settling) post(t *testing.T, webhook, body string, want int) (answer, []envoytest.Arrival) {
	t.Helper()
	g.Upstream.Take()
	a := g.send(t, g.HTTP1, g.signed(t, webhook, []byte(body)))
	if a.status != want {
		t.Errorf("%s: status %d %q, want %d", webhook, a.status, a.reason, want)
	}
	return a, g.Upstream.Take()
}

// passes sends it again and wants it forwarded with that mark.
func (g *settling) passes(t *testing.T, webhook, body, mark string) {
	t.Helper()
	_, got := g.post(t, webhook, body, 200)
	if len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != mark {
		t.Fatalf("%s: %d reached the upstream, %v", webhook, len(got), got)
	}
	g.await(t, g.store.settled, true)
}

// refused sends it again and wants it answered with that status and reason.
func (g *settling) refused(t *testing.T, webhook, body string, status int, reason string) answer {
	t.Helper()
	a, got := g.post(t, webhook, body, status)
	if len(got) != 0 || a.reason != reason {
		t.Fatalf("%s: %d reached the upstream, reason %q, want %q", webhook, len(got), a.reason, reason)
	}
	return a
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestFailedDeliveriesMayComeAgain(t *testing.T) {
	g := settle(t, nil)
	for _, webhook := range []string{"github", "shopify", "release", "taken", "mark"} {
		for _, code := range []int{500, 503, 429} {
			body := fmt.Sprintf("%s failed with %d", webhook, code)
			g.Upstream.Answer(status(code))
			g.post(t, webhook, body, code)
			g.await(t, g.store.settled, true)
			g.Upstream.Answer(nil)
			g.passes(t, webhook, body, "")
		}
	}
	g.Upstream.Answer(status(500))
	g.post(t, "never", "it failed", 500)
	g.await(t, g.store.settled, true)
	g.refused(t, "never", "it failed", 409, "replayed")
}

func TestDeliveredOnesAreCopies(t *testing.T) {
	g := settle(t, nil)
	for webhook, status := range map[string]int{
		"github": 409, "shopify": 200, "acknowledge": 200, "release": 409, "taken": 409, "never": 409,
		"unknown": 200, "own": 200, "own-button": 409, // by how the sender repeats
	} {
		body := "to " + webhook
		g.passes(t, webhook, body, "")
		a := g.refused(t, webhook, body, status, "replayed")
		if !strings.Contains(strings.ToLower(a.text), "x-hookbastion-decision-id: ") {
			t.Errorf("%s: no decision id:\n%s", webhook, a.text)
		}
		silent(t, a)
	}
	g.passes(t, "mark", "to mark", "")
	if _, got := g.post(t, "mark", "to mark", 200); len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != "copy" {
		t.Errorf("marked: %v", got)
	}
}

// A copy is answered with 200 only if it is what was delivered, in all that the
// application would get. Where a signature leaves something out, an altered copy
// that came first does not make the honest delivery vanish.
func TestAlteredCopiesAreNotAcknowledged(t *testing.T) {
	g := settle(t, nil)
	send := func(target, body, kind string) (answer, []envoytest.Arrival) {
		g.Upstream.Take()
		req, err := http.NewRequest(http.MethodPost, "https://"+g.Address+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		return g.send(t, g.HTTP1, req), g.Upstream.Take()
	}
	item := func() string {
		req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/adyen")}
		if err := g.table.Webhook("adyen").Sign(req, authz.Signing{Now: time.Now(), NewID: rand.Text}); err != nil {
			t.Fatal(err)
		}
		return string(req.Body.Joined())
	}
	const kind = "application/json"
	for name, c := range map[string]struct {
		alter  func(body string) string
		target string
		kind   string
		status int
	}{
		"the same":         {func(b string) string { return b }, "/adyen", kind, 200},
		"other details":    {func(b string) string { return strings.Replace(b, "{", `{"details":"altered",`, 1) }, "/adyen", kind, 409},
		"a space":          {func(b string) string { return b + " " }, "/adyen", kind, 409},
		"another target":   {func(b string) string { return b }, "/adyen?to=nobody", kind, 409},
		"another type":     {func(b string) string { return b }, "/adyen", "text/plain", 409},
		"no type, another": {func(b string) string { return b }, "/adyen", "", 409},
	} {
		body := item()
		if a, got := send(c.target, c.alter(body), c.kind); a.status != 200 || len(got) != 1 {
			t.Fatalf("%s, first: status %d %q", name, a.status, a.reason)
		}
		g.await(t, g.store.settled, true)
		if a, got := send("/adyen", body, kind); a.status != c.status || a.reason != "replayed" || len(got) != 0 {
			t.Errorf("%s: the honest one got %d %q, %d reached the upstream", name, a.status, a.reason, len(got))
		}
	}
}

// What is known to be a copy is refused before conditions are asked, which cost
// more: who has captured a delivery cannot have them evaluated without end. All
// else is as it was.
func TestCopiesAreKnownBeforeConditions(t *testing.T) {
	g := settle(t, nil)
	send := func(kind string) (answer, []envoytest.Arrival) {
		t.Helper()
		g.Upstream.Take()
		req := g.signed(t, "conditional", []byte("captured"))
		req.Header.Set("X-Kind", kind)
		return g.send(t, g.HTTP1, req), g.Upstream.Take()
	}
	want := func(kind string, status int, reason string, stages ...string) answer {
		t.Helper()
		a, got := send(kind)
		checks, _ := a.record["checks"].([]any)
		var ran []string
		for _, c := range checks {
			ran = append(ran, fmt.Sprint(c.(map[string]any)["check"]))
		}
		forwarded := reason == "ok"
		if a.status != status || a.reason != reason || (len(got) == 1) != forwarded || !slices.Equal(ran, stages) {
			t.Fatalf("%s: status %d %q, %d reached the upstream, checks %v", kind, a.status, a.reason, len(got), ran)
		}
		return a
	}
	want("bad", 403, "condition_failed", "limits", "signature", "conditions")
	want("good", 200, "ok", "limits", "signature", "conditions", "replay")
	g.await(t, g.store.settled, true)
	want("bad", 200, "replayed", "limits", "signature", "replay") // acknowledged
	a := want("good", 200, "replayed", "limits", "signature", "replay")
	// A permit passes, and it alone.
	if webhook, err := g.settler.Redeliver(t.Context(), a.record["decision_id"].(string), g.now()); err != nil || webhook != "conditional" {
		t.Fatalf("%q, %v", webhook, err)
	}
	want("bad", 403, "condition_failed", "limits", "signature", "conditions") // it does not use the permit up
	want("good", 200, "ok", "limits", "signature", "conditions", "replay")
	g.later(time.Minute) // that check is not repeated any more
	g.refused(t, "conditional", "captured", 200, "replayed")
}

// Providers that sign a retry anew are never in each other's way, and a copy of
// any of their deliveries is one.
func TestRetriesSignedAnewPass(t *testing.T) {
	g := settle(t, nil)
	for _, webhook := range []string{"stripe", "standard-webhooks"} {
		now := time.Now()
		g.Upstream.Answer(status(500))
		first := signedAt(t, g.table, webhook, "https://"+g.Address, []byte("{}"), now)
		g.send(t, g.HTTP1, first)
		g.await(t, g.store.settled, true)
		g.Upstream.Answer(nil)
		for i := range 3 {
			again := signedAt(t, g.table, webhook, "https://"+g.Address, []byte("{}"), now.Add(-time.Duration(i+1)*time.Second))
			copied := again.Clone(t.Context())
			copied.Body, _ = again.GetBody()
			if a := g.send(t, g.HTTP1, again); a.status != 200 || a.reason != "ok" {
				t.Errorf("%s retry %d: %d %s", webhook, i, a.status, a.reason)
			}
			g.await(t, g.store.settled, true)
			if a := g.send(t, g.HTTP1, copied); a.reason != "replayed" {
				t.Errorf("%s: copy: %d %s", webhook, a.status, a.reason)
			}
		}
	}
}
