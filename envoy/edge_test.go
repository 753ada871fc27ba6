package envoy_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

func TestDeliveriesReachTheUpstreamByteForByte(t *testing.T) {
	g := start(t, envoytest.Options{})
	exact := make([]byte, 1<<20)
	_, _ = rand.Read(exact)
	g.both(t, func(t *testing.T, c *http.Client) {
		bodies := map[string][]byte{
			"JSON":          []byte(`{"hello":"world","proto":"` + t.Name() + `"}`),
			"invalid UTF-8": append([]byte{0xff, 0xfe, 0, 0x80, '!', 0xc3, '('}, t.Name()...),
			"exactly full":  append([]byte(t.Name()), exact[len(t.Name()):]...),
		}
		for provider := range secrets {
			for name, body := range bodies {
				a := g.send(t, c, g.signed(t, provider, body))
				got := g.Upstream.Take()
				if a.status != 200 || a.reason != "ok" || len(got) != 1 || !bytes.Equal(got[0].Body, body) {
					t.Errorf("%s, %s: status %d, reason %s, %d requests upstream", provider, name, a.status, a.reason, len(got))
					continue
				}
				want := map[string]string{"verified": "signature", "webhook": provider, "key-id": "1"}
				if provider == "gitlab" {
					want["verified"] = "token"
				}
				for name, value := range want {
					if v := got[0].Header.Get("x-hookbastion-" + name); v != value {
						t.Errorf("%s: x-hookbastion-%s is %q", provider, name, v)
					}
				}
			}
		}
	})
	a := g.send(t, g.HTTP1, g.signed(t, "stripe", nil))
	if got := g.Upstream.Take(); a.status != 200 || len(got) != 1 || len(got[0].Body) != 0 {
		t.Errorf("an empty body: status %d, reason %s", a.status, a.reason)
	}
	a = g.send(t, g.HTTP1, g.signed(t, "github", make([]byte, 1<<20+1)))
	if a.status != 413 || a.record != nil {
		t.Errorf("a body over the limit: status %d, record %v", a.status, a.record)
	}
}

func TestMutationsAreRefusedWithTheirReason(t *testing.T) {
	g := start(t, envoytest.Options{})
	n := 0
	g.both(t, func(t *testing.T, c *http.Client) {
		for _, m := range []struct {
			name, webhook string
			change        func(*http.Request)
			status        int
			reason        string
		}{
			{"no signature", "github", func(r *http.Request) { r.Header.Del("x-hub-signature-256") }, 401, "signature_missing"},
			{"other body", "stripe", func(r *http.Request) { setBody(r, "other") }, 400, "signature_invalid"},
			{"doubled", "github", func(r *http.Request) {
				r.Header["X-Hub-Signature-256"] = append(r.Header["X-Hub-Signature-256"], r.Header.Get("X-Hub-Signature-256"))
			}, 401, "signature_malformed"},
			{"SHA-1 alone", "github", func(r *http.Request) {
				r.Header.Set("x-hub-signature", "sha1="+strings.Repeat("0", 40))
				r.Header.Del("x-hub-signature-256")
			}, 401, "signature_missing"},
			{"no time", "slack", func(r *http.Request) { r.Header.Del("x-slack-request-timestamp") }, 401, "timestamp_missing"},
			{"time with a plus", "slack", func(r *http.Request) { r.Header.Set("x-slack-request-timestamp", "+1") }, 401, "timestamp_malformed"},
			{"time changed", "slack", func(r *http.Request) { r.Header.Set("x-slack-request-timestamp", "1") }, 401, "signature_invalid"},
			{"id changed", "standard-webhooks", func(r *http.Request) { r.Header.Set("webhook-id", "other") }, 401, "signature_invalid"},
			{"other token", "gitlab", func(r *http.Request) { r.Header.Set("x-gitlab-token", "other") }, 401, "token_invalid"},
			{"no token", "gitlab", func(r *http.Request) { r.Header.Del("x-gitlab-token") }, 401, "token_missing"},
			{"other webhook", "github", func(r *http.Request) { r.URL.Path = "/slack" }, 401, "signature_missing"},
			{"no webhook", "github", func(r *http.Request) { r.URL.Path = "/nobody" }, 404, "no_webhook"},
			{"other method", "github", func(r *http.Request) { r.Method = "PUT" }, 405, "method_not_allowed"},
		} {
			n++
			req := g.signed(t, m.webhook, fmt.Appendf(nil, "delivery %d", n))
			req.Header.Set("X-Hookbastion-Verified", "signature")
			m.change(req)
			a := g.send(t, c, req)
			if a.status != m.status || a.reason != m.reason {
				t.Errorf("%s: status %d, reason %s, want %d, %s", m.name, a.status, a.reason, m.status, m.reason)
			}
			silent(t, a)
			if got := g.Upstream.Take(); len(got) != 0 {
				t.Errorf("%s: reached the upstream", m.name)
			}
			if m.status == 405 && !strings.Contains(a.text, "Allow: POST") {
				t.Errorf("no Allow header:\n%s", a.text)
			}
		}
	})
}

