package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

// keyPolicy has keys at a URL, and keys that are fetched by their id.
const keyPolicy = `webhooks:
  - name: set
    match: {path: /webhooks/set}
    scheme: &scheme
      ed25519: {encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}], key_id: {headers: [X-Key]}}
    secrets: [{id: provider, url: 'SERVER/jwks.json'}]
  - name: by-id
    match: {path: /webhooks/by-id}
    scheme:
      ed25519: {encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}], key_id: {headers: [X-Key]}}
      published: {urls: ['SERVER/keys/{id}'], key: publicKey}
`

// signedBy is a new delivery that a private key has signed and names.
func signedBy(t *testing.T, table *authz.Table, webhook, keyID, host string, private crypto.Signer) *authz.Request {
	t.Helper()
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View(host), Path: authz.View("/webhooks/" + webhook), Scheme: authz.View("https"),
		Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(`{"id":"` + rand.Text() + `"}`)}},
	}
	req.Set("content-type", "application/json")
	if err := table.Webhook(webhook).Sign(req, authz.Signing{KeyID: keyID, Now: time.Now(), Private: private, NewID: rand.Text}); err != nil {
		t.Fatal(err)
	}
	return req
}

// Keys come from a key server that is slow at first and dead later, through the
// settings, to a real Envoy: no delivery waits, and a restart while the server is away
// costs nothing.
func TestKeysAreFetched(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{
		"/jwks.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}]}`,
		"/keys/two":  `{"publicKey":"` + base64.StdEncoding.EncodeToString(public) + `"}`,
	}
	came, open := make(chan struct{}, 100), make(chan struct{})
	var asked atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		came <- struct{}{}
		<-open
		page, there := pages[r.URL.Path]
		if !there {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, page)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write(t, filepath.Join(dir, "ca.pem"), string(ca))
	write(t, filepath.Join(dir, "policy.yaml"), strings.ReplaceAll(strings.ReplaceAll(keyPolicy, "SERVER", server.URL), " &scheme", ""))
	table, err := (&cli.Policies{Paths: []string{filepath.Join(dir, "policy.yaml")}}).Table() // to sign with
	if err != nil {
		t.Fatal(err)
	}
	unix := socket(t)
	args := append(serveArgs(filepath.Join(dir, "policy.yaml"), unix), "--admin-listen", "127.0.0.1:0", "--fetch-allow-private", "127.0.0.1",
		"--fetch-ca", filepath.Join(dir, "ca.pem"), "--fetch-directory", filepath.Join(dir, "fetched"))
	p := start(t, args...)
	p.stderr.await(t, "msg=serving")
	e := startEdge(t, unix, nil)
	deliver := func(webhook, keyID string) int {
		t.Helper()
		return sendStatus(t, e, signedBy(t, table, webhook, keyID, e.client.Address, private))
	}

	// The server answers nothing: deliveries are answered all the same.
	<-came
	for range 5 {
		if got := deliver("set", "one"); got != http.StatusServiceUnavailable {
			t.Errorf("before any key came: %d", got)
		}
	}
	if _, page := get(t, siteOf(t, p)+"/readyz"); !strings.Contains(page, "without 1 documents") {
		t.Errorf("readyz: %s", page)
	}
	close(open)
	p.stderr.await(t, `msg=fetched url=\S+/jwks.json`)
	if got := deliver("set", "one"); got != http.StatusOK {
		t.Errorf("a known key: %d", got)
	}
	if got := deliver("set", "other"); got != http.StatusUnauthorized {
		t.Errorf("an unknown key, right after a fetch: %d", got)
	}
	if got := deliver("by-id", "two"); got != http.StatusServiceUnavailable {
		t.Errorf("a new key: %d", got)
	}
	p.stderr.await(t, `msg=fetched url=\S+/keys/two`)
	if got := deliver("by-id", "two"); got != http.StatusOK {
		t.Errorf("the retry: %d", got)
	}
	for range 20 {
		if got := deliver("by-id", rand.Text()); got != http.StatusServiceUnavailable {
			t.Errorf("an unknown key: %d", got)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
	if _, page := get(t, siteOf(t, p)+"/metrics"); !regexp.MustCompile(`hookbastion_fetches_total\{[^}]*result="ok"[^}]*source="`+regexp.QuoteMeta(server.URL)+`/keys/\{id\}"\} 1`).MatchString(page) ||
		!strings.Contains(page, "hookbastion_fetched_age_seconds{") || strings.Contains(page, "/keys/two") {
		t.Error("the metrics do not tell of fetches, or tell the ids that requests name")
	}
	var listed []struct {
		Webhook, Reference, Strength string
		Fetched                      []cli.Fetched
	}
	text := keysOf(t, filepath.Join(dir, "policy.yaml"), "--admin", "http://"+p.stderr.await(t, `admin=(\S+)`)[1], "--output", "json")
	if err := json.Unmarshal([]byte(text), &listed); err != nil || len(listed) != 2 || len(listed[1].Fetched) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	if f := listed[1].Fetched[0]; listed[1].Reference != server.URL+"/keys/{id}" || listed[1].Strength != "public" || f.URL != server.URL+"/keys/two" || f.State != "current" || f.Confirmed == nil {
		t.Errorf("keys: %s", text)
	}
	terminate(t, p)

	// The server is gone. What was good last is there.
	server.Close()
	p = start(t, args...)
	p.stderr.await(t, "msg=serving")
	p.stderr.await(t, `not fetched, what was good last stays.*connect: no connection`)
	for webhook, id := range map[string]string{"set": "one", "by-id": "two"} {
		awaitStatus(t, func() int { return deliver(webhook, id) }, http.StatusOK) // when Envoy is connected again
	}
	if text := keysOf(t, filepath.Join(dir, "policy.yaml"), "--admin", "http://"+p.stderr.await(t, `admin=(\S+)`)[1]); !strings.Contains(text, "was good last at") {
		t.Errorf("keys: %s", text)
	}
	terminate(t, p)
}

// awaitStatus asks until the answer is the one that is wanted.
func awaitStatus(t *testing.T, ask func() int, want int) {
	t.Helper()
	for deadline := time.Now().Add(generous); ; {
		got := ask()
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d, want %d", got, want)
		}
	}
}

func keysOf(t *testing.T, policy string, more ...string) string {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(append([]string{"keys", "--policy", policy}, more...))
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	if code := cli.Finish(&problems, cmd.Execute()); code != 0 {
		t.Fatalf("exit %d: %s", code, problems.String())
	}
	return out.String()
}

// A CA file that holds none is the end of the start, and said.
func TestFetchCA(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.pem"), "no certificate")
	write(t, filepath.Join(dir, "policy.yaml"), "webhooks: [{name: a, match: {path: /a}, unverified: {reason: a test of settings}}]")
	p := start(t, append(serveArgs(filepath.Join(dir, "policy.yaml"), socket(t)), "--fetch-ca", filepath.Join(dir, "ca.pem"))...)
	if err := p.wait(t); err == nil || !strings.Contains(p.stderr.String(), filepath.Join(dir, "ca.pem")+" has no certificate in PEM form") {
		t.Errorf("%v: %s", err, p.stderr)
	}
	if _, err := x509.SystemCertPool(); err != nil {
		t.Errorf("without fetch.ca there would be no authorities: %v", err)
	}
}
