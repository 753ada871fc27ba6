package assertion_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/envoy/assertion"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func private(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func public(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func ed25519Key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signer writes each text into a file of its own.
func signer(t *testing.T, texts ...string) (*assertion.Signer, []string, error) {
	t.Helper()
	var files []string
	dir := t.TempDir()
	for i, text := range texts {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	s, err := assertion.New(assertion.Config{Files: files, TTL: time.Minute, Issuer: "us"})
	return s, files, err
}

// published are the keys that the signer serves, by their ids.
func published(t *testing.T, s *assertion.Signer) map[string]map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || w.Code != 200 {
		t.Fatalf("status %d, error %v", w.Code, err)
	}
	keys := map[string]map[string]string{}
	for _, k := range set.Keys {
		if k["d"] != "" {
			t.Error("a private key is published")
		}
		keys[k["kid"]] = k
	}
	return keys
}

func TestSign(t *testing.T) {
	ed, ec := ed25519Key(t), ecKey(t, elliptic.P256())
	for algorithm, c := range map[string]struct{ private, public any }{
		"EdDSA": {ed, ed.Public()}, "ES256": {ec, ec.Public()},
	} {
		s, _, err := signer(t, private(t, c.private))
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.Sign(now, &assertion.Facts{
			Audience: "them", DecisionID: "d1", Webhook: "payments", Tenant: "acme", KeyID: "k", Proof: "signature",
			Body: [][]byte{[]byte("one "), []byte("body")},
		})
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		token, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return c.public, nil },
			jwt.WithValidMethods([]string{algorithm}), jwt.WithTimeFunc(func() time.Time { return now }))
		if err != nil {
			t.Fatal(err)
		}
		if token.Header["kid"] != s.SigningKey() || published(t, s)[s.SigningKey()]["alg"] != algorithm || token.Header["typ"] != assertion.Type {
			t.Errorf("header %v", token.Header)
		}
		digest := sha256.Sum256([]byte("one body"))
		got, _ := json.Marshal(claims)
		want, _ := json.Marshal(map[string]any{
			"iss": "us", "aud": []string{"them"}, "jti": "d1", "iat": now.Unix(), "exp": now.Unix() + 60, "webhook": "payments",
			"tenant": "acme", "key_id": "k", "verified": "signature", "body_sha256": hex.EncodeToString(digest[:]),
		})
		if string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		seed := strings.Trim(fmt.Sprint(ed.Seed()), "[]")
		if strings.Contains(fmt.Sprintf("%v %+v", s, s), seed) || len(text) > 1500 {
			t.Error("the key is printed, or the assertion is long")
		}
	}
}

// TestThumbprint is the example of RFC 8037, appendix A.3.
func TestThumbprint(t *testing.T) {
	x, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := signer(t, private(t, ed25519Key(t)), public(t, ed25519.PublicKey(x)))
	if err != nil {
		t.Fatal(err)
	}
	if published(t, s)["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"] == nil {
		t.Errorf("the id is not the RFC's: %v", published(t, s))
	}
}

func TestKeys(t *testing.T) {
	first, second, third := ed25519Key(t), ecKey(t, elliptic.P256()), ed25519Key(t)
	sec1, err := x509.MarshalECPrivateKey(second)
	if err != nil {
		t.Fatal(err)
	}
	openssl := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" +
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	s, files, err := signer(t, public(t, third.Public())+private(t, first), openssl+private(t, first))
	if err != nil {
		t.Fatal(err)
	}
	keys := published(t, s)
	if len(keys) != 3 || keys[s.SigningKey()]["kty"] != "OKP" {
		t.Errorf("%d keys, signing %v", len(keys), keys[s.SigningKey()])
	}
	before := s.SigningKey()
	if changed, err := s.Load(); changed || err != nil {
		t.Errorf("nothing new: %v, %v", changed, err)
	}
	if err := os.WriteFile(files[0], []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Load(); changed || !errors.Is(err, assertion.ErrPEM) || s.SigningKey() != before {
		t.Errorf("a bad file: %v, %v", changed, err)
	}
	if err := os.WriteFile(files[0], []byte(public(t, first.Public())), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Load(); !changed || err != nil || published(t, s)[s.SigningKey()]["kty"] != "EC" {
		t.Errorf("the next key: %v, %v, %s", changed, err, s.SigningKey())
	}
}

func TestBadKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := private(t, ed25519Key(t))
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"no PEM":          {"a key", assertion.ErrPEM},
		"public only":     {public(t, ed25519Key(t).Public()), assertion.ErrNoKey},
		"RSA":             {private(t, rsaKey), assertion.ErrKeyType},
		"P-384":           {private(t, ecKey(t, elliptic.P384())), assertion.ErrKeyType},
		"text after":      {good + "more", assertion.ErrPEM},
		"a certificate":   {good + "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", assertion.ErrPEM},
		"a damaged block": {good + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", assertion.ErrPEM},
	} {
		if _, _, err := signer(t, c.text); !errors.Is(err, c.want) || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	if _, err := (*assertion.Signer)(nil).Sign(now, &assertion.Facts{}); !errors.Is(err, assertion.ErrNoSigner) {
		t.Errorf("no signer: error %v", err)
	}
}
