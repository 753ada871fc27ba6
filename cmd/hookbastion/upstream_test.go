package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/assertion"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const (
	audience      = "payments-app"
	otherAudience = "billing-app"
)

// newKey writes a private key in PEM form.
func newKey(t *testing.T, algorithm string) (private any, encoded []byte) {
	t.Helper()
	var err error
	if algorithm == "ES256" {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// passage notes what goes from Envoy to the example.
type passage struct {
	mu     sync.Mutex
	header http.Header
	body   []byte
}

func (p *passage) to(t *testing.T, example string) *httptest.Server {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: example}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.header, p.body = r.Header.Clone(), body
		p.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func (p *passage) last() (assertion string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.header.Get(envoy.HeaderAssertion), p.body
}

// chain is the service, a real Envoy and an example behind it.
type chain struct {
	*process
	edge    *edge
	table   *authz.Table
	keyFile string
	example string // the application's address, around the gateway
	passed  passage
}

// command starts a program that says where it listens.
func command(t *testing.T, name string, args ...string) (address string) {
	t.Helper()
	out := newLines()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(repository, ".cache/upstream/python"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		envoytest.Watched.Saw("output of an example", []byte(out.String()))
	})
	return out.await(t, `listening on (\S+)`)[1]
}

// goExample builds the example in Go, pythonExample looks for what the one in
// Python imports. Both return how it is started.
func goExample(t *testing.T) []string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "upstream")
	if out, err := exec.Command("go", "build", "-o", bin, repository+"/examples/upstream/go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{bin}
}

