package oracle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
)

// Key is one secret of a sender, and what the receiver has in a file of it.
type Key struct {
	Secret string // shared
	Signer crypto.Signer
	File   string // what the policy's file holds
	Kid    string // for sets of keys
}

// kind is how keys of an endpoint are made.
type kind uint8

const (
	text      kind = iota // a random text
	hexDigits             // 32 digits
	whsec                 // whsec_ and base64
	password              // user:password
	rsaPEM
	rsaSet // RSA in a JWKS
	p256DER
	p521Set
	p256PEM
	edHex
	edBase64
	edSet
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// newKey makes a key. It panics where the machine cannot.
func newKey(k kind) Key {
	switch k {
	case hexDigits:
		s := hex.EncodeToString(random(16))
		return Key{Secret: s, File: s}
	case whsec:
		s := "whsec_" + base64.StdEncoding.EncodeToString(random(32))
		return Key{Secret: s, File: s}
	case password:
		s := "sender:" + base64.RawURLEncoding.EncodeToString(random(24))
		return Key{Secret: s, File: s}
	case rsaPEM, rsaSet:
		signer, err := rsa.GenerateKey(rand.Reader, 2048)
		return public(k, signer, err)
	case p256DER, p256PEM:
		signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return public(k, signer, err)
	case p521Set:
		signer, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		return public(k, signer, err)
	case edHex, edBase64, edSet:
		_, signer, err := ed25519.GenerateKey(rand.Reader)
		return public(k, signer, err)
	default:
		s := base64.RawURLEncoding.EncodeToString(random(32))
		return Key{Secret: s, File: s}
	}
}

// public writes the public key as its provider shows it.
func public(k kind, signer crypto.Signer, err error) Key {
	must(err)
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	must(err)
	key := Key{Signer: signer, Kid: "k" + hex.EncodeToString(random(6))}
	switch k {
	case p256DER:
		key.File = base64.StdEncoding.EncodeToString(der)
	case edHex, edBase64:
		raw := der[len(der)-ed25519.PublicKeySize:]
		if key.File = hex.EncodeToString(raw); k == edBase64 {
			key.File = base64.StdEncoding.EncodeToString(raw)
		}
	case rsaSet, p521Set, edSet:
		key.File = encode(map[string]any{"keys": []any{key.jwk()}})
	default:
		key.File = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return key
}

// jwk is the public key as RFC 7517 and RFC 8037 write it.
func (k Key) jwk() map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch p := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": k.Kid, "n": b64(p.N.Bytes()), "e": "AQAB"}
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		must(err)
		size := (len(raw) - 1) / 2
		return map[string]any{"kty": "EC", "kid": k.Kid, "crv": p.Params().Name, "x": b64(raw[1 : 1+size]), "y": b64(raw[1+size:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": k.Kid, "crv": "Ed25519", "x": b64(p), "adcp_use": "request-signing"}
	default:
		return nil
	}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	must(err)
	return string(b)
}

// must is for what fails only where the machine has no randomness or the program is wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
