package policy_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// publisher is what stands at the providers' URLs, in the tests' memory.
type publisher struct {
	mu    sync.Mutex
	pages map[string][]byte
	asked []string
	auth  []string
}

func (p *publisher) get(_ context.Context, r *fetch.Request) (*fetch.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.URL)
	p.auth = append(p.auth, r.Header.Get("Authorization"))
	page, ok := p.pages[r.URL]
	if !ok {
		return nil, &fetch.Error{Failure: fetch.NotFound}
	}
	return &fetch.Response{Body: page}, nil
}

// hook compiles one webhook of the catalogue and fetches for it.
func (p *publisher) hook(t *testing.T, roots *x509.CertPool, text string) (*authz.Table, <-chan fetch.Event) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), "token-of-an-application")
	write(t, filepath.Join(dir, "p.yaml"), "webhooks:\n  - {name: hook, match: {path: /hook}, "+text+"}\n")
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan fetch.Event, 100)
	fetcher := fetch.New(fetch.Config{Get: p.get, OnEvent: func(e fetch.Event) { events <- e }})
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20, Strict: true,
		Fetcher: fetcher, Roots: roots,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); fetcher.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	fetcher.Serve(table.Fetched)
	return table, events
}

// Each provider's keys are asked for where it publishes them, and nowhere else, and
// what it answers verifies its deliveries.
func TestWhereProvidersPublish(t *testing.T) {
	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority, authorityKey := certificate(t, nil, nil, "authority", nil)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	signedBy := func(name string) []byte {
		leaf, _ := certificate(t, authority, authorityKey, name, modulus)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	}
	spki := func(key crypto.Signer) string {
		block, _ := pem.Decode([]byte(publicPEM(t, key)))
		return base64.StdEncoding.EncodeToString(block.Bytes)
	}
	point, err := curve.PublicKey.Bytes()
	if err != nil || len(point) != 65 {
		t.Fatal(err)
	}
	object := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	type text = map[string]any
	encode := base64.RawURLEncoding.EncodeToString
	const topic = "arn:aws:sns:eu-central-1:123456789012:orders"
	const sns = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem"
	for _, tt := range []struct {
		provider, more string
		key            crypto.Signer
		id, url        string
		page           []byte
		set            bool     // asked for at once
		others         []string // ids that must not be asked for
	}{
		{provider: "aws-sns", more: "parameters: {topic_arns: ['" + topic + "']}", key: modulus, id: sns, url: sns, page: signedBy("sns.amazonaws.com"), others: []string{
			strings.Replace(sns, "eu-central-1", "us-east-1", 1), strings.Replace(sns, "https:", "http:", 1), strings.Replace(sns, ".com/", ".com.evil.example/", 1),
			strings.Replace(sns, "sns.eu-central-1", "sns.s3-us-west-2", 1), sns + "?x", strings.Replace(sns, "//", "//x@", 1), strings.Replace(sns, ".com/", ".com:443/", 1),
		}},
		{provider: "paypal", more: "parameters: {webhook_id: 1JE4291016473214C}", key: modulus, id: "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
			url: "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270", page: signedBy("messageverificationcerts.paypal.com"), others: []string{
				"https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1", "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1", "https://api.paypal.com/v1/notifications/certs/../../oauth2/token",
			}},
		{provider: "alexa", key: modulus, id: "https://s3.amazonaws.com/echo.api/echo-api-cert-13.pem", url: "https://s3.amazonaws.com/echo.api/echo-api-cert-13.pem", page: signedBy("echo-api.amazon.com"), others: []string{
			"https://s3.amazonaws.com/echo.api/../evil/echo-api-cert-13.pem", "https://s3.amazonaws.com:563/echo.api/echo-api-cert.pem", "https://s3.amazonaws.com/EcHo.aPi/echo-api-cert.pem", "https://s3.amazonaws.com/bucket/echo-api-cert.pem",
		}},
		{provider: "adobe-io-events", more: "parameters: {recipient_client_id: ours}", key: modulus, id: "/prod/keys/pub-key-kr8F1hQ.pem", url: "https://static.adobeioevents.com/prod/keys/pub-key-kr8F1hQ.pem",
			page: []byte(publicPEM(t, modulus)), others: []string{".evil.example/prod/keys/pub-key-a.pem", "@evil.example/prod/keys/pub-key-a.pem", "/prod/keys/../pub-key-a.pem", "//evil.example/prod/keys/pub-key-a.pem"}},
		{provider: "circle", more: "credentials: [{name: api_key, file: token}]", key: curve, id: "879dc113-5ca4-4ff7-a6b7-54652083fcf8", url: "https://api.circle.com/v2/notifications/publicKey/879dc113-5ca4-4ff7-a6b7-54652083fcf8",
			page: object(text{"data": text{"algorithm": "ECDSA_SHA_256", "publicKey": spki(curve)}}), others: []string{"../subscriptions", "a/b", "a?b"}},
		{provider: "ebay", more: "credentials: [{name: token, file: token}]", key: curve, id: "9936261a-7d7b-4621-a0f1-96ccb428af49", url: "https://api.ebay.com/commerce/notification/v1/public_key/9936261a-7d7b-4621-a0f1-96ccb428af49",
			page: object(text{"key": strings.ReplaceAll(publicPEM(t, curve), "\n", ""), "algorithm": "ECDSA", "digest": "SHA1"}), others: []string{"../topic", "a.b"}},
		{provider: "github-secret-scanning", key: curve, id: "f9525bf0", url: "https://api.github.com/meta/public_keys/secret_scanning", set: true,
			page: object(text{"public_keys": []text{{"key_identifier": "f9525bf0", "key": publicPEM(t, curve), "is_current": true}}})},
		{provider: "shipengine", key: modulus, id: "one", url: "https://api.shipengine.com/jwks", set: true,
			page: object(text{"keys": []text{{"kty": "EC", "crv": "P-256", "kid": "other", "x": encode(point[1:33]), "y": encode(point[33:])},
				{"kty": "RSA", "kid": "one", "n": encode(modulus.N.Bytes()), "e": "AQAB"}}})},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			p := &publisher{pages: map[string][]byte{tt.url: tt.page}}
			more := ""
			if tt.more != "" {
				more = ", " + tt.more
			}
			table, events := p.hook(t, roots, "provider: "+tt.provider+more)
			if tt.set {
				if e := ended(t, events); e.Err != nil {
					t.Fatal(e.Err)
				}
			}
			for _, other := range tt.others {
				if got := decide(table, delivery(t, table, "hook", other, tt.key)); got != authz.SignatureInvalid {
					t.Errorf("%s: %v", other, got)
				}
			}
			if !tt.set {
				if got := decide(table, delivery(t, table, "hook", tt.id, tt.key)); got != authz.KeysUnavailable {
					t.Errorf("before the key came: %v", got)
				}
				if e := ended(t, events); e.Err != nil {
					t.Fatal(e.Err)
				}
			}
			if got := decide(table, delivery(t, table, "hook", tt.id, tt.key)); got != authz.OK {
				t.Errorf("then: %v", got)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if !slices.Equal(p.asked, []string{tt.url}) {
				t.Errorf("asked for %q", p.asked)
			}
			if want := strings.Contains(tt.more, "credentials"); (p.auth[0] == "Bearer token-of-an-application") != want {
				t.Errorf("authorization %q", p.auth[0])
			}
		})
	}
}

