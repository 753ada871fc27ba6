package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// ErrNoNewSecret says that the keys of a scheme cannot be made here.
var ErrNoNewSecret = errors.New("its keys can come from the provider alone")

// NewSecret makes the text of a new secret of a form that the scheme reads: 32 random bytes,
// or for schemes of public keys a public key whose private key is thrown away, so that
// nothing passes until the provider's own stands in its place.
func NewSecret(s *policyv1.Scheme) ([]byte, error) {
	if s.GetJws().GetX5C() != nil {
		return nil, ErrNoNewSecret // a certificate of the provider's authority
	}
	public, err := newPublicKey(s)
	switch {
	case err != nil:
		return nil, err
	case public != nil:
		der, err := x509.MarshalPKIXPublicKey(public)
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
	}
	var random [32]byte
	_, _ = rand.Read(random[:])           // never fails
	text := hex.EncodeToString(random[:]) // which is base64, too, and text
	prefixes := s.GetHmac().GetKeyPrefixes()
	for i := len(prefixes) - 1; i >= 0; i-- {
		text = prefixes[i] + text
	}
	if s.GetSharedToken().GetBasic() != nil {
		text = "webhook:" + text
	}
	return []byte(text + "\n"), nil
}

// newPublicKey is a public key for the scheme; nil where it has a shared secret.
func newPublicKey(s *policyv1.Scheme) (crypto.PublicKey, error) {
	algorithm := ""
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Rsa:
		algorithm = "RS256"
	case *policyv1.Scheme_Ed25519:
		algorithm = "EdDSA"
	case *policyv1.Scheme_Ecdsa:
		algorithm = kind.Ecdsa.GetCurve().String()
	case *policyv1.Scheme_Jws:
		algorithm = kind.Jws.GetAlgorithms()[0].String()
	case *policyv1.Scheme_HttpSignature:
		algorithm = kind.HttpSignature.GetAlgorithms()[0].String()
	}
	var made crypto.Signer
	var err error
	switch {
	case algorithm == "" || strings.HasPrefix(algorithm, "H"): // HS256, HMAC_SHA256
		return nil, nil //nolint:nilnil // a shared secret
	case algorithm == "P256" || algorithm == "ES256" || algorithm == "ECDSA_P256_SHA256":
		made, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algorithm == "P384" || algorithm == "ES384" || algorithm == "ECDSA_P384_SHA384":
		made, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case algorithm == "P521" || algorithm == "ES512" || algorithm == "ECDSA_P521_SHA512":
		made, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case strings.EqualFold(algorithm, "EdDSA") || algorithm == "ED25519":
		_, made, err = ed25519.GenerateKey(rand.Reader)
	default:
		made, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, err
	}
	return made.Public(), nil
}
