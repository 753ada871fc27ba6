package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// A check allocates no more than the standard library's verification does.
func TestPublicKeysAllocate(t *testing.T) {
	for name, a := range algorithms {
		key := generate(t, a)
		h := public(t, a, func(c *signature.Config) { c.Encoding = signature.Hex }, key)
		call := &authz.Call{Request: privately(t, h, key), Now: now, Identity: "hook"}
		made, err := hex.DecodeString(value(call.Request, "x-sig"))
		if err != nil {
			t.Fatal(err)
		}
		content := []byte(value(call.Request, "x-time") + "." + body)
		most := testing.AllocsPerRun(100, func() { bare(key.Public(), a, content, made) })
		if n := testing.AllocsPerRun(100, func() {
			if h.Verify(call, fingerprinter) != authz.OK {
				t.Fatal("not verified")
			}
		}); n > most && !raceDetector {
			t.Errorf("%s: %v allocations, and %v of the standard library", name, n, most)
		}
	}
}

// BenchmarkPublicKeys compares the whole check of a delivery of 1 KiB with the standard
// library's verification of the same bytes.
func BenchmarkPublicKeys(b *testing.B) {
	content := bytes.Repeat([]byte("x"), 1<<10)
	for _, name := range []string{"ed25519", "ecdsa-p256", "ecdsa-raw", "rsa-2048", "rsa-pss"} {
		a := algorithms[name]
		key := generate(b, a)
		h := public(b, a, func(c *signature.Config) { c.Encoding = signature.Hex }, key)
		req := request()
		req.Body.Segments = [][]byte{content}
		with := signing("")
		with.Private = key
		if !h.Sign(req, with) {
			b.Fatal("not signed")
		}
		b.Run(name+"/check", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call := authz.Call{Request: req, Now: now, Identity: "hook"}
				if reason := h.Verify(&call, fingerprinter); reason != authz.OK {
					b.Fatal(reason)
				}
			}
		})
		signed := append([]byte(value(req, "x-time")+"."), content...)
		made, err := hex.DecodeString(value(req, "x-sig"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !bare(key.Public(), a, signed, made) {
					b.Fatal("invalid")
				}
			}
		})
	}
}

// bare is what the standard library does with the same bytes.
func bare(public crypto.PublicKey, a publickey.Algorithm, content, made []byte) bool {
	sum := sha256.Sum256(content)
	switch public := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, content, made)
	case *ecdsa.PublicKey:
		if a.Raw {
			return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(made[:32]), new(big.Int).SetBytes(made[32:]))
		}
		return ecdsa.VerifyASN1(public, sum[:], made)
	case *rsa.PublicKey:
		if a.PSS {
			return rsa.VerifyPSS(public, crypto.SHA256, sum[:], made, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], made) == nil
	default:
		return false
	}
}
