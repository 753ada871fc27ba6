package audit_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

const (
	generous = 30 * time.Second
	secret   = "a secret for tests that nobody prints"
	authzKey = "envoy.filters.http.ext_authz"
	types    = "type.googleapis.com/envoy.extensions.filters.http."
)

type fixed struct{ table *authz.Table }

func (f fixed) Table() *authz.Table { return f.table }

// start runs the service with one GitHub webhook behind a real Envoy whose
// configuration was changed.
func start(t *testing.T, edit func(envoytest.Config)) *envoytest.Gateway {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	text := "webhooks: [{name: hook, match: {path: /hook/**}, provider: github, secrets: [{file: secret}]}]"
	for name, data := range map[string]string{file: text, filepath.Join(dir, "secret"): secret} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), MaxBodyBytes: 1 << 20,
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := envoytest.StartGateway(t.Context(), envoytest.Options{Source: fixed{table}, Edit: edit}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// delivery is a request that GitHub would send, with a forged header of ours.
func delivery(t *testing.T, g *envoytest.Gateway, sign bool, body []byte) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+g.Address+"/hook/a", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-hookbastion-verified", "forged")
	if sign {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return req
}

// fresh is a body that was never seen.
func fresh() []byte { return []byte(`{"id":"` + rand.Text() + `"}`) }

func send(t *testing.T, g *envoytest.Gateway, req *http.Request) *http.Response {
	t.Helper()
	response, err := g.HTTP1.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

// outcome is the status of a request and what the application saw.
type outcome struct {
	status   int
	verified string
}

func try(t *testing.T, g *envoytest.Gateway, sign bool) outcome {
	t.Helper()
	o := outcome{status: send(t, g, delivery(t, g, sign, fresh())).StatusCode}
	for _, arrival := range g.Upstream.Take() {
		o.verified += arrival.Header.Get("x-hookbastion-verified")
	}
	return o
}

// value reads a piece of a configuration.
func value(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func route(c envoytest.Config) map[string]any {
	host := c.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)
	return host["routes"].([]any)[0].(map[string]any)
}

func perRoute(t *testing.T, name, settings string) map[string]any {
	t.Helper()
	return map[string]any{name: value(t, `{"@type": `+types+`ext_authz.v3.ExtAuthzPerRoute, `+settings+`}`)}
}

func firstFilter(c envoytest.Config) map[string]any {
	return c.Manager()["http_filters"].([]any)[0].(map[string]any)
}

func cluster(c envoytest.Config) map[string]any { return c.Map("static_resources", "clusters", 0) }

// TestTraps shows each trap on a real Envoy: what a signed and an unsigned
// delivery with forged headers meet. Nothing else proves that a rule is right.
func TestTraps(t *testing.T) {
	const signature, forged = "signature", "forged"
	refused := outcome{401, ""}
	broken := outcome{503, ""}
	good := outcome{200, signature}
	tests := []struct {
		name             string // the rule
		edit             func(*testing.T, envoytest.Config)
		signed, unsigned outcome
	}{
		{"none", func(*testing.T, envoytest.Config) {}, good, refused},
		{"HE004", func(_ *testing.T, c envoytest.Config) { c.ExtAuthz()["shadow_mode"] = true }, good, outcome{200, forged}},
		{"HE006", func(_ *testing.T, c envoytest.Config) { firstFilter(c)["disabled"] = true }, outcome{200, forged}, outcome{200, forged}},
		{"HE007 enabled by settings", func(t *testing.T, c envoytest.Config) {
			firstFilter(c)["disabled"] = true
			route(c)["typed_per_filter_config"] = perRoute(t, authzKey, "check_settings: {}")
		}, good, refused},
		{"HE009", func(t *testing.T, c envoytest.Config) {
			route(c)["typed_per_filter_config"] = perRoute(t, "envoy.ext_authz", "disabled: true")
		}, good, refused},
		{"HE011", func(t *testing.T, c envoytest.Config) {
			route(c)["typed_per_filter_config"] = perRoute(t, authzKey, "disabled: true")
		}, outcome{200, forged}, outcome{200, forged}},
		{"HE011 mended in the route", func(t *testing.T, c envoytest.Config) {
			route(c)["typed_per_filter_config"] = perRoute(t, authzKey, "disabled: true")
			route(c)["request_headers_to_remove"] = []any{"x-hookbastion-verified"}
		}, outcome{200, ""}, outcome{200, ""}},
		{"HE011 mended early", func(t *testing.T, c envoytest.Config) {
			route(c)["typed_per_filter_config"] = perRoute(t, authzKey, "disabled: true")
			c.Manager()["early_header_mutation_extensions"] = value(t, `[{name: early, typed_config: {`+
				`"@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, mutations: [{remove: x-hookbastion-verified}]}}]`)
		}, outcome{200, ""}, outcome{200, ""}},
		{"HE031", func(t *testing.T, c envoytest.Config) {
			c.ExtAuthz()["allowed_headers"] = value(t, `{patterns: [{prefix: content-}]}`)
		}, refused, refused},
		{"HE031 letters matter", func(t *testing.T, c envoytest.Config) {
			c.ExtAuthz()["allowed_headers"] = value(t, `{patterns: [{prefix: content-}, {exact: X-Hub-Signature-256}]}`)
		}, refused, refused},
		{"HE032", func(t *testing.T, c envoytest.Config) {
			c.ExtAuthz()["allowed_headers"] = value(t, `{patterns: [{prefix: content-}, {exact: X-Hub-Signature-256, ignore_case: true}]}`)
		}, good, refused},
		{"HE033", func(t *testing.T, c envoytest.Config) {
			c.ExtAuthz()["decoder_header_mutation_rules"] = value(t, `{disallow_all: true}`)
		}, outcome{200, forged}, refused},
		{"HE033 by expression", func(t *testing.T, c envoytest.Config) {
			c.ExtAuthz()["decoder_header_mutation_rules"] = value(t, `{disallow_expression: {regex: "x-hookbastion-v.*"}, allow_expression: {regex: "x-hookbastion-.*"}}`)
		}, outcome{200, forged}, refused},
		{"HE033 mended", func(t *testing.T, c envoytest.Config) {
			c.ExtAuthz()["decoder_header_mutation_rules"] = value(t, `{disallow_all: true, allow_expression: {regex: "x-hookbastion-.*"}}`)
		}, good, refused},
		{"HE034", func(_ *testing.T, c envoytest.Config) {
			route(c)["request_headers_to_remove"] = []any{"x-hookbastion-verified"}
		}, outcome{200, ""}, refused},
		{"HE045", func(_ *testing.T, c envoytest.Config) {
			c.GRPCService()["envoy_grpc"] = map[string]any{"cluster_name": "hookbastoin"}
		}, broken, broken},
		{"HE046", func(_ *testing.T, c envoytest.Config) { delete(cluster(c), "typed_extension_protocol_options") }, broken, broken},
		{"HE046 as the sender speaks", func(t *testing.T, c envoytest.Config) {
			cluster(c)["typed_extension_protocol_options"] = value(t, `{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {`+
				`"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, use_downstream_protocol_config: {http2_protocol_options: {}}}}`)
		}, broken, broken},
		{"HE063", func(t *testing.T, c envoytest.Config) {
			c.SetCluster("application", redirecting(t))
			route(c)["route"].(map[string]any)["internal_redirect_policy"] = value(t, `{allow_cross_scheme_redirect: true, redirect_response_codes: [307]}`)
		}, outcome{409, ""}, refused},
		{"HE065", func(t *testing.T, c envoytest.Config) {
			c.Manager()["local_reply_config"] = value(t, `{mappers: [{filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 401, runtime_key: a}}}}, status_code: 418}]}`)
		}, good, outcome{418, ""}},
		{"HE008", func(t *testing.T, c envoytest.Config) {
			filters := c.Manager()["http_filters"].([]any)
			second := map[string]any{"name": "second", "typed_config": firstFilter(c)["typed_config"]}
			c.Manager()["http_filters"] = append([]any{filters[0], second}, filters[1:]...)
		}, good, refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, func(c envoytest.Config) { test.edit(t, c) })
			if got := try(t, g, true); got != test.signed {
				t.Errorf("signed: %+v, want %+v", got, test.signed)
			}
			if got := try(t, g, false); got != test.unsigned {
				t.Errorf("unsigned: %+v, want %+v", got, test.unsigned)
			}
		})
	}
}