// A certificate that is good for a URL says nothing where its names are others, its
// authority is unknown, or it is another environment's.
func TestCertificatesOfOthers(t *testing.T) {
	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	authority, authorityKey := certificate(t, nil, nil, "authority", nil)
	stranger, strangerKey := certificate(t, nil, nil, "authority", nil)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	const url = "https://api.paypal.com/v1/notifications/certs/CERT-1"
	for name, tt := range map[string]struct {
		issuer    *x509.Certificate
		issuerKey crypto.Signer
		name      string
		want      authz.Reason
	}{
		"good":              {authority, authorityKey, "m.paypal.com", authz.OK},
		"another name":      {authority, authorityKey, "paypal.com.evil.example", authz.SignatureInvalid},
		"the domain itself": {authority, authorityKey, "paypal.com", authz.SignatureInvalid},
		"a wildcard":        {authority, authorityKey, "*.paypal.com", authz.SignatureInvalid},
		"unknown authority": {stranger, strangerKey, "m.paypal.com", authz.SignatureInvalid},
		"signed by itself":  {nil, modulus, "m.paypal.com", authz.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			leaf, _ := certificate(t, tt.issuer, tt.issuerKey, tt.name, modulus)
			p := &publisher{pages: map[string][]byte{url: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})}}
			table, events := p.hook(t, roots, "provider: paypal, parameters: {webhook_id: WH}")
			if got := decide(table, delivery(t, table, "hook", url, modulus)); got != authz.KeysUnavailable {
				t.Errorf("at first: %v", got)
			}
			ended(t, events)
			if got := decide(table, delivery(t, table, "hook", url, modulus)); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// The requests of the vectors that name a certificate elsewhere make no fetch.
func TestVectorsThatMustNotBeFetched(t *testing.T) {
	seen := 0
	for provider, more := range map[string]string{
		"aws-sns": ", parameters: {topic_arns: ['arn:aws:sns:us-east-1:123456789012:MyTopic']}", "paypal": ", parameters: {webhook_id: 1JE4291016473214C}", "alexa": "",
	} {
		text, err := os.ReadFile(filepath.Join("provider", "vectors", provider+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var vectors []struct {
			ID, Body string
			Reject   string `json:"reject_reason"`
			Headers  [][2]string
			Keys     []any
		}
		if err := json.Unmarshal(text, &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors {
			if len(v.Keys) == 0 {
				continue // it has no signature
			}
			p := &publisher{}
			table, events := p.hook(t, nil, "provider: "+provider+more)
			req := &authz.Request{Method: authz.View("POST"), Host: authz.View("a.example"), Path: authz.View("/hook"), Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(v.Body)}}}
			for _, h := range v.Headers {
				req.Set(strings.ToLower(h[0]), h[1])
			}
			got := decide(table, req)
			if v.Reject != "untrusted_key_url" {
				if got != authz.KeysUnavailable {
					t.Errorf("%s: %v", v.ID, got)
				}
				ended(t, events)
				continue
			}
			seen++
			p.mu.Lock()
			if got != authz.SignatureInvalid || len(p.asked) > 0 {
				t.Errorf("%s: %v, asked for %q", v.ID, got, p.asked)
			}
			p.mu.Unlock()
		}
	}
	if seen < 7 {
		t.Errorf("only %d vectors", seen)
	}
}
