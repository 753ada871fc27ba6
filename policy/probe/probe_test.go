package probe_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/probe"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

const secret = "a secret for tests that nobody prints"

// webhook is one of GitHub's.
func webhook(t *testing.T) *probe.Webhook {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := "webhooks: [{name: hook, match: {path: /hook}, provider: github, secrets: [{file: secret}]}]"
	for name, data := range map[string]string{file: text, filepath.Join(filepath.Dir(file), "secret"): secret} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	compile := func() *authz.Table {
		table, err := policy.Compile(set, policy.Deps{
			Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{1}), MaxBodyBytes: 1 << 16,
		})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	w := &probe.Webhook{Name: "hook", Rules: compile(), Trials: compile()}
	if err := set.Each(func(p *policyv1.Webhook, _ strictyaml.Place) { w.Policy = p }); err != nil {
		t.Fatal(err)
	}
	w.Sign = func(how probe.How) (*authz.Request, error) {
		if how.Variant != "" || how.Webhook != "" {
			return nil, probe.ErrNone
		}
		body := how.Body
		if body == nil {
			body = []byte(`{"id":"` + rand.Text() + `"}`)
		}
		req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/hook"), Host: authz.View("localhost"), Body: authz.Body{Segments: [][]byte{body}}}
		req.Set("content-type", "application/json")
		return req, w.Rules.Webhook("hook").Sign(req, authz.Signing{Now: how.Now, NewID: rand.Text})
	}
	return w
}

// gateway is what stands between: it tells what is right from what is not, and what becomes
// of both is the test's.
type gateway struct {
	mu         sync.Mutex
	seen       map[string]bool
	good, evil func(w http.ResponseWriter, r *http.Request)
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	values := r.Header.Values("x-hub-signature-256")
	g.mu.Lock()
	first := !g.seen[string(body)]
	holds := r.Method == http.MethodPost && r.URL.Path == "/hook" && len(body) <= 1<<16 && len(values) == 1 && values[0] == "sha256="+hex.EncodeToString(mac.Sum(nil)) && first
	g.seen[string(body)] = g.seen[string(body)] || holds
	g.mu.Unlock()
	if holds {
		g.good(w, r)
		return
	}
	g.evil(w, r)
}

// denied is how the service answers.
func denied(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Hookbastion-Decision-Id", "0123")
	w.WriteHeader(http.StatusUnauthorized)
}

// answered is how an application behind Envoy does.
func answered(status int, headers ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Envoy-Upstream-Service-Time", "1")
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "taken\n")
	}
}

// on answers otherwise on other paths than the webhook's.
func on(hook, other func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hook" {
			hook(w, r)
		} else {
			other(w, r)
		}
	}
}

