package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// signers has a private key for each family and curve.
func signers(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	all := map[string]crypto.Signer{}
	keep := func(name string, key crypto.Signer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all[name] = key
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	keep("RSA", rsaKey, err)
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		keep(name, key, err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	keep("Ed25519", edKey, err)
	return all
}

var familyOf = map[jose.Algorithm]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519",
}

func content(text string) jose.Content {
	return func(w io.Writer) { _, _ = io.WriteString(w, text) }
}

// Every algorithm verifies what golang-jwt signs with a key of its family, and nothing
// by any other key or algorithm.
func TestAlgorithms(t *testing.T) {
	keys := signers(t)
	shared := []byte("a secret of thirty-two bytes, yes")
	for algorithm, family := range familyOf {
		signature, err := jwt.GetSigningMethod(string(algorithm)).Sign("head.claims", keys[family])
		if err != nil {
			t.Fatal(err)
		}
		own := algorithm.Sign(keys[family], content("head.claims"))
		for name, private := range keys {
			key := &publickey.Key{Public: private.Public()}
			for other := range familyOf {
				want := name == family && other == algorithm
				for _, s := range [][]byte{signature, own} {
					if got := other.Verify(key, content("head.claims"), s); got != want {
						t.Errorf("%s, verified as %s with %s: %v", algorithm, other, name, got)
					}
				}
				if other.VerifyShared(shared, content("head.claims"), signature) {
					t.Errorf("%s with a secret", other)
				}
			}
			if fits := algorithm.Fits(key); fits != (name == family) {
				t.Errorf("%s fits %s: %v", name, algorithm, fits)
			}
		}
		key := &publickey.Key{Public: keys[family].Public()}
		for name, s := range map[string][]byte{
			"nothing": nil, "zeros": make([]byte, len(signature)), "one byte less": signature[:len(signature)-1],
			"one byte more": append(slices.Clone(signature), 0), "a zero before": append([]byte{0}, signature...),
		} {
			if algorithm.Verify(key, content("head.claims"), s) {
				t.Errorf("%s verifies %s", algorithm, name)
			}
		}
		if algorithm.Verify(key, content("head.claim"), signature) || algorithm.Verify(&publickey.Key{}, content("head.claims"), signature) {
			t.Errorf("%s verifies another text, or without a key", algorithm)
		}
		key.Algorithm = "RS1"
		if algorithm.Fits(key) {
			t.Errorf("%s fits a key for another algorithm", algorithm)
		}
	}
}

// A key is of one family: the text of a public key is no secret.
func TestSharedSecrets(t *testing.T) {
	private := signers(t)["RSA"]
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for _, algorithm := range []jose.Algorithm{"HS256", "HS384", "HS512"} {
		mac := algorithm.SignShared(text, content("x"))
		if !algorithm.VerifyShared(text, content("x"), mac) || algorithm.VerifyShared(text, content("y"), mac) || algorithm.VerifyShared(nil, content("x"), mac) {
			t.Errorf("%s as an HMAC", algorithm)
		}
		if algorithm.Verify(&publickey.Key{Public: private.Public()}, content("x"), mac) || algorithm.Fits(&publickey.Key{Public: private.Public()}) {
			t.Errorf("%s with a public key", algorithm)
		}
		if algorithm.SignShared(nil, content("x")) != nil || algorithm.Sign(private, content("x")) != nil {
			t.Errorf("%s signs without a secret", algorithm)
		}
	}
	for _, algorithm := range []jose.Algorithm{"", "none", "hs256", "RS256", "RSA-OAEP"} {
		if algorithm.Shared() || algorithm.VerifyShared(text, content("x"), nil) || algorithm.SignShared(text, content("x")) != nil {
			t.Errorf("%q is an HMAC", algorithm)
		}
	}
}

// A PSS signature has a salt as long as its hash (RFC 7518 §3.5).
func TestSalt(t *testing.T) {
	private, _ := signers(t)["RSA"].(*rsa.PrivateKey)
	digest := sha256.Sum256([]byte("x"))
	for length, want := range map[int]bool{32: true, 0: false, 20: false, 64: false} {
		signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: max(length, 1), Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		if got := jose.Algorithm("PS256").Verify(&publickey.Key{Public: private.Public()}, content("x"), signature); got != want {
			t.Errorf("a salt of %d bytes: %v", length, got)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := signers(b)
	for _, algorithm := range []jose.Algorithm{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		private := keys[familyOf[algorithm]]
		key := &publickey.Key{Public: private.Public()}
		text := content(strings.Repeat("x", 1<<10))
		signature := algorithm.Sign(private, text)
		b.Run(string(algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !algorithm.Verify(key, text, signature) {
					b.Fatal("not verified")
				}
			}
		})
	}
}
