package httpsig_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
)

type vector struct {
	ID           string                   `json:"id"`
	Method       string                   `json:"method"`
	URL          string                   `json:"url"`
	Headers      [][2]string              `json:"headers"`
	Body         string                   `json:"body"`
	Policy       map[string]any           `json:"policy"`
	Expect       string                   `json:"expect"`
	RejectReason string                   `json:"reject_reason"`
	Keys         []struct{ Value string } `json:"keys"`
}

func readVectors(t *testing.T, name string) []vector {
	t.Helper()
	data, err := os.ReadFile("../../policy/provider/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (v *vector) message(t *testing.T) *httpsig.Message {
	t.Helper()
	target, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &httpsig.Message{
		Method: v.Method, Scheme: target.Scheme, Host: target.Host, Path: target.RequestURI(), Headers: headers(v.Headers...),
	}
}

func headers(pairs ...[2]string) authz.Headers {
	var all authz.Headers
	for _, h := range pairs {
		all = append(all, authz.Header{Name: authz.View(strings.ToLower(h[0])), Value: authz.View(h[1])})
	}
	return all
}

// The signatures of RFC 9421's own requests hold over the bases that are made, and
// those of altered ones do not.
func TestBases(t *testing.T) {
	for _, v := range readVectors(t, "rfc9421.json") {
		t.Run(v.ID, func(t *testing.T) {
			m := v.message(t)
			all, problem := httpsig.Read(m.Headers, 4, httpsig.Dialect{})
			if got, want := problem.Exists(), v.RejectReason == "malformed_signature_input"; got != want {
				t.Fatalf("read: %q, malformed %v", problem.Found, want)
			}
			for _, s := range all {
				if s.Label != v.Policy["label"] {
					continue
				}
				base, problem := s.Base(m)
				if v.RejectReason == "ambiguous_component" {
					if problem.Reason != authz.SignatureInvalid {
						t.Errorf("%v %s", problem.Reason, problem.Found)
					}
					return
				}
				if problem.Exists() {
					t.Fatalf("no base: %s", problem.Found)
				}
				if held := v.holds(t, base, s.Value); held == (v.RejectReason == "bad_signature") {
					t.Errorf("the signature holds: %v, over\n%s", held, base)
				}
			}
		})
	}
}

// holds verifies with the standard library alone.
func (v *vector) holds(t *testing.T, base, signature []byte) bool {
	t.Helper()
	key := v.Keys[0]
	if v.Policy["alg"] == "hmac-sha256" {
		secret, err := base64.StdEncoding.DecodeString(key.Value)
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write(base)
		return subtle.ConstantTimeCompare(mac.Sum(nil), signature) == 1
	}
	block, _ := pem.Decode([]byte(key.Value))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if block.Type == "RSA PUBLIC KEY" {
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	long, short := sha512.Sum512(base), sha256.Sum256(base)
	switch public := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, base, signature)
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, short[:], r, s)
	case *rsa.PublicKey:
		if v.Policy["alg"] == "rsa-pss-sha512" {
			return rsa.VerifyPSS(public, crypto.SHA512, long[:], signature, &rsa.PSSOptions{SaltLength: 64}) == nil
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, short[:], signature) == nil
	}
	t.Fatalf("a key of type %T", public)
	return false
}

func TestContentDigests(t *testing.T) {
	for _, v := range readVectors(t, "rfc9530.json") {
		t.Run(v.ID, func(t *testing.T) {
			body := authz.Body{Segments: [][]byte{[]byte(v.Body)}, State: authz.BodyWhole, Size: int64(len(v.Body))}
			problem := httpsig.ContentDigest(headers(v.Headers...), &body, httpsig.Dialect{})
			if accepted := !problem.Exists(); accepted != (v.Expect == "accept") {
				t.Errorf("%v %s, want %s", problem.Reason, problem.Found, v.Expect)
			}
		})
	}
}

func TestCavageBases(t *testing.T) {
	for _, v := range readVectors(t, "cavage.json") {
		t.Run(v.ID, func(t *testing.T) {
			m := v.message(t)
			header, defaults := "signature", v.Policy["default_headers"].(string)
			if strings.Contains(v.ID, "authorization") {
				header = "authorization"
			}
			c, problem := httpsig.ReadCavage(m.Headers, header, defaults)
			if problem.Exists() || c == nil {
				t.Fatalf("read: %v %s", c, problem.Found)
			}
			base, problem := c.Base(m)
			if v.RejectReason == "missing_component" {
				if problem.Reason != authz.SignatureMissing {
					t.Errorf("%v %s", problem.Reason, problem.Found)
				}
				return
			}
			if problem.Exists() {
				t.Fatalf("no base: %s", problem.Found)
			}
			if !v.holds(t, base, c.Value) {
				t.Errorf("the signature does not hold over\n%s", base)
			}
		})
	}
}
