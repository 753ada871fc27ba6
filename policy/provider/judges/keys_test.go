package judges_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"time"
)

// pair is a private key of the tests, which never change, and a public key in PEM that
// is not its own.
type pair struct {
	private       crypto.Signer
	public, other string
}

// steady signs without random numbers, so that all runs see the same deliveries.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

var (
	rsaPair     = newPair(readRSA(rsaPEM), readRSA(otherRSAPEM))
	ed25519Pair = newPair(ed25519.NewKeyFromSeed(filled(32, 1)), ed25519.NewKeyFromSeed(filled(32, 2)))
	p256Pair    = newPair(newECDSA(elliptic.P256(), 1), newECDSA(elliptic.P256(), 2))
	p521Pair    = newPair(newECDSA(elliptic.P521(), 1), newECDSA(elliptic.P521(), 0))
)

func newPair(key, other crypto.Signer) *pair {
	return &pair{steady{key}, publicPEM(key), publicPEM(other)}
}

// privatePEM is for the libraries that sign.
func (p *pair) privatePEM() string {
	der, err := x509.MarshalPKCS8PrivateKey(p.private.(steady).Signer)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func filled(n int, with byte) []byte { return bytes.Repeat([]byte{with}, n) }

func newECDSA(curve elliptic.Curve, with byte) crypto.Signer {
	number := filled((curve.Params().BitSize+7)/8, with)
	number[0], number[len(number)-1] = 0, 7
	key, err := ecdsa.ParseRawPrivateKey(curve, number)
	if err != nil {
		panic(err)
	}
	return key
}

func readRSA(text string) crypto.Signer {
	block, _ := pem.Decode([]byte(text))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(*rsa.PrivateKey)
}

func publicPEM(key crypto.Signer) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// chain is a root in PEM with Apple's marks below it: a leaf of p256Pair and what is
// between, in the form of x5c.
type chain struct {
	root string
	x5c  []string
}

var appleChain, otherChain = newChain(3), newChain(4)

func newChain(with byte) *chain {
	root, between := steady{newECDSA(elliptic.P384(), with)}, steady{newECDSA(elliptic.P256(), with)}
	rootDER := certify("root", nil, root.Public(), root, nil)
	betweenDER := certify("between", rootDER, between.Public(), root, asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 1})
	leafDER := certify("leaf", betweenDER, p256Pair.private.Public(), between, asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 11, 1})
	c := &chain{root: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}))}
	for _, der := range [][]byte{leafDER, betweenDER, rootDER} {
		c.x5c = append(c.x5c, base64.StdEncoding.EncodeToString(der))
	}
	return c
}

// certify makes a certificate with a mark, of ten years around signedAt.
func certify(name string, parentDER []byte, public crypto.PublicKey, by crypto.Signer, mark asn1.ObjectIdentifier, names ...string) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2026),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    signedAt.Add(-5 * 365 * 24 * time.Hour), NotAfter: signedAt.Add(5 * 365 * 24 * time.Hour),
		IsCA: name != "leaf", BasicConstraintsValid: true,
		SubjectKeyId: []byte(name), DNSNames: names,
	}
	if mark != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: mark, Value: asn1.NullBytes}}
	}
	parent := template
	if parentDER != nil {
		var err error
		if parent, err = x509.ParseCertificate(parentDER); err != nil {
			panic(err)
		}
	}
	der, err := x509.CreateCertificate(nil, template, parent, public, by)
	if err != nil {
		panic(err)
	}
	return der
}