// redirecting is an application that sends everything elsewhere once.
func redirecting(t *testing.T) net.Addr {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hook/a" {
			http.Redirect(w, r, "/hook/b", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr()
}

// TestDump audits what a running Envoy says of itself, which has no comments,
// other names and everything twice.
func TestDump(t *testing.T) {
	for _, allow := range []bool{false, true} {
		g := start(t, func(c envoytest.Config) { c.ExtAuthz()["failure_mode_allow"] = allow })
		dump, err := g.Envoy.Get(t.Context(), "/config_dump")
		if err != nil {
			t.Fatal(err)
		}
		var serious []string
		for _, f := range audit.Audit([]audit.File{{Name: "dump.json", Data: []byte(dump)}}, audit.Options{}) {
			if f.Severity != finding.Info {
				serious = append(serious, f.ID)
			}
		}
		if want := map[bool]string{false: "", true: "HE003"}[allow]; strings.Join(serious, " ") != want {
			t.Errorf("failure_mode_allow %v: %v", allow, serious)
		}
	}
}

// TestAppendedBody is the attack that a partial body with a small limit opens:
// what was signed fills the limit, and a stranger appends.
func TestAppendedBody(t *testing.T) {
	settings := `check_settings: {with_request_body: {max_request_bytes: 500, allow_partial_message: true}}`
	g := start(t, func(c envoytest.Config) { route(c)["typed_per_filter_config"] = perRoute(t, authzKey, settings) })
	signed := bytes.Repeat([]byte("s"), 500)
	response, err := g.Frames(t.Context(), delivery(t, g, true, signed), false, signed, []byte("appended"))
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Upstream.Take(); response.StatusCode != 200 || len(got) != 1 || !bytes.HasSuffix(got[0].Body, []byte("appended")) {
		t.Errorf("status %d, %d arrivals: the trap that HE023 names is none", response.StatusCode, len(got))
	}
}

// TestAlteredBody: a text body with a byte that Envoy may have altered.
func TestAlteredBody(t *testing.T) {
	g := start(t, func(c envoytest.Config) { c.WithRequestBody()["pack_as_bytes"] = false })
	for body, want := range map[string]int{`{"a":"\u00e4"}`: 200, `{"text":"Hello!"}`: 503, "\xff": 503} {
		if got := send(t, g, delivery(t, g, true, []byte(body))).StatusCode; got != want {
			t.Errorf("%q: %d, want %d", body, got, want)
		}
	}
}

// TestPackPerRoute: the route's flag changes nothing.
func TestPackPerRoute(t *testing.T) {
	settings := `check_settings: {with_request_body: {max_request_bytes: 1048576, pack_as_bytes: false}}`
	g := start(t, func(c envoytest.Config) { route(c)["typed_per_filter_config"] = perRoute(t, authzKey, settings) })
	if got := send(t, g, delivery(t, g, true, []byte("\xff!"))).StatusCode; got != 200 {
		t.Errorf("%d, as if the route's flag counted", got)
	}
}

// TestUnpacked: a decompressor before the filter takes away what was signed.
func TestUnpacked(t *testing.T) {
	filter := `{name: unpack, typed_config: {"@type": ` + types + `decompressor.v3.Decompressor, decompressor_library: ` +
		`{name: gzip, typed_config: {"@type": type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip}}}}`
	for _, before := range []bool{false, true} {
		g := start(t, func(c envoytest.Config) {
			filters := c.Manager()["http_filters"].([]any)
			place := 1
			if before {
				place = 0
			}
			c.Manager()["http_filters"] = append(append(append([]any{}, filters[:place]...), value(t, filter)), filters[place:]...)
		})
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(fresh())
		_ = w.Close()
		req := delivery(t, g, true, packed.Bytes())
		req.Header.Set("Content-Encoding", "gzip")
		want := map[bool]int{false: 200, true: 400}[before]
		if got := send(t, g, req).StatusCode; (got == 200) != (want == 200) {
			t.Errorf("decompressor before: %v; status %d", before, got)
		}
	}
}

// TestClientCertificates: without a validation context Envoy takes the
// certificate that a stranger made.
func TestClientCertificates(t *testing.T) {
	cert, key, _, err := envoytest.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, context := range []string{"", "{trust_chain_verification: ACCEPT_UNTRUSTED}", "verified"} {
		g := start(t, func(c envoytest.Config) {
			tlsConfig := c.Map("static_resources", "listeners", 0, "filter_chains", 0, "transport_socket", "typed_config")
			tlsConfig["require_client_certificate"] = true
			common := tlsConfig["common_tls_context"].(map[string]any)
			switch context {
			case "":
			case "verified": // by another authority: Envoy's own certificate
				common["validation_context"] = map[string]any{"trusted_ca": common["tls_certificates"].([]any)[0].(map[string]any)["certificate_chain"]}
			default:
				common["validation_context"] = value(t, context)
			}
		})
		transport := g.HTTP1.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
		client := &http.Client{Transport: transport, Timeout: generous}
		response, err := client.Do(delivery(t, g, true, fresh()))
		accepted := err == nil && response.StatusCode == 200
		if err == nil {
			_ = response.Body.Close()
		}
		client.CloseIdleConnections()
		if accepted != (context != "verified") {
			t.Errorf("validation context %q: accepted %v, error %v", context, accepted, err)
		}
	}
}

// TestServiceAway: what senders meet while nobody answers.
func TestServiceAway(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(map[string]any)
		want outcome
	}{
		"as it should be": {func(map[string]any) {}, outcome{503, ""}},
		"HE003":           {func(f map[string]any) { f["failure_mode_allow"] = true }, outcome{200, "forged"}},
		"HE040":           {func(f map[string]any) { delete(f, "status_on_error") }, outcome{403, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(c envoytest.Config) {
				test.edit(c.ExtAuthz())
				c.GRPCService()["timeout"] = "1s"
			})
			g.Server.Stop()
			if got := try(t, g, false); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
