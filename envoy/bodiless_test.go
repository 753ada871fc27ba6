package envoy_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
)

// bodilessProviders send GET or DELETE requests that have neither a body nor a
// Content-Length.
var bodilessProviders = []string{"twilio", "hubspot-v3", "zendesk", "airship", "gitea", "github"}

func tableOf(t testing.TB, text string, files map[string]string) *authz.Table {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return compile(t, dir, text, policy.Deps{})
}

// bodiless is a table with one webhook for each of these providers.
func bodiless(t testing.TB) *authz.Table {
	t.Helper()
	text := "webhooks:\n"
	for _, name := range bodilessProviders {
		text += fmt.Sprintf("- {name: %s, match: {path: /%s/**, methods: [GET, DELETE, POST]}, provider: %s, secrets: [{file: key}], public_url: 'https://hooks.example.com'}\n", name, name, name)
	}
	return tableOf(t, text, map[string]string{"key": "f3b1c09a7d5e4286b0c9d7e15a3f8642"})
}

// signedEmpty is what a provider sends that has nothing to say but the URL, with
// the headers as lines.
func signedEmpty(t testing.TB, table *authz.Table, webhook, method, path string, now time.Time) (headers http.Header, lines string) {
	t.Helper()
	req := &authz.Request{Method: authz.View(method), Path: authz.View(path), Host: authz.View("hooks.example.com"), Scheme: authz.View("https")}
	if err := table.Webhook(webhook).Sign(req, authz.Signing{Now: now, NewID: rand.Text}); err != nil {
		t.Fatal(err)
	}
	headers = http.Header{}
	for _, h := range req.Headers {
		headers.Add(string(h.Name), string(h.Value))
		lines += fmt.Sprintf("%s: %s\r\n", h.Name, h.Value)
	}
	watchMACs(t, headers)
	return headers, lines
}

