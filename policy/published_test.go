package policy_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// keyServer is a real TLS server on loopback that publishes keys.
type keyServer struct {
	*httptest.Server
	roots *x509.CertPool

	misbehave http.HandlerFunc // in place of the pages

	mu    sync.Mutex
	pages map[string]string // by path
	asked map[string]int
	auth  string // of the last request
	body  string
	came  chan string // paths, as they are asked for
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	s := &keyServer{pages: map[string]string{}, asked: map[string]int{}, came: make(chan string, 1000), roots: x509.NewCertPool()}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if s.misbehave != nil {
			s.misbehave(w, r)
			return
		}
		s.mu.Lock()
		page, ok := s.pages[r.URL.Path]
		s.asked[r.URL.Path]++
		s.auth, s.body = r.Header.Get("Authorization"), string(body)
		s.mu.Unlock()
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, page)
		s.came <- r.URL.Path
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.roots.AddCert(s.Certificate())
	return s
}

func (s *keyServer) publish(path, page string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, asked := range s.asked {
		n += asked
	}
	return n
}

// published is a table that serves with a fetcher that runs, and a channel that tells
// of each fetch that has ended.
func (s *keyServer) table(t *testing.T, files map[string]string) (*authz.Table, <-chan fetch.Event) {
	t.Helper()
	table, events, _ := s.tableWith(t, files, fetch.ClientConfig{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, "")
	return table, events
}

func (s *keyServer) tableWith(t *testing.T, files map[string]string, config fetch.ClientConfig, keep string) (*authz.Table, <-chan fetch.Event, func()) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), strings.ReplaceAll(text, "SERVER", s.URL))
	}
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	config.Roots = s.roots
	events := make(chan fetch.Event, 1000)
	fetcher := fetch.New(fetch.Config{Get: fetch.NewClient(config).Get, Directory: keep, OnEvent: func(e fetch.Event) { events <- e }})
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20, Strict: true,
		Fetcher: fetcher, Roots: s.roots,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); fetcher.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	fetcher.Serve(table.Fetched)
	return table, events, stop
}

// delivery is signed with a private key that it names by an id.
func delivery(t *testing.T, table *authz.Table, hook, keyID string, private crypto.Signer) *authz.Request {
	t.Helper()
	req := &authz.Request{Method: authz.View("POST"), Host: authz.View("a.example"), Path: authz.View("/" + hook), Body: authz.Body{State: authz.BodyWhole}}
	req.Body.Segments = [][]byte{[]byte(`{"n":"` + rand.Text() + `"}`)}
	req.Set("content-type", "application/json")
	w := table.Webhook(hook)
	if w == nil {
		t.Fatalf("no webhook %s", hook)
	}
	if err := w.Sign(req, authz.Signing{KeyID: keyID, Now: time.Now(), Private: private, NewID: rand.Text}); err != nil {
		t.Fatal(err)
	}
	return req
}

func decide(table *authz.Table, req *authz.Request) authz.Reason {
	var d authz.Decision
	req.Body.Size = int64(req.Body.Len())
	table.Decide(context.Background(), req, time.Now(), &d)
	return d.Reason
}

func ended(t *testing.T, events <-chan fetch.Event) fetch.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no fetch has ended")
		return fetch.Event{}
	}
}

