package envoy_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
)

const generous = 30 * time.Second

var secrets = map[string]string{
	"github": "a github secret that nobody prints", "partner": "a partner secret that nobody prints", "stripe": "whsec_a_stripe_secret_that_nobody_prints",
	"slack": "8f742231b10e8888abcd99yyyzzz85a5", "standard-webhooks": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	"gitlab": "glpat-a-token-that-nobody-prints",
}

// policies has one webhook for each provider, one behind a source rule, and
// one without verification.
func policies(t testing.TB) *authz.Table {
	t.Helper()
	dir := t.TempDir()
	text := "webhooks:\n"
	for name, secret := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "partner" { // which is no provider
			text += fmt.Sprintf("- {name: %s, match: {path: /%s}, provider: %s, secrets: [{file: %s}]}\n", name, name, name, name)
		}
	}
	text += "- {name: partner, match: {path: /partner}, provider: github, secrets: [{file: partner}], source_ip: {deny: [203.0.113.0/24]}}\n"
	text += "- {name: shadow, match: {path: /shadow}, provider: github, secrets: [{file: github}], mode: SHADOW}\n"
	text += "- {name: open, match: {path: /open}, unverified: {reason: a test needs it}}\n"
	return compile(t, dir, text, policy.Deps{Store: memory.New(memory.Config{MaxEntries: 1 << 24})}) // benchmarks put millions into it
}

// compile makes a table of policies that stand in the directory, among their
// secrets. Without a store, it has one in memory.
func compile(t testing.TB, dir, text string, deps policy.Deps) *authz.Table {
	t.Helper()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if deps.Store == nil {
		deps.Store = memory.New(memory.Config{MaxEntries: 1000})
	}
	deps.Fingerprinter, deps.MaxBodyBytes = authz.NewFingerprinter(authz.FingerprintKey{1}), 8<<20
	table, err := policy.Compile(set, deps)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// fixed is a source that never changes; function one that runs each time.
type fixed struct{ table *authz.Table }

func (f fixed) Table() *authz.Table { return f.table }

type function func() *authz.Table

func (f function) Table() *authz.Table { return f() }

// gateway is a real Envoy between clients, the service and an upstream.
type gateway struct {
	*envoytest.Gateway
	table *authz.Table
	// unread says that calls are refused before their messages are read:
	// grpc-go leaves those buffers to the garbage collector.
	unread bool
}

// start starts a gateway for a test. Without a source it serves policies.
func start(t *testing.T, o envoytest.Options) *gateway {
	t.Helper()
	g := &gateway{}
	if o.Source == nil {
		g.table = policies(t)
		o.Source = fixed{g.table}
	}
	if o.Telemetry.Tracer == nil {
		config, stop := exporters{envoytest.Watched}.config()
		o.Telemetry = config
		t.Cleanup(stop)
	}
	var err error
	if g.Gateway, err = envoytest.StartGateway(t.Context(), o, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
		if used, calls := g.Server.Held(); used != 0 || calls != 0 {
			t.Errorf("%d bytes of the budget and %d calls were not given back", used, calls)
		}
		if now, _, _ := g.Pool.Outstanding(); now != 0 && !g.unread {
			t.Errorf("%d bytes of buffers were not given back", now)
		}
	})
	return g
}

// both runs a test over HTTP/1.1 and HTTP/2.
func (g *gateway) both(t *testing.T, f func(t *testing.T, c *http.Client)) {
	t.Run("HTTP1", func(t *testing.T) { f(t, g.HTTP1) })
	t.Run("HTTP2", func(t *testing.T) { f(t, g.HTTP2) })
}

// signed is a new delivery of a webhook.
func (g *gateway) signed(t testing.TB, webhook string, body []byte) *http.Request {
	t.Helper()
	return signedAt(t, g.table, webhook, "https://"+g.Address, body, time.Now())
}

func signedAt(t testing.TB, table *authz.Table, webhook, base string, body []byte, now time.Time) *http.Request {
	t.Helper()
	req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/" + webhook), Body: authz.Body{Segments: [][]byte{body}}}
	out, err := http.NewRequest(http.MethodPost, base+"/"+webhook, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Webhook(webhook).Sign(req, authz.Signing{Now: now, NewID: rand.Text}); err != nil {
		t.Fatal(err)
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	watchMACs(t, out.Header)
	return out
}

// answer is what the sender got and what the record says.
type answer struct {
	status int
	reason string
	text   string // headers and body
	record map[string]any
}

func (g *gateway) send(t testing.TB, c *http.Client, req *http.Request) answer {
	t.Helper()
	response, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return g.read(t, response)
}

func (g *gateway) read(t testing.TB, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	_ = response.Header.Write(&text)
	text.Write(body)
	watchAnswer(text.Bytes())
	a := answer{status: response.StatusCode, text: text.String()}
	id := response.Header.Get(envoy.HeaderDecisionID)
	if id == "" {
		id = response.Header.Get(envoytest.HeaderSawDecision)
	}
	if id != "" {
		if a.record = g.Records.Await(id); a.record == nil {
			t.Fatalf("no record of decision %s", id)
		}
		a.reason, _ = a.record["reason"].(string)
	}
	return a
}

// silent checks that an answer tells nothing but its status and an id.
func silent(t testing.TB, a answer) {
	t.Helper()
	words := []string{"signature", "secret", "replay", "timestamp", "webhook:", "token"}
	for _, s := range secrets {
		words = append(words, s)
	}
	for _, word := range append(words, a.reason) {
		if word != "" && strings.Contains(strings.ToLower(a.text), strings.ToLower(word)) {
			t.Errorf("the sender is told %q:\n%s", word, a.text)
		}
	}
}
