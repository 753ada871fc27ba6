package publickey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const (
	goodRSABits = 2048
	// minRSABits is the least with AllowWeak; Go verifies with no shorter key.
	minRSABits = 1024
	maxRSABits = 8192
	// MaxKeys is the size of the largest set.
	MaxKeys = 64
	// MaxBytes is the length of the longest text that is read.
	MaxBytes = 64 << 10
)

// Errors of Read.
var (
	ErrFormat   = errors.New("not a public key in this form")
	ErrPrivate  = errors.New("a private key, which must not be here: give the public key that belongs to it, and treat the private one as known to others")
	ErrKind     = errors.New("a key of another kind")
	ErrShort    = errors.New("the RSA key is shorter than 2048 bits")
	ErrSize     = fmt.Errorf("an RSA key must have %d to %d bits", minRSABits, maxRSABits)
	ErrExponent = errors.New("the RSA key's exponent is even or below 3, or its modulus is even")
	ErrPoint    = errors.New("the key is no good point of its curve")
	ErrSeveral  = errors.New("more than one key; a set of keys is a JWKS")
	ErrTooMany  = fmt.Errorf("more than %d keys", MaxKeys)
	ErrTooLarge = fmt.Errorf("more than %d KiB", MaxBytes>>10)
	ErrNoID     = errors.New("a key of the set has no kid, or two have the same")
	ErrNone     = errors.New("the set has no key that the scheme could use")
)

var curves = map[Curve]elliptic.Curve{P256: elliptic.P256(), P384: elliptic.P384(), P521: elliptic.P521()}

// Format is the form in which a key is written.
type Format uint8

// The forms.
const (
	// Any is each of the others that can be told from the rest.
	Any Format = iota
	PEM
	DER
	JWK
	JWKS
	Hex
	Base64
)

// Reader says which keys are wanted. The zero value takes every kind in any form.
type Reader struct {
	Format Format
	// Kind and Curve are what the scheme verifies with; 0: any.
	Kind  Kind
	Curve Curve
	// Algorithms are those that the alg of a JWK may have; none: any.
	Algorithms []string
	// AllowWeak takes RSA keys from 1024 bits.
	AllowWeak bool
}

// Read reads a key, or the keys of a set: those that the scheme could use, since
// sets hold others as well. The error is one of this package, wrapped with what was
// found, and never holds any of the text.
func (r *Reader) Read(text []byte) ([]Key, error) {
	if len(text) > MaxBytes {
		return nil, ErrTooLarge
	}
	if r.Format == JWKS || r.Format == Any && isSet(text) {
		return r.readSet(text)
	}
	key, err := r.readOne(text)
	if err != nil {
		return nil, err
	}
	if err := r.check(&key); err != nil {
		return nil, err
	}
	return []Key{key}, nil
}

func (r *Reader) readOne(text []byte) (Key, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case r.Format == PEM, r.Format == Any && bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return readPEM(trimmed)
	case r.Format == DER, r.Format == Any && len(text) > 0 && text[0] == 0x30 && isBinary(text):
		return readDER(text)
	case r.Format == JWK, r.Format == Any && bytes.HasPrefix(trimmed, []byte("{")):
		return readJWK(trimmed)
	default:
		return r.readText(string(trimmed))
	}
}

// isBinary reports whether what begins as DER does is not text that begins with 0.
func isBinary(text []byte) bool {
	return bytes.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\r' && c != '\n' || c > '~' })
}

// privateBlock is where a private key begins, as behind a certificate or parameters.
var privateBlock = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)

// readPEM reads the one block that there is.
func readPEM(text []byte) (Key, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return Key{}, ErrFormat
	case strings.Contains(block.Type, "PRIVATE KEY"), privateBlock.Match(rest):
		return Key{}, ErrPrivate
	case len(bytes.TrimSpace(rest)) > 0 && block.Type != "CERTIFICATE":
		return Key{}, ErrSeveral
	}
	// What follows a certificate may be its issuer's.
	switch block.Type {
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return readDER(block.Bytes)
	default:
		return Key{}, fmt.Errorf("%w: a PEM block of another type", ErrFormat)
	}
}