// Keys go from a key server to a verdict: a set at a URL, and keys by id that want a
// credential. Nothing waits for them.
func TestPublishedKeys(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newKeyServer(t)
	s.publish("/jwks.json", `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"`+base64.RawURLEncoding.EncodeToString(public)+`"}]}`)
	s.publish("/keys/two", `{"publicKey":"`+base64.StdEncoding.EncodeToString(public)+`"}`)
	s.publish("/get", `{"key":{"kty":"OKP","crv":"Ed25519","kid":"three","x":"`+base64.RawURLEncoding.EncodeToString(public)+`"}}`)
	const ed25519 = "ed25519: {encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}], key_id: {headers: [X-Key]}}"
	table, events := s.table(t, map[string]string{
		"token": "bearer-token-of-the-test\n",
		"p.yaml": `webhooks:
  - {name: set, match: {path: /set}, scheme: {` + ed25519 + `}, secrets: [{id: provider, url: SERVER/jwks.json}]}
  - name: by-id
    match: {path: /by-id}
    scheme:
      ` + ed25519 + `
      published: {urls: ['SERVER/keys/{id}'], key: publicKey, headers: [{name: Authorization, value: 'Bearer {token}'}]}
    credentials: [{name: token, file: token}]
  - name: by-post
    match: {path: /by-post}
    scheme:
      ` + ed25519 + `
      published: {urls: ['SERVER/get'], key: key, post: [{name: secret, value: '{token}'}, {name: key_id, value: '{id}'}]}
    credentials: [{name: token, file: token}]
`,
	})
	if e := ended(t, events); e.Err != nil || e.URL != s.URL+"/jwks.json" {
		t.Fatalf("%+v", e)
	}
	if got := decide(table, delivery(t, table, "set", "one", private)); got != authz.OK {
		t.Errorf("a set: %v", got)
	}
	if got := decide(table, delivery(t, table, "set", "one", stranger)); got != authz.SignatureInvalid {
		t.Errorf("another key: %v", got)
	}
	if got := decide(table, delivery(t, table, "set", "other", private)); got != authz.SignatureInvalid {
		t.Errorf("another id, with a new set: %v", got)
	}
	for _, hook := range []struct{ name, id string }{{"by-id", "two"}, {"by-post", "three"}} {
		if got := decide(table, delivery(t, table, hook.name, hook.id, private)); got != authz.KeysUnavailable {
			t.Errorf("%s: at first %v", hook.name, got)
		}
		if e := ended(t, events); e.Err != nil || !e.Asked {
			t.Fatalf("%+v", e)
		}
		if got := decide(table, delivery(t, table, hook.name, hook.id, private)); got != authz.OK {
			t.Errorf("%s: then %v", hook.name, got)
		}
		if got := decide(table, delivery(t, table, hook.name, hook.id, stranger)); got != authz.SignatureInvalid {
			t.Errorf("%s: another key: %v", hook.name, got)
		}
		if got := decide(table, delivery(t, table, hook.name, "../"+hook.id, private)); got != authz.SignatureInvalid {
			t.Errorf("%s: what is no id: %v", hook.name, got)
		}
		s.mu.Lock()
		sent := s.auth + s.body
		s.mu.Unlock()
		if want := map[string]string{"by-id": "Bearer bearer-token-of-the-test", "by-post": `{"key_id":"three","secret":"bearer-token-of-the-test"}`}[hook.name]; sent != want {
			t.Errorf("%s: the server was told %q", hook.name, sent)
		}
	}
	if s.count() != 3 {
		t.Errorf("%d fetches", s.count())
	}

	// A flood of ids that do not exist: one fetch for each webhook, and then only
	// answers.
	for i := range 3000 {
		for _, hook := range []string{"by-id", "by-post"} {
			if got := decide(table, delivery(t, table, hook, fmt.Sprint("stranger-", i), private)); got != authz.KeysUnavailable {
				t.Fatalf("%s: %v", hook, got)
			}
		}
	}
	if got := decide(table, delivery(t, table, "by-id", "two", private)); got != authz.OK {
		t.Errorf("in the flood: %v", got)
	}
	if n := s.count(); n > 5 {
		t.Errorf("%d fetches after the flood", n)
	}
}

// A certificate that the request names: the URL must be of the one form, the chain must
// hold, and the names must be those.
func TestPublishedCertificates(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := newKeyServer(t)
	authority, authorityKey := certificate(t, nil, nil, "authority", nil)
	s.roots.AddCert(authority)
	good, _ := certificate(t, authority, authorityKey, "sign", private)
	other, _ := certificate(t, authority, authorityKey, "other", private)
	self, _ := certificate(t, nil, private, "sign", private)
	for name, c := range map[string]*x509.Certificate{"good": good, "other": other, "self": self} {
		s.publish("/certs/"+name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	var table *authz.Table
	for name, want := range map[string]authz.Reason{"good": authz.OK, "other": authz.SignatureInvalid, "self": authz.SignatureInvalid, "nothing": authz.SignatureInvalid} {
		// Each on a fetcher of its own, since the next unknown one must wait.
		var events <-chan fetch.Event
		table, events = s.table(t, map[string]string{"p.yaml": certificatePolicy})
		url := s.URL + "/certs/" + name + ".pem"
		if got := decide(table, delivery(t, table, "hook", url, private)); got != authz.KeysUnavailable {
			t.Errorf("%s: at first %v", name, got)
		}
		if e := ended(t, events); e.URL != url || (e.Err == nil) != (want == authz.OK) {
			t.Fatalf("%s: %+v", name, e)
		}
		if got := decide(table, delivery(t, table, "hook", url, private)); got != want {
			t.Errorf("%s: then %v, want %v", name, got, want)
		}
	}
	before := s.count()
	good2 := s.URL + "/certs/good.pem"
	for _, url := range []string{
		good2 + "?x", strings.Replace(good2, "https", "http", 1), strings.Replace(good2, "127.0.0.1", "127.0.0.1.evil.example", 1), strings.Replace(good2, "127.0.0.1", "u@127.0.0.1", 1),
		strings.Replace(good2, "/certs/", "/certs/../certs/", 1), strings.Replace(good2, "/certs/", "/other/", 1), "https://169.254.169.254/certs/good.pem",
	} {
		if got := decide(table, delivery(t, table, "hook", url, private)); got != authz.SignatureInvalid {
			t.Errorf("%s: %v", url, got)
		}
	}
	if s.count() != before {
		t.Error("a URL of another form was fetched")
	}
}

const certificatePolicy = `webhooks:
  - name: hook
    match: {path: /hook}
    scheme:
      rsa: {hash: SHA256, encoding: BASE64, signature: {headers: [X-Sig]}, content: [{body: {}}], key_id: {headers: [X-Cert]}}
      published: {urls: ['SERVER/certs/{id}.pem'], name: URL, form: CERTIFICATES, certificate: {names: [sign.example]}}
`

// dnsName is a name of its own, or one below example.
func dnsName(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return name + ".example"
}

// certificate makes one for a key, or for a new one; without an issuer it signs itself.
func certificate(t *testing.T, issuer *x509.Certificate, issuerKey crypto.Signer, name string, key crypto.Signer) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	if key == nil {
		_, made, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = made
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{dnsName(name)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		IsCA: name == "authority", KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}