func setBody(r *http.Request, body string) {
	other, _ := http.NewRequest(r.Method, r.URL.String(), strings.NewReader(body))
	r.Body, r.ContentLength, r.GetBody = other.Body, other.ContentLength, other.GetBody
}

func TestOurHeadersCannotBeForged(t *testing.T) {
	g := start(t, envoytest.Options{})
	forge := func(r *http.Request) *http.Request {
		for _, name := range []string{"X-HOOKBASTION-VERIFIED", "x_hookbastion_verified", "x-hookbastion_tenant", "X-Hookbastion-Replay",
			"x-hookbastion-assertion", "x-hookbastion-anything", "x-hookbastion-decision-id", "x-envoy-auth-partial-body", "x-envoy-auth-failure-mode-allowed"} {
			r.Header[name] = []string{"forged", "forged"}
		}
		return r
	}
	g.both(t, func(t *testing.T, c *http.Client) {
		shadow := g.signed(t, "shadow", []byte("x"))
		shadow.Header.Del("x-hub-signature-256")
		for name, req := range map[string]*http.Request{
			"verified": g.signed(t, "github", []byte(t.Name())), "denied in shadow": shadow, "unverified": g.signed(t, "open", []byte("x")),
		} {
			if a := g.send(t, c, forge(req)); a.status != 200 {
				t.Errorf("%s: status %d, reason %s", name, a.status, a.reason)
			}
			got := g.Upstream.Take()
			if len(got) != 1 {
				t.Fatalf("%s: %d requests upstream", name, len(got))
			}
			for header, values := range got[0].Header {
				if strings.Contains(strings.Join(values, ""), "forged") {
					t.Errorf("%s: the upstream got %s: %q", name, header, values)
				}
			}
			if v := got[0].Header.Get(envoy.HeaderVerified); (v != "") != (name == "verified") {
				t.Errorf("%s: %s is %q", name, envoy.HeaderVerified, v)
			}
		}
	})
}

func TestSenderBehindTrustedProxies(t *testing.T) {
	for _, c := range []struct {
		hops, status int
		forwarded    string
	}{
		{0, 200, "203.0.113.5"},               // forged: Envoy's peer counts
		{1, 403, "203.0.113.5"},               // written by the proxy in front of Envoy
		{1, 200, "203.0.113.5, 198.51.100.1"}, // forged before that proxy
		{2, 403, "203.0.113.5, 198.51.100.1"},
		{2, 200, "203.0.113.5"}, // too short: Envoy's peer
	} {
		g := start(t, envoytest.Options{Mapping: envoy.Mapping{Source: source.Resolver{TrustedHops: c.hops}}})
		req := g.signed(t, "partner", []byte("x"))
		req.Header.Set("X-Forwarded-For", c.forwarded)
		if a := g.send(t, g.HTTP1, req); a.status != c.status {
			t.Errorf("%d hops, %s: status %d, source %v", c.hops, c.forwarded, a.status, a.record["source"])
		}
		g.Upstream.Take()
	}
}