func closed(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// run returns how many results have each verdict, by attack.
func run(t *testing.T, server *gateway, edit func(*probe.Gateway)) (map[string]map[probe.Verdict]int, error) {
	t.Helper()
	server.seen = map[string]bool{}
	if server.good == nil {
		server.good = answered(http.StatusOK)
	}
	s := httptest.NewServer(server)
	defer s.Close()
	g := &probe.Gateway{Address: s.Listener.Addr().String(), MaxRequestBytes: 1 << 16, Timeout: 5 * time.Second}
	if edit != nil {
		edit(g)
	}
	got := map[string]map[probe.Verdict]int{}
	err := g.Run(t.Context(), webhook(t), func(r probe.Result) {
		if got[r.Attack] == nil {
			got[r.Attack] = map[probe.Verdict]int{}
		}
		got[r.Attack][r.Verdict]++
	})
	return got, err
}

// TestVerdicts: what an answer to a forged delivery, and to a request elsewhere, tells.
func TestVerdicts(t *testing.T) {
	page := answered(http.StatusOK, "Content-Type: text/html", "Etag: 1")
	tests := []struct {
		name       string
		good, evil func(http.ResponseWriter, *http.Request)
		marker     string
		// proof is of a request without one, path of some on other paths.
		proof, path probe.Verdict
	}{
		{"refused", nil, denied, "", probe.Held, probe.Held},
		{"closed", nil, closed, "", probe.Held, probe.Held},
		{"let in", nil, answered(http.StatusOK), "", probe.Passed, probe.Passed},
		{"refused by the application", nil, answered(http.StatusUnauthorized), "", probe.Passed, probe.Unclear},
		{"not found by the application", nil, on(denied, answered(http.StatusNotFound)), "", probe.Held, probe.Unclear},
		{"a page for everybody", nil, on(denied, page), "", probe.Held, probe.Unclear},
		{"the application elsewhere", nil, on(denied, answered(http.StatusCreated)), "", probe.Held, probe.Unclear},
		{"the same application elsewhere", nil, on(denied, answered(http.StatusOK)), "", probe.Held, probe.Passed},
		{"a proxy's own page", nil, on(denied, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), "", probe.Held, probe.Unclear},
		{"a redirect", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMovedPermanently) }, "", probe.Held, probe.Held},
		{"a limit of requests", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, "", probe.Unclear, probe.Unclear},
		{"acknowledged", nil, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Hookbastion-Decision-Id", "1") }, "", probe.Held, probe.Held},
		{
			"an application that repeats the id", answered(http.StatusOK, "X-Hookbastion-Decision-Id: 1"), answered(http.StatusOK, "X-Hookbastion-Decision-Id: 2"), "",
			probe.Passed, probe.Passed,
		},
		{"a proxy in front that adds times", nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Envoy-Upstream-Service-Time", "1")
			denied(w, r)
		}, "", probe.Held, probe.Held},
		{"without Envoy's times", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "taken") }, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "taken") }, "", probe.Passed, probe.Passed},
		{"the marker", answered(http.StatusOK, "X-App: orders"), on(answered(http.StatusForbidden, "X-App: orders"), denied), "x-app", probe.Passed, probe.Held},
		{"another marker", answered(http.StatusOK, "X-App: orders"), on(denied, answered(http.StatusOK, "X-App: pages")), "x-app: orders", probe.Held, probe.Unclear},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := run(t, &gateway{good: test.good, evil: test.evil}, func(g *probe.Gateway) { g.Marker = test.marker })
			if err != nil {
				t.Fatal(err)
			}
			if got["delivery"][probe.Delivered] != 1 || got["no-proof"][test.proof] != 1 || got["path"][test.path] == 0 {
				t.Errorf("delivery %v, no-proof %v, path %v", got["delivery"], got["no-proof"], got["path"])
			}
		})
	}
}

// TestNobody: what is no answer is said to be none.
func TestNobody(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	address := s.Listener.Addr().String()
	s.Close()
	if _, err := run(t, &gateway{evil: denied}, func(g *probe.Gateway) { g.Address = address }); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Error(err)
	}
	if _, err := run(t, &gateway{evil: denied}, func(g *probe.Gateway) { g.Marker = "x-none" }); err == nil || !strings.Contains(err.Error(), "no marker") {
		t.Error(err)
	}
	ended := errors.New("enough")
	if _, err := run(t, &gateway{evil: denied}, func(g *probe.Gateway) { g.Pace = func(context.Context) error { return ended } }); !errors.Is(err, ended) {
		t.Error(err)
	}
	// A gateway that never answers what is wrong.
	got, err := run(t, &gateway{evil: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}, func(g *probe.Gateway) {
		g.Timeout, g.Only = time.Second, []string{"no-proof"}
	})
	if err != nil || got["no-proof"][probe.Unclear] != 1 || len(got) != 3 {
		t.Error(got, err)
	}
}

// TestRefusedDelivery: where valid deliveries are refused, it is said, and nothing held is
// taken for a proof of more.
func TestRefusedDelivery(t *testing.T) {
	got, err := run(t, &gateway{good: denied, evil: denied}, nil)
	if err != nil || got["delivery"][probe.Refused] != 1 || got["last-delivery"] != nil || got["forged-headers"][probe.Skipped] == 0 {
		t.Error(got, err)
	}
	// And where they are refused from some time on.
	n := 0
	got, err = run(t, &gateway{good: func(w http.ResponseWriter, r *http.Request) {
		if n++; n > 1 {
			denied(w, r)
			return
		}
		answered(http.StatusOK)(w, r)
	}, evil: denied}, nil)
	if err != nil || got["delivery"][probe.Delivered] != 1 || got["last-delivery"][probe.Refused] != 1 {
		t.Error(got, err)
	}
}

// TestCatalogue: ids are names, and each attack says what follows.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	all := probe.Catalogue()
	for i, a := range all {
		if seen[a.ID] || a.Sent == "" || (a.Harm == "") != (i == 0 || i == len(all)-1) {
			t.Errorf("%+v", a)
		}
		seen[a.ID] = true
	}
	if len(all) < 60 {
		t.Errorf("%d attacks", len(all))
	}
}

// TestHeaderNames: what the service writes is what is looked for.
func TestHeaderNames(t *testing.T) {
	if envoy.HeaderDecisionID != "x-hookbastion-decision-id" || envoy.HeaderVerified != "x-hookbastion-verified" {
		t.Error("headers have other names")
	}
}
