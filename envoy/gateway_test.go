package envoy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/token"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/examples"
	"github.com/hookbastion/hookbastion/policy"
)

const generous = 30 * time.Second

var secrets = map[string]string{
	"github": "a github secret that nobody prints", "stripe": "whsec_a_stripe_secret_that_nobody_prints",
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
		text += fmt.Sprintf("- {name: %s, match: {path: /%s}, provider: %s, secrets: [{file: %s}]}\n", name, name, name, name)
	}
	text += "- {name: partner, match: {path: /partner}, provider: github, secrets: [{file: github}], source_ip: {deny: [203.0.113.0/24]}}\n"
	text += "- {name: shadow, match: {path: /shadow}, provider: github, secrets: [{file: github}], mode: SHADOW}\n"
	text += "- {name: open, match: {path: /open}, unverified: {reason: a test needs it}}\n"
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store:         replay.NewMemory(replay.MemoryConfig{MaxEntries: 1 << 20}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{1}),
		MaxBodyBytes:  8 << 20,
	})
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

type options struct {
	source  envoy.Source
	edit    func(envoytest.Config)
	mapping envoy.Mapping
	limits  envoy.Limits
	now     func() time.Time
	socket  bool // the service listens on a Unix socket
	unread  bool // calls are refused before their messages were read
}

// gateway is a real Envoy between clients, the service and an upstream.
type gateway struct {
	t        *testing.T
	table    *authz.Table
	upstream *upstream
	records  *records
	server   *envoy.Server
	pool     *envoytest.PoisonPool
	address  string
	roots    *x509.CertPool
	http1    *http.Client
	http2    *http.Client
}

func start(t *testing.T, o options) *gateway {
	t.Helper()
	g := &gateway{t: t, upstream: startUpstream(t), records: newRecords(), pool: &envoytest.PoisonPool{}}
	if o.source == nil {
		g.table = policies(t)
		o.source = fixed{g.table}
	}
	if o.mapping.MaxRequestBytes == 0 {
		o.mapping.MaxRequestBytes = 1 << 20
	}
	if o.limits.InFlight == 0 {
		o.limits = envoy.Limits{InFlight: 1024, BytesInFlight: 256 << 20}
	}
	o.limits.MaxRequestBytes, o.limits.Connections, o.limits.Shutdown = o.mapping.MaxRequestBytes, 64, 5*time.Second
	writer := telemetry.NewWriter(g.records)
	recorder, err := telemetry.New(telemetry.Config{
		Records: writer, DenialsPerSecond: 1 << 30, Replica: "test",
		PolicyDigest: func() string { return "digest" }, Meter: noop.Meter{},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.server = envoy.NewServer(&envoy.Service{Source: o.source, Mapping: o.mapping, Telemetry: recorder, Now: o.now}, o.limits, g.pool)
	listener := g.listen(o)
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(listener) }()
	g.server.SetReady(true)
	t.Cleanup(func() {
		g.server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		writer.Close()
		// grpc-go leaves what no handler has read to the garbage collector.
		if now, _, fault := g.pool.Outstanding(); now != 0 && !o.unread || fault != "" {
			t.Errorf("%d bytes of buffers were not given back; %s", now, fault)
		}
	})
	g.startEnvoy(o, listener.Addr())
	return g
}

func (g *gateway) listen(o options) net.Listener {
	network, address := "tcp", "127.0.0.1:0"
	if o.socket {
		network, address = "unix", socketPath(g.t)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		g.t.Fatal(err)
	}
	return l
}

func (g *gateway) startEnvoy(o options, service net.Addr) {
	g.t.Helper()
	text, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		g.t.Fatal(err)
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		g.t.Fatal(err)
	}
	dir := g.t.TempDir()
	cert, key, roots, err := envoytest.Certificate(dir)
	if err != nil {
		g.t.Fatal(err)
	}
	g.roots = roots
	config.SetCertificate(cert, key)
	config.SetCluster("hookbastion", service)
	config.SetCluster("application", g.upstream.listener.Addr())
	config.ExtAuthz()["with_request_body"].(map[string]any)["max_request_bytes"] = o.mapping.MaxRequestBytes
	config.ExtAuthz()["grpc_service"].(map[string]any)["timeout"] = "5s" // the race detector is slow
	if o.edit != nil {
		o.edit(config)
	}
	e, err := envoytest.Start(context.Background(), config, dir)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(e.Stop)
	g.address = e.Listeners["webhooks"]
	client := func(protocols ...string) *http.Client {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, NextProtos: protocols},
			ForceAttemptHTTP2: protocols[0] == "h2", MaxIdleConnsPerHost: 64,
		}
		g.t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: generous}
	}
	g.http1, g.http2 = client("http/1.1"), client("h2")
}

// both runs a test over HTTP/1.1 and HTTP/2.
func (g *gateway) both(t *testing.T, f func(t *testing.T, c *http.Client)) {
	t.Run("HTTP1", func(t *testing.T) { f(t, g.http1) })
	t.Run("HTTP2", func(t *testing.T) { f(t, g.http2) })
}

// signed is a new delivery of a webhook.
func (g *gateway) signed(t testing.TB, webhook string, body []byte) *http.Request {
	t.Helper()
	return signedAt(t, g.table, webhook, "https://"+g.address, body, time.Now())
}

func signedAt(t testing.TB, table *authz.Table, webhook, base string, body []byte, now time.Time) *http.Request {
	t.Helper()
	req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/" + webhook), Body: authz.Body{Segments: [][]byte{body}}}
	out, err := http.NewRequest(http.MethodPost, base+"/"+webhook, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range table.Webhook(webhook).Chain {
		switch check := check.(type) {
		case *signature.Check:
			for _, h := range check.Schemes[0].Sign(req, "", now, rand.Text) {
				out.Header.Add(string(h.Name), string(h.Value))
			}
		case *token.Check:
			name, value, _ := check.Sign("")
			out.Header.Add(name, value)
		}
	}
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
	a := answer{status: response.StatusCode, text: text.String()}
	id := response.Header.Get(envoy.HeaderDecisionID)
	if id == "" {
		id = response.Header.Get("upstream-saw-decision")
	}
	if id != "" {
		a.record = g.records.await(t, id)
		a.reason, _ = a.record["reason"].(string)
	}
	return a
}