func TestManyCopiesAtOnce(t *testing.T) {
	g := start(t, envoytest.Options{})
	body := []byte("one delivery")
	var all sync.WaitGroup
	statuses := make(chan int, 1000)
	begin := make(chan struct{})
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			for range 20 {
				req := g.signed(t, "github", body)
				response, err := g.HTTP1.Do(req)
				for try := 0; try < 40 && err == nil && response.StatusCode == http.StatusServiceUnavailable; try++ {
					_ = response.Body.Close() // a busy machine: once more, and not all at the same moment
					<-time.After(time.Second + time.Duration(try%7)*100*time.Millisecond)
					response, err = g.HTTP1.Do(g.signed(t, "github", body))
				}
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				statuses <- response.StatusCode
			}
		}()
	}
	close(begin)
	all.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	if got := g.Upstream.Take(); len(got) != 1 || count[200] != 1 || count[409] != 999 {
		t.Errorf("%d reached the upstream; statuses %v", len(got), count)
	}
}

func TestTrapsOfEnvoyAreNamed(t *testing.T) {
	route := func(c envoytest.Config) map[string]any {
		return c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)["routes"].([]any)[0].(map[string]any)
	}
	text := func(c envoytest.Config) { delete(c.WithRequestBody(), "pack_as_bytes") }
	for _, c := range []struct {
		name   string
		edit   func(envoytest.Config)
		mode   envoy.StringBody
		body   string
		status int
		reason string
	}{
		{"text without !", text, envoy.StringBodyExact, `{"a":"é€"}`, 200, "ok"},
		{"text with !", text, envoy.StringBodyExact, `{"a":"hi!"}`, 503, "body_altered"},
		{"text of other bytes", text, envoy.StringBodyExact, "{\"a\":\"\xff\"}", 503, "body_altered"},
		{"text refused", text, envoy.StringBodyRefuse, `{"a":"é€"}`, 503, "body_altered"},
		{"text trusted", text, envoy.StringBodyTrust, `{"a":"hi!"}`, 200, "ok"},
		{"text in the headers too", func(c envoytest.Config) { text(c); c.ExtAuthz()["encode_raw_headers"] = false }, envoy.StringBodyExact, `{"b":1}`, 200, "ok"},
		{"no body", func(c envoytest.Config) { delete(c.ExtAuthz(), "with_request_body") }, 0, `{}`, 503, "body_not_forwarded"},
		{"no body on the route", func(c envoytest.Config) {
			route(c)["typed_per_filter_config"] = map[string]any{"envoy.filters.http.ext_authz": map[string]any{
				"@type":          "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
				"check_settings": map[string]any{"disable_request_body_buffering": true},
			}}
		}, 0, `{}`, 503, "body_not_forwarded"},
		{"partial, over the limit", func(c envoytest.Config) { c.WithRequestBody()["allow_partial_message"] = true }, 0, strings.Repeat("x", 1500), 503, "body_truncated"},
		{"partial, exactly full", func(c envoytest.Config) { c.WithRequestBody()["allow_partial_message"] = true }, 0, strings.Repeat("x", 1000), 200, "ok"},
		{"selected by the route", func(c envoytest.Config) {
			route(c)["typed_per_filter_config"] = map[string]any{"envoy.filters.http.ext_authz": map[string]any{
				"@type":          "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
				"check_settings": map[string]any{"context_extensions": map[string]any{envoy.WebhookExtension: "slack"}},
			}}
		}, 0, `{}`, 404, "no_webhook"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, envoytest.Options{Edit: c.edit, Mapping: envoy.Mapping{MaxRequestBytes: 1000, StringBody: c.mode}})
			a := g.send(t, g.HTTP1, g.signed(t, "github", []byte(c.body)))
			if got := g.Upstream.Take(); a.status != c.status || a.reason != c.reason || (len(got) == 1) != (c.status == 200) {
				t.Errorf("status %d, reason %s, %d upstream; want %d, %s", a.status, a.reason, len(got), c.status, c.reason)
			}
			silent(t, a)
		})
	}
}
