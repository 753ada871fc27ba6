package publickey

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
)

// ErrSign says that a private key cannot sign by the algorithm.
var ErrSign = errors.New("the private key is none of this scheme")

// Sign makes a signature of the content, or of its digest, for tests.
func (a Algorithm) Sign(private crypto.Signer, content []byte) ([]byte, error) {
	key := Key{Public: private.Public()}
	if key.Kind() != a.Kind || key.Kind() == ECDSA && key.Curve() != a.Curve {
		return nil, ErrSign
	}
	var options crypto.SignerOpts = a.Hash
	if a.PSS {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.Hash}
	}
	signature, err := private.Sign(rand.Reader, content, options)
	if err != nil || a.Kind != ECDSA || !a.Raw {
		return signature, err
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &numbers); err != nil {
		return nil, err
	}
	size := a.Curve.size()
	raw := make([]byte, 2*size)
	numbers.R.FillBytes(raw[:size])
	numbers.S.FillBytes(raw[size:])
	return raw, nil
}

// ReadPrivate reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1), or as whsk_ and
// base64 of 64 bytes, for deliveries that are made for tests. The error holds none of it.
func ReadPrivate(text []byte) (crypto.Signer, error) {
	text = bytes.TrimSpace(text)
	if encoded, ok := bytes.CutPrefix(text, []byte(privatePrefix)); ok {
		data, err := base64.StdEncoding.Strict().DecodeString(string(encoded))
		if err != nil || len(data) != ed25519.PrivateKeySize || !isPair(data) {
			return nil, ErrNotPrivate
		}
		return ed25519.PrivateKey(data), nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, ErrNotPrivate
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	} {
		if key, err := parse(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
	return nil, ErrNotPrivate
}

// ErrNotPrivate says that a text is no private key.
var ErrNotPrivate = errors.New("not a private key in PEM that is not encrypted, of RSA, ECDSA or Ed25519")