// Keys of tests alone.
const (
	rsaPEM = `-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDxYrsZS+vhCO3n
pi/6fP2dwJysVI2+sgsE4PB0lHquT47BrM5gHAImeR9YU6n3l6MTH13AdsU/tSAX
Yl6tfmesoz0laWunn5gn+/LDhvXV2OJIUIUFyV5QnwWfPdJxkmYt/VA+jrEKkM1W
BhtTj4VtT2Ipw4/WUJhb2gDdHKfQDDr6Zd/qwFYJ6BC3j3NegjymK9r/0xgzesW6
vpoWKzSh46XWnfB6cEoXLDB7rRKrLZwgFLwkAJRESjpOAznmuJJ8M6Ps5R4lkLla
d8NcbVRlawoQv4CQLBEjCfm+dBzHZ+nAEF762hBHJWz9U2TaYvqw/pHhIOu2SUKc
YcsDM7txAgMBAAECggEANkAvl0GgN7ErUPUhkt1NHcuYmsWdHtcCkXvhpv3o7ay9
Q6uMLX8V/6IYyJ/zEw2uTcGury8yaT1Sw1atOzZt5BfDChm9o4yDpLbkKow2S7Pl
NYX9Q53sl9eJqq65EaPq2Zq1Un387cg6EgOo2BipTvY4tHS6qtrtxzUBnTBPyfrJ
+BfgA2elxOZcdXTLMMWEJFh+becfU2ZcY+rUQHJbFXuTueBE9qideb64abKwLZyt
zWh1tnL9ISF4DJy2bjehIoA+pz7qnstWGnERMkIkGNUO8GPRoN24lOo/3IqhvAap
lSmqu8/5cbHfuxa15aWVjp/uILlCtrHzXdU+MUYQzQKBgQD3qT4djkPhaEX1MRwD
K7cpkeFTOrk/wtzfigDl9Un6cw1KMYjQ7lpDdSu1nw3ePcjKNjbinft5WPi3WVEQ
zM00oVCRLdTzoWAtaIeC5RzuTakZO9Lu/jVHEtj4J7toEw2wrDZ4Pmy5LUCAVHX2
73ogpGd1Tt0ZYZH0ktb3SUgZDQKBgQD5g2VhKBgz2F27MFyLtvsC2S/Q9wDkVzrA
iQnKwL4ghylhZOxDxgWtZUsLGl9lFlD1xIveYgaoyfJErRoB8chfsNQdXsmjiWH9
xMo780CGOsa+/XNe3TF6u4NGmegVl9HqWPJntSDJyXlZkNVQHxX3uhX4kc5o1k0i
vOE/CE5K9QKBgE+P4VKhZ5E8bG0Or88c9iS2psqULPsc4NQ3g35cxL1exMA3FZr5
V6ogNECOrmfdNWow7IT099rOCGjumqppAOuNf1KEhMsX5svvrskQTbEI5fAjVepN
ZFRG68kdComuxVEiogUTGN6MeRJBD/yahoOCDXKUOVd0Du2hVsnukujpAoGBAJfN
GSDDA/aG7H+2LJfT+2MAP9cib6h8aYI53Xs9SG8BzGs0u4mAMHQN7FoU8XTO3vKn
YXEqsmJ+eqbNqcUFFKMjMemsgYC9VKDP2TogBGGl4MTR7h8I89F3w6ZwfIKmm0+4
TcJKsGgT64BSXXUhdHwC+tr/2lRuDP/VajSvGPMBAoGBAKEBn2w/LEIi8kveyAf6
+0jPdEVzVUC/Qd+gTW0EIygkV6UyVsp/GRQnvg21z+NBJoPz1kn2hSP1kOkTVFdP
4tCCYQAC73FKxVsoxhbkw4hWRYxGMBAu2AnYB7swDjlqMky4fxCACRL+PruR1hxO
QIwNCx15OTjcdzmNyqUKgH9A
-----END PRIVATE KEY-----
`
	otherRSAPEM = `-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDuz5BQfmQwLwWb
9HnNoX+Zs2x8wUeEcnb9UwjS2GPlgB1UJFfG93+dppFTSPNKZTmCZNhVjmP7jKKR
ZrpysS/h5lkCjTzZCCTBaq32UhV380I01x64MmWvdbc82rDKtwFsoSufKlRUENqe
MY7B0TKv7Uqin204vSuw6mmntJ2fNQEgIWxijwTtncvO/p5dYIB1UjmA6SC8Yjsc
oeHagt+V9YmBXAGJO4yA9tsSkwOUQsfIPJDKdbARjNveW988NL0Hr+uqBEOs+qRu
j0It63ddbY1Voq8qiKUJc04xw0UhaZozifBLICsZJ796CiOXySyvDFSYvgwrJcZG
zIlGJVbDAgMBAAECggEAQ6PZwdrSwM0IvzADMemMzTmDQGC0Q4DyT/UtWh79SHs9
k2AJ1qqyZDJSFi9i7Y73N4Ydujnu+shOIXXh2Gt0Xv0R+AWOFwDV/EydglekigmG
FpZZtp1brNNgN6XPjlNAXYbW5qmkIf12Fnl98EqzGx5QVfhnBLub/OugSmZ/gKCE
Igej/J66MSJp0IGLLwT1bsS3x70hl05ix8N3U0KsGkTXj54uk36FV8JcEJprc864
qbelC1tlxGydKUmfl6UB4x/tsHk7CLNtZb6ZC5K4xGRg3VScKv6nRHryJpgbb42o
BYb7y3Wk1s8KBWci49qpOUuDlXQUr1qc9JpbMPr3EQKBgQD0Sx1eCeah+x0jdt4E
YEYKEufdNnMlYHAxI6fBFqtBtRn1qVkoRLB8Q0ruvPmAvcmx2515vcQmqMxbzyIk
u4Jq0Eh+zF5bFZpWoIlNWljF/dDl5MYJ38ZBDRX9aseUGX895MVM8q+GH7tlpCRI
1DtnPEfmoh+z7ElA1VeXiZmP0wKBgQD6QTDLa7NVHBMn4wVcdw6xOL4+vmQsPjuI
A/4sq64WFWq7pVh7lpmL5zReikoQ213SHRRjS2HlwgDuh1moK6M/NA/qXFCcDsgF
Bqg2mDR1oNQnROAEhOYXrU9l+xN3m93fHzyMaxYtN/tlZLYAdJroB8yTL7ZHCrgw
28awFeW3UQKBgQDQXBTDNVyhwYVbzzGTt+1lADUEx0E0mul17/xPwx70XxuyHOuv
Xc7NXbPWphWESdtyuGa7BDD97DDJCYUMoWWd5uI+S98afvVxd2FEOY/H5zE6M4L5
vwPgTeH4kA+DcK/HQY1KkR9GHWB/U52jBGlaJt8IhjTWB+1+v7gCxtjUAwKBgCAi
BMDp6FHyU+dYOBUCWIma7pqh2bzwlLZHRPi5ZpYBU/4aIf1kffy/yDKncREvCaH0
B+0j/cMBoRr/mByG1eRErBJ8ngEbyMUUcL7p1jqQVw1fw5/w7JZ3s201yu8dvWRr
31tsWKGfwZDoWJJAZq+KaNMxWidPEg17+swbU66xAoGAXXml3UnuWq4MMap04dHK
QPhomfOvoRJ2ppTkBoRIuLZt/mtmcXBiPYoJ7TXiZhfSYRrkamE8GQALsy1bCxuq
iOoqgTQp/TVXrUQzC/jQ/L46t7oilWguPJNrw8VHix7nktH+SOUbKtfp0wGhWDB2
lfEdvzjZzbBh279klg9opv0=
-----END PRIVATE KEY-----
`
)
