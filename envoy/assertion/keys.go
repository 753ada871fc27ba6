package assertion

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Errors of New and Load, wrapped with the file.
var (
	ErrNoKey   = errors.New("has no private key in PEM form")
	ErrKeyType = errors.New("has a key that is neither Ed25519 nor P-256")
	ErrPEM     = errors.New("has something that is no key in PEM form")
)

// keySet is what the files hold.
type keySet struct {
	signing *signingKey
	jwks    []byte
}

// signingKey signs without showing its key: fmt prints of a function only the
// address.
type signingKey struct {
	id     string
	method jwt.SigningMethod
	sign   func(*jwt.Token) (string, error)
}

// jwk is a public key (RFC 7517, RFC 8037).
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

func parseKeys(files []string, texts [][]byte) (*keySet, error) {
	set := &keySet{}
	var published []jwk
	known := map[string]bool{}
	for i, text := range texts {
		keys, err := parsePEM(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files[i], err)
		}
		for _, key := range keys {
			public, err := publish(publicHalf(key))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", files[i], err)
			}
			if signer, ok := key.(crypto.Signer); ok && set.signing == nil {
				set.signing = &signingKey{
					id: public.ID, method: jwt.GetSigningMethod(public.Algorithm),
					sign: func(t *jwt.Token) (string, error) { return t.SignedString(signer) },
				}
			}
			if !known[public.ID] {
				known[public.ID] = true
				published = append(published, public)
			}
		}
	}
	if set.signing == nil {
		return nil, ErrNoKey
	}
	var err error
	set.jwks, err = json.Marshal(map[string]any{"keys": published})
	return set, err
}

// parsePEM reads every key of a file. Errors of the decoders are left out: they
// could hold some of it.
func parsePEM(text []byte) ([]any, error) {
	var keys []any
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "EC PARAMETERS":
			continue // openssl writes the curve before the key
		default:
			return nil, ErrPEM
		}
		if err != nil {
			return nil, ErrPEM
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(bytes.TrimSpace(text)) > 0 {
		return nil, ErrPEM
	}
	return keys, nil
}

func publicHalf(key any) any {
	if signer, ok := key.(crypto.Signer); ok {
		return signer.Public()
	}
	return key
}

// publish makes a JWK. Its id is the key's thumbprint (RFC 7638), the same at
// every replica.
func publish(key any) (jwk, error) {
	encode := base64.RawURLEncoding.EncodeToString
	switch key := key.(type) {
	case ed25519.PublicKey:
		k := jwk{KeyType: "OKP", Curve: "Ed25519", X: encode(key), Algorithm: "EdDSA", Use: "sig"}
		thumb := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + k.X + `"}`))
		k.ID = encode(thumb[:])
		return k, nil
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, x, y
		if err != nil || key.Curve != elliptic.P256() {
			return jwk{}, ErrKeyType
		}
		k := jwk{KeyType: "EC", Curve: "P-256", X: encode(point[1:33]), Y: encode(point[33:]), Algorithm: "ES256", Use: "sig"}
		thumb := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`))
		k.ID = encode(thumb[:])
		return k, nil
	default:
		return jwk{}, ErrKeyType
	}
}