// readDER reads a SubjectPublicKeyInfo, an RSAPublicKey or a certificate.
func readDER(der []byte) (Key, error) {
	if public, err := x509.ParsePKIXPublicKey(der); err == nil {
		return Key{Public: public}, nil
	}
	if public, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return Key{Public: public}, nil
	}
	if certificate, err := x509.ParseCertificate(der); err == nil {
		return Key{Public: certificate.PublicKey}, nil
	}
	if isPrivate(der) {
		return Key{}, ErrPrivate
	}
	return Key{}, ErrFormat
}

func isPrivate(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, sec1 := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || sec1 == nil
}

const publicPrefix, privatePrefix = "whpk_", "whsk_"

// readText reads the bytes of an Ed25519 key, or DER, in hexadecimal or base64.
// Standard Webhooks puts whpk_ before a public and whsk_ before a private key.
func (r *Reader) readText(text string) (Key, error) {
	if strings.HasPrefix(text, privatePrefix) {
		return Key{}, ErrPrivate
	}
	text = strings.TrimPrefix(text, publicPrefix)
	for _, decode := range r.decoders() {
		data, err := decode(text)
		switch {
		case err != nil:
		case len(data) == ed25519.PublicKeySize:
			return Key{Public: ed25519.PublicKey(data)}, nil
		case len(data) == ed25519.PrivateKeySize && isPair(data):
			return Key{}, ErrPrivate
		default:
			if key, err := readDER(data); !errors.Is(err, ErrFormat) {
				return key, err
			}
		}
	}
	return Key{}, ErrFormat
}

// decoders are those of the form. Hexadecimal comes first: its 64 characters would be
// 48 bytes of base64, which are no key.
func (r *Reader) decoders() []func(string) ([]byte, error) {
	base64s := func(text string) ([]byte, error) {
		if strings.ContainsAny(text, "\r\n") {
			return nil, ErrFormat
		}
		return base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	}
	switch r.Format {
	case Hex:
		return []func(string) ([]byte, error){hex.DecodeString}
	case Base64:
		return []func(string) ([]byte, error){base64s}
	default:
		return []func(string) ([]byte, error){hex.DecodeString, base64s}
	}
}

// isPair reports whether 64 bytes are a private Ed25519 key followed by its public one.
func isPair(data []byte) bool {
	private := ed25519.NewKeyFromSeed(data[:ed25519.SeedSize])
	return ed25519.PrivateKey(data).Equal(private)
}

// check refuses keys that are weak or of another kind than the scheme's.
func (r *Reader) check(key *Key) error {
	if r.Kind != 0 && key.Kind() != r.Kind || key.Kind() == 0 {
		return fmt.Errorf("%w: %s, and the scheme verifies with %s", ErrKind, describeKind(key), r.wanted())
	}
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		return r.checkRSA(public)
	case *ecdsa.PublicKey:
		if r.Curve != 0 && public.Curve != curves[r.Curve] || curveOf(public) == 0 {
			return fmt.Errorf("%w: %s, and the scheme verifies with %s", ErrKind, key.Describe(), r.wanted())
		}
		return nil // the standard library reads no point that is not on the curve
	case ed25519.PublicKey:
		if !goodEd25519(public) {
			return ErrPoint
		}
	}
	return nil
}

func (r *Reader) wanted() string {
	switch {
	case r.Kind == 0:
		return "RSA, ECDSA or Ed25519"
	case r.Curve != 0:
		return r.Kind.String() + " " + r.Curve.String()
	default:
		return r.Kind.String()
	}
}

func describeKind(key *Key) string {
	if key.Kind() == 0 {
		return "one that no scheme verifies with"
	}
	return key.Describe()
}

func (r *Reader) checkRSA(public *rsa.PublicKey) error {
	bits := public.N.BitLen()
	switch {
	case bits > maxRSABits || bits < minRSABits:
		return fmt.Errorf("%w: this one has %d", ErrSize, bits)
	case public.E < 3 || public.E%2 == 0 || public.N.Bit(0) == 0:
		return ErrExponent
	case bits < goodRSABits && !r.AllowWeak:
		return fmt.Errorf("%w: it has %d", ErrShort, bits)
	default:
		return nil
	}
}