// addSilentCluster adds a cluster that takes connections and never answers.
func addSilentCluster(t testing.TB, c envoytest.Config, name string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	clusters := c.At("static_resources", "clusters").([]any)
	for _, cluster := range clusters {
		if cluster := maps.Clone(cluster.(map[string]any)); cluster["name"] == "hookbastion" {
			cluster["name"] = name
			cluster["load_assignment"] = map[string]any{"cluster_name": name, "endpoints": []any{map[string]any{"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{}}}}}}
			c.Map("static_resources")["clusters"] = append(clusters, cluster)
			c.SetCluster(name, l.Addr())
			return
		}
	}
	t.Fatal("no cluster to copy")
}

func onRoute(c envoytest.Config, check map[string]any) {
	hosts := c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)
	route := hosts[0].(map[string]any)["routes"].([]any)[0].(map[string]any)
	route["typed_per_filter_config"] = map[string]any{"envoy.filters.http.ext_authz": map[string]any{
		"@type":          "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
		"check_settings": check,
	}}
}

// TestRequestsWithoutBodyAndLength: they pass where Envoy says that they have
// ended, and nowhere else.
func TestRequestsWithoutBodyAndLength(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(envoytest.Config)
		status int
		reason string
	}{
		{"as configured", nil, 200, "ok"},
		{"not buffered on the route", func(c envoytest.Config) {
			onRoute(c, map[string]any{"disable_request_body_buffering": true})
		}, 200, "ok"},
		{"Envoy says nothing", func(c envoytest.Config) { delete(c.GRPCService(), "initial_metadata") }, 503, "body_not_forwarded"},
		{"the route asks otherwise", func(c envoytest.Config) {
			onRoute(c, map[string]any{"grpc_service": map[string]any{"envoy_grpc": map[string]any{"cluster_name": "hookbastion"}, "timeout": "5s"}})
		}, 503, "body_not_forwarded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := bodiless(t)
			g := start(t, envoytest.Options{Source: fixed{table}, Edit: c.edit})
			sent, now := 0, time.Now()
			check := func(name string, a answer) {
				t.Helper()
				if got := g.Upstream.Take(); a.status != c.status || a.reason != c.reason || (len(got) == 1) != (c.status == 200) {
					t.Errorf("%s: status %d, reason %s, %d upstream; want %d, %s", name, a.status, a.reason, len(got), c.status, c.reason)
				}
			}
			for _, webhook := range bodilessProviders {
				if webhook == "github" && c.status == 200 {
					continue // all its empty deliveries are the same
				}
				for _, method := range []string{"GET", "DELETE", "POST"} {
					if webhook == "gitea" && method != "GET" {
						continue // which alone may have a payload in the query
					}
					for _, protocol := range []string{"1", "2"} {
						sent++
						path := fmt.Sprintf("/%s/%d?payload=%%7B%%22n%%22%%3A%d%%7D", webhook, sent, sent) // Gitea signs that
						headers, lines := signedEmpty(t, table, webhook, method, path, now.Add(-time.Duration(sent)*time.Second))
						if protocol == "1" {
							check(webhook+" "+method, g.raw(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: hooks.example.com\r\n%s\r\n", method, path, lines)))
							continue
						}
						req, err := http.NewRequest(method, "https://"+g.Address+path, http.NoBody)
						if err != nil {
							t.Fatal(err)
						}
						req.Header, req.Host = headers, "hooks.example.com"
						if method == "POST" { // Go's client gives it a length
							continue
						}
						check(webhook+" "+method+" over HTTP/2", g.send(t, g.HTTP2, req))
					}
				}
			}
		})
	}
}

// TestBodiesBehindASignedEmptyRequest: to a request whose signature says that
// its body is empty, somebody gives one that Envoy does not show.
func TestBodiesBehindASignedEmptyRequest(t *testing.T) {
	unbuffered := map[string]any{"disable_request_body_buffering": true}
	for _, c := range []struct {
		name string
		edit func(envoytest.Config)
	}{
		{"not buffered on the route", func(c envoytest.Config) { onRoute(c, unbuffered) }},
		{"not buffered at all", func(c envoytest.Config) { delete(c.ExtAuthz(), "with_request_body") }},
		{"a filter waits before ours", func(c envoytest.Config) {
			// The body has come when ours is asked.
			onRoute(c, unbuffered)
			first := map[string]any{"name": "first", "typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "transport_api_version": "V3",
				"grpc_service":       map[string]any{"envoy_grpc": map[string]any{"cluster_name": "nobody"}, "timeout": "0.05s"},
				"failure_mode_allow": true,
			}}
			c.Manager()["http_filters"] = append([]any{first}, c.Manager()["http_filters"].([]any)...)
			addSilentCluster(t, c, "nobody")
		}},
		{"buffered", func(envoytest.Config) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := bodiless(t)
			g := start(t, envoytest.Options{Source: fixed{table}, Edit: c.edit})
			sent, now := 0, time.Now()
			refused := func(name string, a answer) {
				t.Helper()
				if got := g.Upstream.Take(); a.status < 400 || len(got) != 0 {
					t.Errorf("%s: status %d, reason %s, %d upstream", name, a.status, a.reason, len(got))
				}
			}
			for _, webhook := range bodilessProviders {
				for _, method := range []string{"GET", "DELETE", "POST"} {
					if webhook == "gitea" && method != "GET" {
						continue // which alone may have a payload in the query
					}
					signed := func() (path, head string, req *http.Request) {
						sent++
						path = fmt.Sprintf("/%s/%d?payload=%%7B%%22n%%22%%3A%d%%7D", webhook, sent, sent)
						headers, lines := signedEmpty(t, table, webhook, method, path, now.Add(-time.Duration(sent)*time.Second))
						req, err := http.NewRequest(method, "https://"+g.Address+path, http.NoBody)
						if err != nil {
							t.Fatal(err)
						}
						req.Header, req.Host = headers, "hooks.example.com"
						return path, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: hooks.example.com\r\n%s", method, path, lines), req
					}
					_, head, _ := signed()
					refused(webhook+" "+method+" chunked", g.raw(t, head+"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"))
					_, head, _ = signed()
					refused(webhook+" "+method+" with a length", g.raw(t, head+"Content-Length: 4\r\n\r\nevil"))
					_, head, _ = signed()
					refused(webhook+" "+method+" that forges the word", g.raw(t, head+envoy.RequestDuration+": 0\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"))
					_, _, req := signed()
					refused(webhook+" "+method+" in a frame", g.frames(t, req, false, []byte("evil")))
					_, _, req = signed()
					refused(webhook+" "+method+" after an empty frame", g.frames(t, req, false, nil, []byte("evil")))
					_, _, req = signed()
					req.Header.Set(envoy.RequestDuration, "0")
					refused(webhook+" "+method+" in a frame, with a forged word", g.frames(t, req, false, []byte("evil")))
				}
			}
		})
	}
}