func pythonExample(t *testing.T) []string {
	t.Helper()
	want, err := os.ReadFile(repository + "/examples/upstream/python/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(repository + "/.cache/upstream/pins")
	if err != nil || !bytes.Equal(have, want) {
		t.Fatal("what examples/upstream/python imports is not there: run make upstream")
	}
	return []string{"python3", "-s", repository + "/examples/upstream/python/app.py"}
}

func startChain(t *testing.T, example []string, key []byte) *chain {
	t.Helper()
	dir := t.TempDir()
	c := &chain{keyFile: filepath.Join(dir, "assertion.pem")}
	if err := os.WriteFile(c.keyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := "an upstream test's secret that nobody prints"
	envoytest.Watched.Secret("a webhook's secret", secret)
	if err := sample.WriteFile(filepath.Join(dir, "secret"), []byte(secret)); err != nil {
		t.Fatal(err)
	}
	policies := filepath.Join(dir, "policies")
	if err := sample.WriteFile(filepath.Join(policies, "webhooks.yaml"), []byte(`webhooks:
- {name: payments, match: {path: "/payments/{tenant}"}, provider: github, secrets: [{id: first, file: ../secret}], assertion: {audience: `+audience+`}}
- {name: billing, match: {path: /billing}, provider: github, secrets: [{file: ../secret}], assertion: {audience: `+otherAudience+`}}
- {name: plain, match: {path: /plain}, provider: github, secrets: [{file: ../secret}]}
- {name: watched, match: {path: /watched}, provider: github, secrets: [{file: ../secret}], mode: SHADOW, assertion: {audience: `+audience+`}}
`)); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.table, err = (&cli.Policies{Paths: []string{policies}}).Table(); err != nil {
		t.Fatal(err)
	}
	unix := socket(t)
	c.process = start(t, append(serveArgs(policies, unix), "--assertion-keys", c.keyFile)...)
	site := c.stderr.await(t, `http=(\S+)`)[1]
	c.example = command(t, example[0], append(example[1:], "--listen", "127.0.0.1:0", "--refetch", "0",
		"--keys", "http://"+site+"/.well-known/jwks.json", "--audience", audience)...)
	through := c.passed.to(t, c.example)
	c.edge = startEdge(t, unix, func(config envoytest.Config) { config.SetCluster("application", through.Listener.Addr()) })
	return c
}

// deliver signs a new delivery, sends it through Envoy and returns the status.
func (c *chain) deliver(t *testing.T, webhook, body string, headers ...authz.Header) int {
	t.Helper()
	req := signed(t, c.table, webhook, c.edge.client.Address, []byte(body))
	req.Headers = append(req.Headers, headers...)
	return sendStatus(t, c.edge, req)
}

// around posts to the application without the gateway.
func (c *chain) around(t *testing.T, body []byte, assertions ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+c.example+"/payments/acme", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range assertions {
		req.Header.Add(envoy.HeaderAssertion, a)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// trailing is around with the assertion behind the body.
func (c *chain) trailing(t *testing.T, body []byte, assertion string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.example+"/payments/acme", io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{http.CanonicalHeaderKey(envoy.HeaderAssertion): {assertion}}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestUpstreamExamples(t *testing.T) {
	for name, example := range map[string]func(*testing.T) []string{"Go": goExample, "Python": pythonExample} {
		for _, algorithm := range []string{"EdDSA", "ES256"} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				private, encoded := newKey(t, algorithm)
				c := startChain(t, example(t), encoded)
				attackUpstream(t, c, algorithm, private)
				rotateUpstream(t, c, algorithm, encoded)
				terminate(t, c.process)
			})
		}
	}
}

// attackUpstream: what came through the gateway is taken, and nothing else.
func attackUpstream(t *testing.T, c *chain, algorithm string, private any) {
	if status := c.deliver(t, "payments", "one", authz.Header{Name: authz.View(envoy.HeaderAssertion), Value: authz.View("forged")}); status != 200 {
		t.Fatalf("a good delivery: status %d\n%s", status, c.stderr)
	}
	good, body := c.passed.last()
	if status := c.around(t, body, good); status != 200 {
		t.Fatalf("its assertion alone: status %d", status) // so that what follows proves something
	}
	if status := c.deliver(t, "billing", "two"); status != 403 {
		t.Errorf("another application's webhook: status %d", status)
	}
	foreign, foreignBody := c.passed.last()
	for _, webhook := range []string{"plain", "watched"} {
		if status := c.deliver(t, webhook, "three"); status != 403 {
			t.Errorf("%s: status %d", webhook, status)
		}
		if got, _ := c.passed.last(); got != "" {
			t.Errorf("%s has an assertion", webhook)
		}
	}

	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(good, claims)
	if err != nil {
		t.Fatal(err)
	}
	for claim, want := range map[string]any{"iss": "hookbastion", "webhook": "payments", "tenant": "sample", "key_id": "first", "verified": "signature"} {
		if claims[claim] != want {
			t.Errorf("%s is %v, want %v", claim, claims[claim], want)
		}
	}
	signer, err := assertion.New(assertion.Config{Files: []string{c.keyFile}, TTL: time.Minute, Issuer: "hookbastion"})
	if err != nil {
		t.Fatal(err)
	}
	facts := assertion.Facts{Audience: audience, DecisionID: "d", Webhook: "payments", Proof: "signature", Body: [][]byte{body}}
	sign := func(now time.Time) string {
		text, err := signer.Sign(now, &facts)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if status := c.around(t, body, sign(time.Now())); status != 200 {
		t.Fatalf("signed here: status %d", status)
	}
	forge := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims, map[string]any)) string {
		changed, head := jwt.MapClaims{}, parsed.Header
		for k, v := range claims {
			changed[k] = v
		}
		token := jwt.NewWithClaims(method, changed)
		for k, v := range head {
			if k != "alg" {
				token.Header[k] = v
			}
		}
		change(changed, token.Header)
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	asIs := func(jwt.MapClaims, map[string]any) {}
	method := jwt.GetSigningMethod(algorithm)
	if status := c.around(t, body, forge(method, private, asIs)); status != 200 {
		t.Fatalf("forged with the key itself: status %d", status)
	}
	stranger, _ := newKey(t, algorithm)
	_, jwks := get(t, "http://"+c.stderr.await(t, `http=(\S+)`)[1]+"/.well-known/jwks.json")
	for name, a := range map[string][]string{
		"around the gateway":  {},
		"an empty assertion":  {""},
		"two assertions":      {good, good},
		"another audience":    {foreign},
		"expired":             {sign(time.Now().Add(-time.Hour))},
		"of the future":       {sign(time.Now().Add(time.Hour))},
		"another key":         {forge(method, stranger, asIs)},
		"an unknown key id":   {forge(method, stranger, func(_ jwt.MapClaims, h map[string]any) { h["kid"] = "x" })},
		"no algorithm":        {forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, asIs)},
		"keys as HMAC secret": {forge(jwt.SigningMethodHS256, []byte(jwks), asIs)},
		"another issuer":      {forge(method, private, func(c jwt.MapClaims, _ map[string]any) { c["iss"] = "x" })},
		"another kind":        {forge(method, private, func(_ jwt.MapClaims, h map[string]any) { h["typ"] = "JWT" })},
		"no expiry":           {forge(method, private, func(c jwt.MapClaims, _ map[string]any) { delete(c, "exp") })},
		"no body hash":        {forge(method, private, func(c jwt.MapClaims, _ map[string]any) { delete(c, "body_sha256") })},
	} {
		if status := c.around(t, body, a...); status != 403 {
			t.Errorf("%s: status %d", name, status)
		}
	}
	if status := c.around(t, append(body, '!'), good); status != 403 {
		t.Errorf("another body: status %d", status)
	}
	if status := c.trailing(t, body, good); status != 403 && status != http.StatusLengthRequired {
		t.Errorf("its assertion in a trailer: status %d", status)
	}
	if status := c.around(t, foreignBody, foreign); status != 403 {
		t.Errorf("another audience with its own body: status %d", status)
	}
}

// rotateUpstream changes the file: a second key is published, signs, and the
// first one goes.
func rotateUpstream(t *testing.T, c *chain, algorithm string, first []byte) {
	old, body := "", []byte(nil)
	loaded := 0
	_, second := newKey(t, algorithm)
	for i, text := range [][]byte{join(first, second), join(second, first), second} {
		if err := envoytest.Replace(c.keyFile, text); err != nil {
			t.Fatal(err)
		}
		loaded++
		c.stderr.await(t, fmt.Sprintf(`(?s)(msg="assertion keys loaded".*){%d}`, loaded))
		if status := c.deliver(t, "payments", fmt.Sprint("rotation ", i)); status != 200 {
			t.Errorf("step %d: status %d", i, status)
		}
		if i == 0 {
			old, body = c.passed.last()
		}
	}
	// The example has fetched the keys for the second one; the first was then
	// still published. It has to look again for that to end.
	stranger, _ := newKey(t, algorithm)
	unknown := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims{})
	unknown.Header["kid"] = "unknown"
	text, err := unknown.SignedString(stranger)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.around(t, body, text)
	if status := c.around(t, body, old); status != 403 {
		t.Errorf("an assertion of the retired key: status %d", status)
	}

	if err := envoytest.Replace(c.keyFile, []byte("no key")); err != nil {
		t.Fatal(err)
	}
	c.stderr.await(t, `assertion keys not loaded, the last good one keeps serving`)
	if status := c.deliver(t, "payments", "after a bad file"); status != 200 {
		t.Errorf("after a bad file: status %d", status)
	}
	if strings.Contains(c.stderr.String(), "PRIVATE KEY") {
		t.Error("the log holds a key")
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
