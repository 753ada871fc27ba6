package envoy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// TestRouteSelectsTheWebhook: a webhook with extension_only belongs to the routes
// that name it, and to no host and path. On a route that is wider than it should
// be, odd paths are refused all the same.
func TestRouteSelectsTheWebhook(t *testing.T) {
	table := tableOf(t, `webhooks:
- {name: payments, match: {extension_only: true}, provider: github, secrets: [{file: key}]}
- {name: stripe, match: {path: /stripe}, provider: stripe, secrets: [{file: stripe}]}
`, map[string]string{"key": secrets["github"], "stripe": secrets["stripe"]})
	g := start(t, envoytest.Options{Source: fixed{table}, Edit: func(c envoytest.Config) {
		hosts := c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)
		other := hosts[0].(map[string]any)["routes"].([]any)[0]
		named := func(match map[string]any) any {
			return map[string]any{"match": match, "route": map[string]any{"cluster": "application"}, "typed_per_filter_config": map[string]any{
				"envoy.filters.http.ext_authz": map[string]any{
					"@type":          "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
					"check_settings": map[string]any{"context_extensions": map[string]any{envoy.WebhookExtension: "payments"}},
				},
			}}
		}
		hosts[0].(map[string]any)["routes"] = []any{named(map[string]any{"path": "/pay"}), named(map[string]any{"prefix": "/wide"}), other}
	}})
	sent := 0
	for _, c := range []struct {
		method, host, path string
		status             int
		reason             string
	}{
		{"POST", "a.example", "/pay", 200, "ok"},
		{"POST", "b.example:8443", "/pay?b=c", 200, "ok"},
		{"GET", "a.example", "/pay", 405, "method_not_allowed"},
		{"POST", "a.example", "/other", 404, "no_webhook"},
		{"POST", "a.example", "/payments", 404, "no_webhook"},
		{"POST", "a.example", "/stripe", 401, "signature_missing"},
		{"POST", "a.example", "/wide/b", 200, "ok"}, // which the audit names
		{"POST", "a.example", "/wide/../stripe", 404, "no_webhook"},
		{"POST", "a.example", "/wide//stripe", 404, "no_webhook"},
		{"POST", "a.example", "/wide/..%2fstripe", 404, "no_webhook"},
		{"POST", "a.example", "/wide/%2e%2e/stripe", 404, "no_webhook"},
		{"POST", "a.example", "/wide;/stripe", 404, "no_webhook"},
	} {
		sent++
		body := fmt.Sprintf("delivery %d", sent)
		signed := signedAt(t, table, "payments", "https://"+g.Address, []byte(body), time.Now())
		a := g.raw(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nX-Hub-Signature-256: %s\r\nHookbastion.Webhook: payments\r\nContent-Length: %d\r\n\r\n%s",
			c.method, c.path, c.host, signed.Header.Get("x-hub-signature-256"), len(body), body))
		got := g.Upstream.Take()
		if a.status != c.status && c.reason != "signature_missing" || a.reason != c.reason || (len(got) == 1) != (c.status == 200) {
			t.Errorf("%s %s: status %d, reason %s, %d upstream; want %d, %s", c.method, c.path, a.status, a.reason, len(got), c.status, c.reason)
		}
		if len(got) == 1 && got[0].Header.Get(envoy.HeaderWebhook) != "payments" {
			t.Errorf("%s: the upstream is told %q", c.path, got[0].Header.Get(envoy.HeaderWebhook))
		}
	}
}
