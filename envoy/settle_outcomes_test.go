package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// Each outcome that Envoy can log ends in its state.
func TestOutcomes(t *testing.T) { outcomes(t, func(envoytest.Config) {}) }

// One line for each entry says of each of them the same.
func TestOutcomesByLine(t *testing.T) { outcomes(t, envoytest.Config.UseLineLog) }

func outcomes(t *testing.T, log func(envoytest.Config)) {
	t.Helper()
	g := settle(t, func(c envoytest.Config) {
		log(c)
		route := c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)["routes"].([]any)[0].(map[string]any)
		route["route"].(map[string]any)["timeout"] = "0.5s"
	})
	const released, interrupted, unknown, done = "released", "interrupted", "unknown", "done"
	entered := make(chan bool, 1)
	block := func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
	}
	begin := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "a part of it")
		_ = http.NewResponseController(w).Flush()
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		client *http.Client // leaves when the upstream has begun; nil: it stays
		want   string
	}{
		{"201", status(201), nil, done},
		{"404", status(404), nil, "answered"},
		{"500", status(500), nil, released},
		{"closed before the headers", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, interrupted},
		{"closed in mid-body", func(w http.ResponseWriter, _ *http.Request) { begin(w); panic(http.ErrAbortHandler) }, nil, unknown},
		{"timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, interrupted},
		{"500, and closed in mid-body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(500)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, nil, interrupted},
		{"500, and the client leaves in mid-body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(500)
			_ = http.NewResponseController(w).Flush()
			block(w, r)
		}, g.HTTP1, released},
		{"the client leaves", block, g.HTTP1, unknown},
		{"the client resets its stream", block, g.HTTP2, unknown},
		{"the client leaves in mid-body", func(w http.ResponseWriter, r *http.Request) { begin(w); block(w, r) }, g.HTTP1, done},
	} {
		for _, webhook := range []string{"release", "taken"} {
			t.Run(c.name+"/"+webhook, func(t *testing.T) {
				g.Upstream.Answer(c.answer)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				req := g.signed(t, webhook, []byte(c.name)).WithContext(ctx)
				client := g.HTTP1
				if c.client != nil {
					client = c.client
					go func() { <-entered; leave() }()
				}
				if response, err := client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, response.Body) // it may be cut
					_ = response.Body.Close()
				}
				g.await(t, g.store.settled, true)
				g.Upstream.Answer(nil)
				switch {
				case c.want == released, c.want == "answered" && webhook == "release":
					g.passes(t, webhook, c.name, "")
				case c.want == unknown && webhook == "release", c.want == interrupted:
					g.passes(t, webhook, c.name, "possible")
				default:
					g.refused(t, webhook, c.name, 409, "replayed")
				}
			})
		}
	}
}

// Where Envoy has tried more than once, the last answer does not say what the
// upstream did before.
func TestOutcomeAfterEnvoysOwnRetry(t *testing.T) {
	g := settle(t, func(c envoytest.Config) {
		route := c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)["routes"].([]any)[0].(map[string]any)
		route["route"].(map[string]any)["retry_policy"] = map[string]any{"retry_on": "5xx,reset", "num_retries": 1}
	})
	for _, c := range []struct {
		last    int
		webhook string
		want    int // of what comes next
	}{{500, "taken", 200}, {404, "release", 200}, {404, "taken", 409}, {200, "release", 409}, {500, "never", 409}} {
		body := fmt.Sprintf("%s %d", c.webhook, c.last)
		var tries atomic.Int64
		g.Upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
			if tries.Add(1) == 1 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(c.last)
		})
		g.post(t, c.webhook, body, c.last)
		g.await(t, g.store.settled, true)
		g.Upstream.Answer(nil)
		if tries.Load() != 2 {
			t.Fatalf("%d tries", tries.Load())
		}
		_, got := g.post(t, c.webhook, body, c.want)
		if c.want == 200 {
			g.await(t, g.store.settled, true)
			if len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != "possible" {
				t.Errorf("%s: %v", body, got)
			}
		}
	}
}

// Envoy refuses our answer. Whether it has forwarded anything, an earlier answer
// of ours that it took before a redirect for instance, is not ours to know.
func TestAnswerThatEnvoyRejects(t *testing.T) {
	g := settleUnproven(t, func(c envoytest.Config) {
		c.ExtAuthz()["decoder_header_mutation_rules"] = map[string]any{"disallow_all": true, "disallow_is_error": true}
	})
	for range 2 {
		_, got := g.post(t, "taken", "rejected", 500)
		g.await(t, g.store.settled, true)
		if len(got) != 0 {
			t.Errorf("%v reached the upstream", got)
		}
	}
	if s := g.store.Stats(); s.Reserved != 2 || s.Possible != 1 || s.Unknown != 2 {
		t.Errorf("%+v", s)
	}
}

// What never reached the upstream is released.
func TestUnreachableUpstreamReleases(t *testing.T) {
	for name, edit := range map[string]func(cluster map[string]any){
		"refused": func(cluster map[string]any) {
			cluster["load_assignment"] = map[string]any{"cluster_name": "application", "endpoints": []any{map[string]any{
				"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": map[string]any{"pipe": map[string]any{"path": filepath.Join(t.TempDir(), "nobody")}}}}},
			}}}
		},
		"no endpoints": func(cluster map[string]any) {
			cluster["load_assignment"] = map[string]any{"cluster_name": "application"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := settling{store: &watchedStore{
				Store:   memory.New(memory.Config{MaxEntries: 1 << 20}),
				settled: make(chan bool, 10), released: make(chan bool, 10),
			}}
			settler := replay.NewSettler(g.store, lease, replay.SealKey{1})
			table := settlingPolicies(t, g.store, settler)
			g.gateway = start(t, envoytest.Options{Source: fixed{table}, Settler: settler, Edit: func(c envoytest.Config) {
				for _, cluster := range c.At("static_resources", "clusters").([]any) {
					if m := cluster.(map[string]any); m["name"] == "application" {
						edit(m)
					}
				}
			}})
			g.table = table
			for n := range int64(3) {
				g.post(t, "taken", "the same", 503)
				g.await(t, g.store.settled, true)
				if s := g.store.Stats(); s.Reserved != n+1 || s.Released != n+1 || s.Copies != 0 {
					t.Errorf("after %d: %+v", n, s)
				}
			}
		})
	}
}
