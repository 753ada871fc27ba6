package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

var (
	rsaKeys, ed25519Keys [2]func() crypto.Signer
	ecdsaKeys            = map[policyv1.PublicKey_Curve]*[2]func() crypto.Signer{}
)

func init() {
	for i := range 2 {
		rsaKeys[i] = made(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
		ed25519Keys[i] = made(func() (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		})
		for name, curve := range map[policyv1.PublicKey_Curve]elliptic.Curve{
			policyv1.PublicKey_P256: elliptic.P256(), policyv1.PublicKey_P384: elliptic.P384(), policyv1.PublicKey_P521: elliptic.P521(),
		} {
			if ecdsaKeys[name] == nil {
				ecdsaKeys[name] = &[2]func() crypto.Signer{}
			}
			ecdsaKeys[name][i] = made(func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) })
		}
	}
}

// made makes a key when it is first asked for.
func made(generate func() (crypto.Signer, error)) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer {
		key, err := generate()
		if err != nil {
			panic(err) // the reader of random bytes never fails
		}
		return key
	})
}

// private is the private key of webhook n, of a kind that the scheme verifies; nil for
// shared secrets.
func (s *scheme) private(n int) crypto.Signer {
	switch kind := s.named.GetScheme().GetKind().(type) {
	case *policyv1.Scheme_Rsa:
		return rsaKeys[n]()
	case *policyv1.Scheme_Ecdsa:
		return ecdsaKeys[kind.Ecdsa.GetCurve()][n]()
	case *policyv1.Scheme_Ed25519:
		return ed25519Keys[n]()
	default:
		return nil
	}
}

func publicPEM(private crypto.Signer) string {
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err) // keys that were made here can be written
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// examples is what a webhook says of itself: the examples of the entry, but for what the
// scheme can have in one way only.
func examples(p *policyv1.Provider, s *policyv1.Scheme) string {
	var given []string
	fixed := func(name string) bool {
		return slices.ContainsFunc(s.GetPins(), func(pin *policyv1.Pin) bool {
			return pin.GetParameter() == name && slices.ContainsFunc(s.GetWhen(), func(w *policyv1.When) bool { return w.GetJson() == pin.GetJson() })
		})
	}
	for _, parameter := range p.GetParameters() {
		if fixed(parameter.GetName()) {
			continue
		}
		if parameter.GetSeveral() {
			given = append(given, fmt.Sprintf("%s: [%q, other]", parameter.GetName(), parameter.GetExample()))
		} else {
			given = append(given, fmt.Sprintf("%s: %q", parameter.GetName(), parameter.GetExample()))
		}
	}
	if len(given) == 0 {
		return ""
	}
	return ", parameters: {" + strings.Join(given, ", ") + "}"
}
