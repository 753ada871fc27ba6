// Package publickey reads public keys and verifies signatures with them.
//
// Keys come as PEM or DER (SubjectPublicKeyInfo, PKCS #1 or a certificate, of
// which only the key counts), as JWK or a set of them (RFC 7517), or as the bytes of an
// Ed25519 key in base64 or hexadecimal. [Reader.Read] refuses what should not be
// trusted: RSA below 2048 bits or with an exponent that is even or below 3, points
// that are not on the curve, Ed25519 keys of small order, with which one signature
// fits every message, and keys of another kind than the scheme's. A private key is an
// error that says so, and is not kept.
//
// An [Algorithm] is fixed by the policy and never by a message. Verification is that
// of the standard library; signatures have one form each, DER without anything
// behind it or the two numbers in their full length.
//
// The package does not protect against a key of the wrong owner: a certificate's names,
// dates and issuer are not looked at here.
package publickey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// Kind is a family of keys.
type Kind uint8

// The kinds.
const (
	RSA Kind = iota + 1
	ECDSA
	Ed25519
)

// String returns the name as people write it.
func (k Kind) String() string {
	switch k {
	case RSA:
		return "RSA"
	case ECDSA:
		return "ECDSA"
	case Ed25519:
		return "Ed25519"
	default:
		return "no kind"
	}
}

// Curve is the curve of an ECDSA key.
type Curve uint8

// The curves.
const (
	P256 Curve = iota + 1
	P384
	P521
)

// String returns the name as in a JWK.
func (c Curve) String() string {
	switch c {
	case P256:
		return "P-256"
	case P384:
		return "P-384"
	case P521:
		return "P-521"
	default:
		return "no curve"
	}
}

// size is the length of a coordinate in bytes.
func (c Curve) size() int {
	switch c {
	case P384:
		return 48
	case P521:
		return 66
	default:
		return 32
	}
}

// Key is a public key. It is immutable and safe for concurrent use. The zero value
// verifies nothing.
type Key struct {
	// ID is the kid of a JWK; empty where the text had none.
	ID string
	// Public is an *rsa.PublicKey, an *ecdsa.PublicKey or an ed25519.PublicKey.
	Public crypto.PublicKey
	// Algorithm is the alg of a JWK, such as ES256; empty where the text had none.
	Algorithm string
}

// Kind returns the key's kind, 0 for the zero value.
func (k *Key) Kind() Kind {
	switch k.Public.(type) {
	case *rsa.PublicKey:
		return RSA
	case *ecdsa.PublicKey:
		return ECDSA
	case ed25519.PublicKey:
		return Ed25519
	default:
		return 0
	}
}

// Curve returns the curve of an ECDSA key, 0 for any other.
func (k *Key) Curve() Curve {
	if public, ok := k.Public.(*ecdsa.PublicKey); ok {
		return curveOf(public)
	}
	return 0
}

func curveOf(public *ecdsa.PublicKey) Curve {
	for c, curve := range curves {
		if public.Curve == curve {
			return c
		}
	}
	return 0
}

// Describe returns "RSA, 2048 bits", "ECDSA P-256" or "Ed25519".
func (k *Key) Describe() string {
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		return "RSA, " + big.NewInt(int64(public.N.BitLen())).String() + " bits"
	case *ecdsa.PublicKey:
		return "ECDSA " + curveOf(public).String()
	default:
		return k.Kind().String()
	}
}

// Thumbprint identifies the key: the SHA-256 of RFC 7638 in base64url. It is empty for
// the zero value.
func (k *Key) Thumbprint() string {
	var members any // encoding/json writes the fields in this order, which is that of their names
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		members = struct {
			E   string `json:"e"`
			Kty string `json:"kty"`
			N   string `json:"n"`
		}{encode(big.NewInt(int64(public.E)).Bytes()), "RSA", encode(public.N.Bytes())}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return "" // Read lets no such key pass
		}
		size := curveOf(public).size()
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		}{curveOf(public).String(), "EC", encode(point[1 : 1+size]), encode(point[1+size:])}
	case ed25519.PublicKey:
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
		}{"Ed25519", "OKP", encode(public)}
	default:
		return ""
	}
	text, err := json.Marshal(members)
	if err != nil {
		return "" // texts can always be written
	}
	sum := sha256.Sum256(text)
	return encode(sum[:])
}