// TestUpgradesBehindASignedEmptyRequest: what follows an upgrade is no body, and
// nobody has signed it.
func TestUpgradesBehindASignedEmptyRequest(t *testing.T) {
	table := bodiless(t)
	g := start(t, envoytest.Options{Source: fixed{table}, Edit: func(c envoytest.Config) {
		c.Manager()["upgrade_configs"] = []any{map[string]any{"upgrade_type": "websocket"}}
	}})
	_, lines := signedEmpty(t, table, "zendesk", "GET", "/zendesk/1", time.Now())
	a := g.raw(t, "GET /zendesk/1 HTTP/1.1\r\nHost: hooks.example.com\r\n"+lines+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nevil")
	if got := g.Upstream.Take(); a.status != 503 || a.reason != "body_not_forwarded" || len(got) != 0 {
		t.Errorf("status %d, reason %s, %d upstream", a.status, a.reason, len(got))
	}
}

// TestEmptyBodiesInManyForms: an empty body is empty however it is framed.
func TestEmptyBodiesInManyForms(t *testing.T) {
	table := bodiless(t)
	g := start(t, envoytest.Options{Source: fixed{table}})
	head := func(n int) string {
		path := fmt.Sprintf("/hubspot-v3/%d", n)
		_, lines := signedEmpty(t, table, "hubspot-v3", "POST", path, time.Now())
		return "POST " + path + " HTTP/1.1\r\nHost: hooks.example.com\r\n" + lines
	}
	for i, end := range []string{"\r\n", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n"} {
		a := g.raw(t, head(i)+end)
		got := g.Upstream.Take()
		if a.status != 200 || len(got) != 1 || len(bytes.TrimSpace(got[0].Body)) != 0 {
			t.Errorf("%q: status %d, reason %s, %d upstream", strings.ReplaceAll(end, "\r\n", " "), a.status, a.reason, len(got))
		}
	}
}

// TestBodiesThroughAnInternalRedirect: the body has come when Envoy asks about
// the second request, which it makes of the first.
func TestBodiesThroughAnInternalRedirect(t *testing.T) {
	table := bodiless(t)
	g := start(t, envoytest.Options{Source: fixed{table}, Edit: func(c envoytest.Config) {
		onRoute(c, map[string]any{"disable_request_body_buffering": true})
		host := c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)
		host["routes"] = append([]any{map[string]any{
			"match": map[string]any{"prefix": "/front/"},
			"route": map[string]any{"cluster": "application", "internal_redirect_policy": map[string]any{"redirect_response_codes": []any{307}, "allow_cross_scheme_redirect": true}},
			"typed_per_filter_config": map[string]any{"envoy.filters.http.ext_authz": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": true,
			}},
		}}, host["routes"].([]any)...)
	}})
	g.Upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/front"); ok {
			w.Header().Set("Location", "https://hooks.example.com"+rest)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	})
	for i, c := range []struct {
		end    string
		status int
	}{{"\r\n", 200}, {"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", 503}, {"Content-Length: 4\r\n\r\nevil", 503}} {
		path := fmt.Sprintf("/zendesk/%d", i)
		_, lines := signedEmpty(t, table, "zendesk", "POST", path, time.Now().Add(-time.Duration(i)*time.Second))
		a := g.raw(t, "POST /front"+path+" HTTP/1.1\r\nHost: hooks.example.com\r\n"+lines+c.end)
		verified := 0
		for _, got := range g.Upstream.Take() {
			if got.Header.Get(envoy.HeaderVerified) != "" {
				verified++
			}
		}
		if a.status != c.status || (verified == 1) != (c.status == 200) {
			t.Errorf("%q: status %d, reason %s, %d verified; want %d", c.end, a.status, a.reason, verified, c.status)
		}
	}
}

// TestTrailersWithoutABody: they end a request over HTTP/2 that has no frame of a
// body.
func TestTrailersWithoutABody(t *testing.T) {
	table := bodiless(t)
	for _, buffered := range []bool{true, false} {
		g := start(t, envoytest.Options{Source: fixed{table}, Edit: func(c envoytest.Config) {
			onRoute(c, map[string]any{"disable_request_body_buffering": !buffered})
		}})
		path := fmt.Sprintf("/hubspot-v3/%v", buffered)
		headers, _ := signedEmpty(t, table, "hubspot-v3", "POST", path, time.Now())
		req, err := http.NewRequest("POST", "https://"+g.Address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = headers
		s, err := g.OpenStream(t.Context(), req, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Headers(true, hpack.HeaderField{Name: "x-trailer", Value: "1"}); err != nil {
			t.Fatal(err)
		}
		response, err := s.Response()
		if err != nil {
			t.Fatal(err)
		}
		a := g.read(t, response)
		if got := g.Upstream.Take(); (a.status == 200) != buffered || (len(got) == 1) != buffered {
			t.Errorf("buffered %v: status %d, reason %s, %d upstream", buffered, a.status, a.reason, len(got))
		}
	}
}
