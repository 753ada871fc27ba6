package envoy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// raw sends text over HTTP/1.1 and reads one answer.
func (g *gateway) raw(t testing.TB, text string) answer {
	t.Helper()
	response, err := g.Raw(t.Context(), text)
	if err != nil {
		return answer{status: -1, text: err.Error()}
	}
	return g.read(t, response)
}

// frames sends a request over HTTP/2 with these DATA frames; the last one ends
// the stream.
func (g *gateway) frames(t testing.TB, req *http.Request, withLength bool, data ...[]byte) answer {
	t.Helper()
	response, err := g.Frames(t.Context(), req, withLength, data...)
	if err != nil {
		t.Fatal(err)
	}
	return g.read(t, response)
}

// Whoever appends to a delivery whose signed bytes fill Envoy's limit must not
// get the whole to the upstream. Envoy's own settings do not prevent it.
func TestAppendingToAFullBody(t *testing.T) {
	full, more := bytes.Repeat([]byte("x"), 1000), bytes.Repeat([]byte("y"), 500)
	for _, mode := range []struct {
		name         string
		partial      bool
		decompressed bool // as the setting says; there is no decompressor
	}{{"strict", false, false}, {"partial", true, false}, {"strict, decompressed", false, true}, {"partial, decompressed", true, true}} {
		t.Run(mode.name, func(t *testing.T) {
			g := start(t, envoytest.Options{Mapping: envoy.Mapping{MaxRequestBytes: 1000, Decompressed: mode.decompressed}, Edit: func(c envoytest.Config) {
				c.WithRequestBody()["allow_partial_message"] = mode.partial
			}})
			refused := func(name string, a answer) {
				t.Helper()
				if got := g.Upstream.Take(); len(got) != 0 || a.status < 400 {
					t.Errorf("%s: status %d, reason %s, %d upstream", name, a.status, a.reason, len(got))
				}
				if a.record != nil && a.reason != "body_truncated" && a.reason != "body_too_large" {
					t.Errorf("%s: reason %s", name, a.reason)
				}
			}
			for _, withLength := range []bool{true, false} {
				name := fmt.Sprintf("length %v", withLength)
				refused("HTTP/2, two frames, "+name, g.frames(t, g.signed(t, "github", full), withLength, full, more))
				refused("HTTP/2, one frame, "+name, g.frames(t, g.signed(t, "github", full), withLength, append(bytes.Clone(full), more...)))
				refused("HTTP/2, small frames, "+name, g.frames(t, g.signed(t, "github", full), withLength, full[:500], full[500:], more))
			}
			head := func(req *http.Request) string {
				return "POST /github HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: " + req.Header.Get("x-hub-signature-256") + "\r\n"
			}
			chunk := func(b []byte) string { return fmt.Sprintf("%x\r\n%s\r\n", len(b), b) }
			refused("HTTP/1.1, length", g.raw(t, head(g.signed(t, "github", full))+"Content-Length: 1500\r\n\r\n"+string(full)+string(more)))
			refused("HTTP/1.1, chunked", g.raw(t, head(g.signed(t, "github", full))+"Transfer-Encoding: chunked\r\n\r\n"+chunk(full)+chunk(more)+"0\r\n\r\n"))
			if mode.partial { // in strict mode Envoy waits for the end
				refused("HTTP/1.1, a slow sender", g.raw(t, head(g.signed(t, "github", full))+"Content-Length: 1500\r\n\r\n"+string(full)))
				refused("HTTP/1.1, a slow sender in chunks", g.raw(t, head(g.signed(t, "github", full))+"Transfer-Encoding: chunked\r\n\r\n"+chunk(full)))
			}

			// The delivery itself passes, with a length; strict mode knows its
			// end without one, and partial mode does not.
			if a := g.frames(t, g.signed(t, "github", full), true, full); a.status != 200 {
				t.Errorf("the delivery itself: status %d, reason %s", a.status, a.reason)
			}
			g.Upstream.Take()
		})
	}
}

