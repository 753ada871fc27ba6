package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

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
	case *policyv1.Scheme_Jws:
		return tokenKey(kind.Jws, n)
	case *policyv1.Scheme_HttpSignature:
		switch kind.HttpSignature.GetAlgorithms()[0] {
		case policyv1.HttpSignature_ED25519:
			return ed25519Keys[n]()
		case policyv1.HttpSignature_ECDSA_P256_SHA256:
			return ecdsaKeys[policyv1.PublicKey_P256][n]()
		case policyv1.HttpSignature_ECDSA_P521_SHA512:
			return ecdsaKeys[policyv1.PublicKey_P521][n]()
		default:
			return rsaKeys[n]()
		}
	default:
		return nil
	}
}

// tokenKey is one for the first algorithm of tokens; nil if that has a shared secret.
func tokenKey(j *policyv1.Jws, n int) crypto.Signer {
	switch algorithm := j.GetAlgorithms()[0].String(); {
	case algorithm[0] == 'R' || algorithm[0] == 'P':
		return rsaKeys[n]()
	case algorithm == "ES256":
		return ecdsaKeys[policyv1.PublicKey_P256][n]()
	case algorithm == "ES384":
		return ecdsaKeys[policyv1.PublicKey_P384][n]()
	case algorithm == "ES512":
		return ecdsaKeys[policyv1.PublicKey_P521][n]()
	case algorithm == "EdDSA":
		return ed25519Keys[n]()
	default:
		return nil
	}
}

// chains are two of three certificates as a token may bring them, each with a root of its
// own: the leaf has the key of tokenKey.
var chains [2]func() [][]byte

func init() {
	for n := range chains {
		chains[n] = sync.OnceValue(func() [][]byte {
			j := &policyv1.Jws{Algorithms: []policyv1.Jws_Algorithm{policyv1.Jws_ES256}}
			leaf, ca := tokenKey(j, n), rsaKeys[n]()
			mark := func(last int) []pkix.Extension {
				return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, last, 1}, Value: []byte{5, 0}}}
			}
			root := certificate(&x509.Certificate{IsCA: true, Subject: pkix.Name{CommonName: "root"}}, nil, ca.Public(), ca)
			between := certificate(&x509.Certificate{IsCA: true, Subject: pkix.Name{CommonName: "between"}, ExtraExtensions: mark(2)}, root, ca.Public(), ca)
			last := certificate(&x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, ExtraExtensions: mark(11)}, between, leaf.Public(), ca)
			return [][]byte{last.Raw, between.Raw, root.Raw}
		})
	}
}

func certificate(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(1), true
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		panic(err) // the template can be written
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err) // what was written can be read
	}
	return made
}

// x5c are the certificates that a delivery of webhook n brings along, if any.
func (s *scheme) x5c(n int) []string {
	if s.jws().GetX5C() == nil {
		return nil
	}
	var list []string
	for _, der := range chains[n]() {
		list = append(list, base64.StdEncoding.EncodeToString(der))
	}
	return list
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
