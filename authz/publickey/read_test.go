package publickey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/publickey"
)

// made are keys of each kind.
type made struct {
	rsa, weak *rsa.PrivateKey
	p256      *ecdsa.PrivateKey
	p384      *ecdsa.PrivateKey
	ed25519   ed25519.PrivateKey
}

func keys(t testing.TB) *made {
	t.Helper()
	var m made
	var err error
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	m.weak, err = rsa.GenerateKey(rand.Reader, 1024)
	check(err)
	m.p256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	m.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(err)
	_, m.ed25519, err = ed25519.GenerateKey(rand.Reader)
	check(err)
	return &m
}

func spki(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, private crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func certificate(t testing.TB, private crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func jwk(t testing.TB, public crypto.PublicKey, more ...string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	members := map[string]string{}
	switch public := public.(type) {
	case *rsa.PublicKey:
		members = map[string]string{"kty": "RSA", "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		n := len(point) / 2
		members = map[string]string{"kty": "EC", "crv": public.Params().Name, "x": b64(point[1 : 1+n]), "y": b64(point[1+n:])}
	case ed25519.PublicKey:
		members = map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	}
	for i := 0; i+1 < len(more); i += 2 {
		members[more[i]] = more[i+1]
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every form of a key is the same key, read as what it is and read as anything.
func TestForms(t *testing.T) {
	m := keys(t)
	raw := []byte(m.ed25519.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // it is one
	for _, row := range []struct {
		name   string
		format publickey.Format
		text   string
		want   crypto.PublicKey
	}{
		{"SPKI in PEM", publickey.PEM, block("PUBLIC KEY", spki(t, &m.rsa.PublicKey)), &m.rsa.PublicKey},
		{"PEM with white space around", publickey.PEM, "\r\n " + block("PUBLIC KEY", spki(t, &m.p256.PublicKey)) + "\n\n", &m.p256.PublicKey},
		{"PKCS #1 in PEM", publickey.PEM, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&m.rsa.PublicKey)), &m.rsa.PublicKey},
		{"certificate", publickey.PEM, block("CERTIFICATE", certificate(t, m.p256)), &m.p256.PublicKey},
		{"certificate and its issuer", publickey.PEM, block("CERTIFICATE", certificate(t, m.rsa)) + block("CERTIFICATE", certificate(t, m.p256)), &m.rsa.PublicKey},
		{"DER", publickey.DER, string(spki(t, &m.p384.PublicKey)), &m.p384.PublicKey},
		{"DER of a certificate", publickey.DER, string(certificate(t, m.ed25519)), m.ed25519.Public()},
		{"JWK, RSA", publickey.JWK, jwk(t, &m.rsa.PublicKey), &m.rsa.PublicKey},
		{"JWK, EC", publickey.JWK, jwk(t, &m.p384.PublicKey, "use", "sig", "kid", "k"), &m.p384.PublicKey},
		{"JWK, OKP", publickey.JWK, jwk(t, m.ed25519.Public()), m.ed25519.Public()},
		{"set of one", publickey.JWKS, `{"keys":[` + jwk(t, &m.p256.PublicKey, "kid", "k") + `]}`, &m.p256.PublicKey},
		{"32 bytes in hex", publickey.Hex, hex.EncodeToString(raw), m.ed25519.Public()},
		{"32 bytes in base64", publickey.Base64, base64.StdEncoding.EncodeToString(raw), m.ed25519.Public()},
		{"without padding", publickey.Base64, base64.RawStdEncoding.EncodeToString(raw), m.ed25519.Public()},
		{"SPKI in base64", publickey.Base64, base64.StdEncoding.EncodeToString(spki(t, &m.p256.PublicKey)), &m.p256.PublicKey},
		{"whpk_", publickey.Base64, "whpk_" + base64.StdEncoding.EncodeToString(raw), m.ed25519.Public()},
	} {
		for _, format := range []publickey.Format{row.format, publickey.Any} {
			got, err := (&publickey.Reader{Format: format}).Read([]byte(row.text))
			if err != nil || len(got) != 1 || !row.want.(interface{ Equal(crypto.PublicKey) bool }).Equal(got[0].Public) { //nolint:forcetypeassert // keys of the standard library have it
				t.Errorf("%s as format %d: %v, %d keys", row.name, format, err, len(got))
			}
		}
	}
}

// What must not be trusted, or is none, is refused with an error that says so.
func TestRefused(t *testing.T) {
	m := keys(t)
	even := &rsa.PublicKey{N: m.rsa.N, E: 4}
	one := &rsa.PublicKey{N: m.rsa.N, E: 1}
	evenModulus := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}
	huge := &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 16383), big.NewInt(1)), E: 65537}
	seed := m.ed25519.Seed()
	whsk := "whsk_" + base64.StdEncoding.EncodeToString(m.ed25519)
	sec1, err := x509.MarshalECPrivateKey(m.p256)
	if err != nil {
		t.Fatal(err)
	}
	off := jwk(t, &m.p256.PublicKey, "y", base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
	ecdsaOnly := publickey.Reader{Kind: publickey.ECDSA, Curve: publickey.P256}
	for _, row := range []struct {
		name   string
		reader publickey.Reader
		text   string
		want   error
	}{
		{"nothing", publickey.Reader{}, "", publickey.ErrFormat},
		{"words", publickey.Reader{}, "my secret", publickey.ErrFormat},
		{"PKCS #8", publickey.Reader{}, block("PRIVATE KEY", pkcs8(t, m.rsa)), publickey.ErrPrivate},
		{"PKCS #1", publickey.Reader{}, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(m.rsa)), publickey.ErrPrivate},
		{"SEC 1", publickey.Reader{}, block("EC PRIVATE KEY", sec1), publickey.ErrPrivate},
		{"encrypted", publickey.Reader{}, block("ENCRYPTED PRIVATE KEY", []byte("x")), publickey.ErrPrivate},
		{"a certificate and its private key", publickey.Reader{}, block("CERTIFICATE", certificate(t, m.rsa)) + block("PRIVATE KEY", pkcs8(t, m.rsa)), publickey.ErrPrivate},
		{"parameters and a private key", publickey.Reader{}, block("EC PARAMETERS", []byte("x")) + block("EC PRIVATE KEY", sec1), publickey.ErrPrivate},
		{"a private key as DER", publickey.Reader{Format: publickey.DER}, string(pkcs8(t, m.ed25519)), publickey.ErrPrivate},
		{"a private key as base64", publickey.Reader{}, base64.StdEncoding.EncodeToString(pkcs8(t, m.p256)), publickey.ErrPrivate},
		{"whsk_", publickey.Reader{}, whsk, publickey.ErrPrivate},
		{"64 bytes of a private key", publickey.Reader{}, whsk[5:], publickey.ErrPrivate},
		{"a private JWK", publickey.Reader{}, jwk(t, m.ed25519.Public(), "d", base64.RawURLEncoding.EncodeToString(seed)), publickey.ErrPrivate},
		{"a private key in a set", publickey.Reader{}, `{"keys":[` + jwk(t, &m.p256.PublicKey, "kid", "a") + "," + jwk(t, m.ed25519.Public(), "kid", "b", "d", "AA") + `]}`, publickey.ErrPrivate},
		{"a shared secret", publickey.Reader{}, `{"kty":"oct","k":"AAAA"}`, publickey.ErrKind},
		{"for encryption", publickey.Reader{}, jwk(t, &m.rsa.PublicKey, "use", "enc"), publickey.ErrKind},
		{"another kind", ecdsaOnly, block("PUBLIC KEY", spki(t, &m.rsa.PublicKey)), publickey.ErrKind},
		{"another curve", ecdsaOnly, block("PUBLIC KEY", spki(t, &m.p384.PublicKey)), publickey.ErrKind},
		{"another curve's JWK", publickey.Reader{}, `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`, publickey.ErrKind},
		{"1024 bits", publickey.Reader{}, block("PUBLIC KEY", spki(t, &m.weak.PublicKey)), publickey.ErrShort},
		{"16384 bits", publickey.Reader{AllowWeak: true}, jwk(t, huge), publickey.ErrFormat},
		{"exponent 4", publickey.Reader{AllowWeak: true}, jwk(t, even), publickey.ErrExponent},
		{"exponent 1", publickey.Reader{AllowWeak: true}, jwk(t, one), publickey.ErrExponent},
		{"an even modulus", publickey.Reader{}, jwk(t, evenModulus), publickey.ErrExponent},
		{"an exponent of 40 bits", publickey.Reader{}, jwk(t, &m.rsa.PublicKey, "e", "AQAAAAE"), publickey.ErrExponent},
		{"not on the curve", publickey.Reader{}, off, publickey.ErrPoint},
		{"a short coordinate", publickey.Reader{}, jwk(t, &m.p256.PublicKey, "x", "AQ"), publickey.ErrFormat},
		{"two keys", publickey.Reader{}, block("PUBLIC KEY", spki(t, &m.rsa.PublicKey)) + block("PUBLIC KEY", spki(t, &m.p256.PublicKey)), publickey.ErrSeveral},
		{"a request for a certificate", publickey.Reader{}, block("CERTIFICATE REQUEST", []byte("x")), publickey.ErrFormat},
		{"an empty set", publickey.Reader{}, `{"keys":[]}`, publickey.ErrNone},
		{"a set of others", ecdsaOnly, `{"keys":[` + jwk(t, &m.rsa.PublicKey, "kid", "a") + `]}`, publickey.ErrNone},
		{"a set of other algorithms", publickey.Reader{Algorithms: []string{"PS256"}}, `{"keys":[` + jwk(t, &m.rsa.PublicKey, "kid", "a", "alg", "RS256") + `]}`, publickey.ErrNone},
		{"a set without a kid", publickey.Reader{}, `{"keys":[` + jwk(t, &m.rsa.PublicKey) + `]}`, publickey.ErrNoID},
		{"a kid twice", publickey.Reader{}, `{"keys":[` + jwk(t, &m.rsa.PublicKey, "kid", "a") + "," + jwk(t, &m.p256.PublicKey, "kid", "a") + `]}`, publickey.ErrNoID},
		{"too many", publickey.Reader{}, `{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`, publickey.ErrTooMany},
		{"too large", publickey.Reader{}, strings.Repeat("x", 64<<10+1), publickey.ErrTooLarge},
		{"a set where one is wanted", publickey.Reader{Format: publickey.JWK}, `{"keys":[]}`, publickey.ErrKind},
		{"one where a set is wanted", publickey.Reader{Format: publickey.JWKS}, jwk(t, &m.rsa.PublicKey), publickey.ErrFormat},
	} {
		got, err := row.reader.Read([]byte(row.text))
		if !errors.Is(err, row.want) || len(got) > 0 {
			t.Errorf("%s: %v, %d keys; want %v", row.name, err, len(got), row.want)
		}
		if err != nil && len(row.text) > 8 && strings.Contains(err.Error(), row.text[:8]) {
			t.Errorf("%s: the error has the text: %v", row.name, err)
		}
	}
}

