package publickey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/hookbastion/hookbastion/authz/publickey"
)

// Each algorithm verifies what it signs, and none what another one signed, with another
// key, or cut.
func TestAlgorithms(t *testing.T) {
	m, other := keys(t), keys(t)
	sum := sha256.Sum256([]byte("content"))
	rows := []struct {
		algorithm      publickey.Algorithm
		private, wrong crypto.Signer
	}{
		{publickey.Algorithm{Kind: publickey.RSA, Hash: crypto.SHA256}, m.rsa, other.rsa},
		{publickey.Algorithm{Kind: publickey.RSA, Hash: crypto.SHA256, PSS: true}, m.rsa, other.rsa},
		{publickey.Algorithm{Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256}, m.p256, other.p256},
		{publickey.Algorithm{Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256, Raw: true}, m.p256, other.p256},
		{publickey.Algorithm{Kind: publickey.ECDSA, Curve: publickey.P384, Hash: crypto.SHA256, Raw: true}, m.p384, other.p384},
		{publickey.Algorithm{Kind: publickey.Ed25519}, m.ed25519, other.ed25519},
	}
	for i, row := range rows {
		signature, err := row.algorithm.Sign(row.private, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		if least, most := row.algorithm.Sizes(); len(signature) < least || len(signature) > most {
			t.Errorf("%s: %d bytes", row.algorithm, len(signature))
		}
		for j, verifier := range rows {
			key := &publickey.Key{Public: verifier.private.Public()}
			if got := verifier.algorithm.Verify(key, sum[:], signature); got != (i == j) {
				t.Errorf("%s verifies a signature of %s: %v", verifier.algorithm, row.algorithm, got)
			}
		}
		key := &publickey.Key{Public: row.private.Public()}
		for name, changed := range map[string][]byte{
			"cut": signature[:len(signature)-1], "longer": append(append([]byte(nil), signature...), 0), "empty": {}, "zeros": make([]byte, len(signature)),
		} {
			if row.algorithm.Verify(key, sum[:], changed) {
				t.Errorf("%s verifies one that is %s", row.algorithm, name)
			}
		}
		changed := sum
		changed[0] ^= 1
		if row.algorithm.Verify(key, changed[:], signature) || row.algorithm.Verify(&publickey.Key{Public: row.wrong.Public()}, sum[:], signature) || row.algorithm.Verify(&publickey.Key{}, sum[:], signature) {
			t.Errorf("%s verifies other content, by another key or by none", row.algorithm)
		}
		if _, err := row.algorithm.Sign(rows[(i+2)%len(rows)].private, sum[:]); err == nil {
			t.Errorf("%s signs with a key of another kind", row.algorithm)
		}
	}
}

// (r, n-s) is a signature as good as (r, s), which is why nothing may be keyed on one.
func TestECDSAIsMalleable(t *testing.T) {
	m := keys(t)
	sum := sha256.Sum256([]byte("content"))
	algorithm := publickey.Algorithm{Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256}
	signature, err := ecdsa.SignASN1(rand.Reader, m.p256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &numbers); err != nil {
		t.Fatal(err)
	}
	numbers.S.Sub(m.p256.Params().N, numbers.S)
	twin, err := asn1.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	if !algorithm.Verify(&publickey.Key{Public: m.p256.Public()}, sum[:], twin) {
		t.Error("the twin does not verify, so that this test says nothing")
	}
}

// A private key is read in each form that tools write, and a public one is none.
func TestReadPrivate(t *testing.T) {
	m := keys(t)
	for name, text := range map[string]string{
		"RSA": block("PRIVATE KEY", pkcs8(t, m.rsa)), "EC": block("PRIVATE KEY", pkcs8(t, m.p256)), "Ed25519": block("PRIVATE KEY", pkcs8(t, m.ed25519)),
	} {
		if key, err := publickey.ReadPrivate([]byte(text)); err != nil || key == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "a public key": block("PUBLIC KEY", spki(t, m.rsa.Public())), "encrypted": block("ENCRYPTED PRIVATE KEY", []byte("x")), "whsk_": "whsk_AAAA",
	} {
		if _, err := publickey.ReadPrivate([]byte(text)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// Whatever is read, is a key of its kind, reads again as JWK, and verifies nothing by
// itself.
func FuzzRead(f *testing.F) {
	m := keys(f)
	for _, text := range []string{
		block("PUBLIC KEY", spki(f, m.rsa.Public())), block("CERTIFICATE", certificate(f, m.p256)), jwk(f, m.p384.Public()),
		`{"keys":[` + jwk(f, m.ed25519.Public(), "kid", "a") + `]}`, string(spki(f, m.ed25519.Public())), "whpk_AAAA",
	} {
		f.Add([]byte(text), uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, format, kind uint8) {
		reader := publickey.Reader{Format: publickey.Format(format % 7), Kind: publickey.Kind(kind % 4)}
		read, err := reader.Read(text)
		if (err == nil) != (len(read) > 0) || len(read) > publickey.MaxKeys {
			t.Fatalf("%d keys, %v", len(read), err)
		}
		for i := range read {
			key := &read[i]
			if key.Kind() == 0 || reader.Kind != 0 && key.Kind() != reader.Kind || len(key.Thumbprint()) != 43 {
				t.Fatalf("a key of kind %s, thumbprint %q", key.Kind(), key.Thumbprint())
			}
			again, err := (&publickey.Reader{Format: publickey.JWK}).Read([]byte(jwk(t, key.Public)))
			if err != nil || again[0].Thumbprint() != key.Thumbprint() {
				t.Fatalf("%s is another key as JWK: %v", key.Describe(), err)
			}
			for _, hash := range []crypto.Hash{0, crypto.SHA256} {
				if (publickey.Algorithm{Kind: key.Kind(), Hash: hash, Curve: key.Curve()}).Verify(key, make([]byte, 32), make([]byte, 64)) {
					t.Fatal("zeros are a signature")
				}
			}
		}
	})
}