func TestOddRequests(t *testing.T) {
	g := start(t, envoytest.Options{})
	sig := func(webhook, body string) string {
		return "X-Hub-Signature-256: " + g.signed(t, webhook, []byte(body)).Header.Get("x-hub-signature-256") + "\r\n"
	}
	post := func(head string) string { return head + "Content-Length: 2\r\n\r\n{}" }
	for _, c := range []struct {
		name, text string
		status     int
		reason     string
	}{
		{"no Host", post("POST /github HTTP/1.1\r\n" + sig("github", "{}")), 400, ""},
		{"two Hosts", post("POST /github HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + sig("github", "{}")), 404, "no_webhook"},
		{"a comma in Host", post("POST /github HTTP/1.1\r\nHost: a,b\r\n" + sig("github", "{}")), 404, "no_webhook"},
		{"an empty Host", post("POST /github HTTP/1.1\r\nHost:\r\n" + sig("github", "{}")), 404, "no_webhook"},
		{"lower-case method", post("post /github HTTP/1.1\r\nHost: a\r\n" + sig("github", "{}")), 400, ""},
		{"another method in a header", post("GET /github HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: POST\r\n" + sig("github", "{}")), 405, "method_not_allowed"},
		{"two lengths", "POST /github HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, ""},
		{"length and chunks", "POST /github HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
		{"another prefix", post("POST /x/../github HTTP/1.1\r\nHost: a\r\n" + sig("github", "{}")), 404, "no_webhook"},
		{"double slash", post("POST //github HTTP/1.1\r\nHost: a\r\n" + sig("github", "{}")), 404, "no_webhook"},
		{"path parameter", post("POST /github;a=b HTTP/1.1\r\nHost: a\r\n" + sig("github", "{}")), 404, "no_webhook"},
		{"two content types", post("POST /github HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n" + sig("github", "{}")), 200, "ok"},
		{"no length, no body", "POST /github HTTP/1.1\r\nHost: a\r\n" + sig("github", "") + "\r\n", 200, "ok"},
		{"length 0, a copy of it", "POST /github HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + sig("github", "") + "\r\n", 409, "replayed"},
		{"a split in the id", post("POST /github HTTP/1.1\r\nHost: a\r\nX-Request-Id: a%0d%0ax-evil: 1\r\n" + sig("github", "[]")), 401, "signature_invalid"},
		{"a control character", post("POST /github HTTP/1.1\r\nHost: a\r\nX-A: a\x01b\r\n" + sig("github", "{}")), 400, ""},
		{"bytes beyond UTF-8 in a header", post("POST /github HTTP/1.1\r\nHost: a\r\nX-A: \xff\xfe\r\n" + strings.ToLower(sig("github", "[]"))), 401, "signature_invalid"},
	} {
		a := g.raw(t, c.text)
		got := g.Upstream.Take()
		if a.status != c.status || a.reason != c.reason || (len(got) > 0) != (c.status == 200) {
			t.Errorf("%s: status %d, reason %q, %d upstream; want %d, %q", c.name, a.status, a.reason, len(got), c.status, c.reason)
		}
		if strings.Contains(a.text, "x-evil") {
			t.Errorf("%s: the answer was split:\n%s", c.name, a.text)
		}
	}
}

func TestServiceOnASocketAndPeersWithoutAddress(t *testing.T) {
	g := start(t, envoytest.Options{Socket: true})
	for webhook, want := range map[string]int{"github": 200, "partner": 200} {
		if a := g.send(t, g.HTTP1, g.signed(t, webhook, []byte(webhook))); a.status != want {
			t.Errorf("%s: status %d, reason %s", webhook, a.status, a.reason)
		}
	}
	// A peer of Envoy that is a pipe has no address, and matches no list.
	path := socketPath(t)
	piped := start(t, envoytest.Options{Edit: func(c envoytest.Config) {
		c.Map("static_resources", "listeners", 0)["address"] = map[string]any{"pipe": map[string]any{"path": path}}
	}})
	client := &http.Client{Timeout: generous, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: piped.Roots, ServerName: "localhost"},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	defer client.CloseIdleConnections()
	for webhook, want := range map[string]int{"github": 200, "partner": 403} {
		req := signedAt(t, piped.table, webhook, "https://localhost", []byte(webhook), time.Now())
		req.Header.Set("X-Forwarded-For", "198.51.100.7")
		if a := piped.send(t, client, req); a.status != want {
			t.Errorf("%s over a pipe: status %d, reason %s", webhook, a.status, a.reason)
		}
	}
	check := checkRequest(g.signed(t, "partner", []byte("x")), []byte("x"), nil)
	check.Attributes.Source = pipePeer()
	service := &envoy.Service{Source: fixed{g.table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}}
	if a := decode(t, service.Answer(context.Background(), marshal(t, check), nil)); a.status != 403 {
		t.Errorf("a peer without an address: status %d", a.status)
	}
}

// socketPath is a path short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hb") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

type brokenStore struct{ replay.Store }

func (brokenStore) Reserve(context.Context, replay.Nonce, replay.Claim, time.Time) (replay.Answer, error) {
	return replay.Answer{Outcome: replay.Reserved}, errors.New("the store is gone")
}

type misbehaving func(*authz.Call) authz.Reason

func (misbehaving) Stage() authz.Stage                  { return authz.StageSignature }
func (m misbehaving) Run(call *authz.Call) authz.Reason { return m(call) }

// Whatever breaks inside, the sender is told to retry and nothing passes.
func TestFaultsInsideEndInADenial(t *testing.T) {
	hook := func(checks ...authz.Check) *authz.Table {
		table := authz.NewTable()
		table.Add(&authz.Webhook{Name: "hook", Chain: authz.NewChain(checks...)}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
		return table
	}
	proven := misbehaving(func(call *authz.Call) authz.Reason {
		call.Proof, call.Fingerprint = authz.ProofSignature, authz.Fingerprint{1}
		return authz.OK
	})
	var table atomic.Pointer[authz.Table]
	g := start(t, envoytest.Options{Source: function(func() *authz.Table {
		if table.Load() == nil {
			panic("no table")
		}
		return table.Load()
	}), Edit: func(c envoytest.Config) { c.GRPCService()["timeout"] = "0.5s" }})
	for _, c := range []struct {
		name   string
		table  *authz.Table
		status int
		reason string
	}{
		{"a check that panics", hook(misbehaving(func(*authz.Call) authz.Reason { panic("no") })), 503, "internal"},
		{"a store that is gone", hook(proven, &replay.Check{Store: brokenStore{}, Window: time.Hour}), 503, "store_unavailable"},
		{"a store that is nil", hook(proven, &replay.Check{Window: time.Hour}), 503, "internal"},
		{"a check that says nothing", hook(misbehaving(func(*authz.Call) authz.Reason { return authz.Unset })), 503, "unset"},
		{"a reason that does not exist", hook(misbehaving(func(*authz.Call) authz.Reason { return 250 })), 503, "unset"},
		{"no checks", hook(), 503, "internal"},
		{"an empty table", authz.NewTable(), 404, "no_webhook"},
		{"the deadline passes in a check", hook(misbehaving(func(call *authz.Call) authz.Reason {
			<-call.Context.Done()
			call.Proof = authz.ProofSignature
			return authz.OK
		}), &replay.Check{Store: brokenStore{}, Window: time.Hour}), 503, "timeout"}, // or Envoy was first
		{"a source that panics", nil, 503, ""},
		{"and it goes on", hook(proven), 200, "ok"},
	} {
		table.Store(c.table)
		req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+"/hook", strings.NewReader("{}"))
		a := g.send(t, g.HTTP1, req)
		got := g.Upstream.Take()
		if c.reason == "timeout" && a.record == nil {
			a.reason, a.text = "timeout", "Retry-After: "
		}
		if a.status != c.status || a.reason != c.reason || (len(got) > 0) != (c.status == 200) {
			t.Errorf("%s: status %d, reason %q, %d upstream; want %d, %q", c.name, a.status, a.reason, len(got), c.status, c.reason)
		}
		if c.status == 503 && c.reason != "" && !strings.Contains(a.text, "Retry-After: ") {
			t.Errorf("%s: no Retry-After:\n%s", c.name, a.text)
		}
	}
	g.Server.Stop()
	req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+"/hook", strings.NewReader("{}"))
	if a := g.send(t, g.HTTP1, req); a.status != 503 || len(g.Upstream.Take()) != 0 {
		t.Errorf("the service has stopped: status %d", a.status)
	}
}

func TestPolicySwappedInMidCall(t *testing.T) {
	first, second := authz.NewTable(), authz.NewTable()
	entered, leave := make(chan struct{}), make(chan struct{})
	first.Add(&authz.Webhook{Name: "first", Chain: authz.NewChain(misbehaving(func(*authz.Call) authz.Reason {
		close(entered)
		<-leave
		return authz.SignatureInvalid
	}))}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
	second.Add(&authz.Webhook{Name: "second", Unverified: "a test needs it"}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
	var swapped atomic.Bool
	g := start(t, envoytest.Options{Source: function(func() *authz.Table {
		if swapped.Load() {
			return second
		}
		return first
	})})
	req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+"/hook", strings.NewReader("{}"))
	done := make(chan answer, 1)
	go func() { done <- g.send(t, g.HTTP1, req) }()
	<-entered
	swapped.Store(true)
	close(leave)
	if a := <-done; a.status != 401 || a.record["webhook"] != "first" {
		t.Errorf("the call in flight: status %d, record %v", a.status, a.record)
	}
	req, _ = http.NewRequest(http.MethodPost, "https://"+g.Address+"/hook", strings.NewReader("{}"))
	if a := g.send(t, g.HTTP1, req); a.status != 200 || a.record["webhook"] != "second" {
		t.Errorf("the next call: status %d, record %v", a.status, a.record)
	}
}