// A set gives the keys that the scheme could use, with their names.
func TestSets(t *testing.T) {
	m := keys(t)
	set := fmt.Sprintf(`{"keys":[%s,%s,%s,{"kty":"unknown","kid":"d"}]}`, jwk(t, &m.rsa.PublicKey, "kid", "a", "alg", "RS256"),
		jwk(t, &m.p256.PublicKey, "kid", "b"), jwk(t, &m.weak.PublicKey, "kid", "c"))
	got, err := (&publickey.Reader{Kind: publickey.RSA}).Read([]byte(set))
	if err != nil || len(got) != 1 || got[0].ID != "a" || got[0].Algorithm != "RS256" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = (&publickey.Reader{AllowWeak: true}).Read([]byte(set)); err != nil || len(got) != 3 {
		t.Errorf("%d keys, %v", len(got), err)
	}
}

// With a point of small order as key, one signature fits every message. All eight, in
// every spelling, are refused, as is each number that is no point.
func TestEd25519PointsOfSmallOrder(t *testing.T) {
	refused := 0
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p and p+1
	} {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			if _, err := (&publickey.Reader{Format: publickey.Hex}).Read([]byte(hex.EncodeToString(key))); !errors.Is(err, publickey.ErrPoint) {
				t.Errorf("%x: %v", key, err)
			}
			refused++
		}
	}
	// y = 2 is on no point; y = 3 is on two.
	for y, want := range map[byte]error{2: publickey.ErrPoint, 3: nil} {
		key := slices.Concat([]byte{y}, make([]byte, 31))
		if _, err := (&publickey.Reader{Format: publickey.Hex}).Read([]byte(hex.EncodeToString(key))); !errors.Is(err, want) {
			t.Errorf("y = %d: %v", y, err)
		}
	}
	if refused != 14 {
		t.Errorf("%d", refused)
	}
}

// The example of RFC 7638 §3.1, and that of RFC 8037 A.3.
func TestThumbprint(t *testing.T) {
	for text, want := range map[string]string{
		`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	} {
		keys, err := (&publickey.Reader{}).Read([]byte(text))
		if err != nil || keys[0].Thumbprint() != want {
			t.Errorf("%v, %v, want %s", keys, err, want)
		}
	}
	m := keys(t)
	for _, public := range []crypto.PublicKey{&m.p256.PublicKey, &m.p384.PublicKey} {
		one := publickey.Key{Public: public}
		read, err := (&publickey.Reader{}).Read([]byte(jwk(t, public)))
		if err != nil || read[0].Thumbprint() != one.Thumbprint() || len(one.Thumbprint()) != 43 {
			t.Errorf("%v, %s", err, one.Thumbprint())
		}
	}
	if got := (&publickey.Key{}).Thumbprint(); got != "" {
		t.Errorf("of no key: %q", got)
	}
}
