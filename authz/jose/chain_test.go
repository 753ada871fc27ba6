package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/jose"
)

var (
	now     = time.Unix(1_795_500_000, 0)
	leafOID = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 11, 1}
	caOID   = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 1}
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

var serial int64

func issue(t testing.TB, by *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueTo(t, by, key, change)
}

// issueTo issues a certificate to the holder of a key.
func issueTo(t testing.TB, by *issued, key crypto.Signer, change func(*x509.Certificate)) *issued {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "certificate " + big.NewInt(serial).String()},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{certificate, key}
}

// bigRSA is an RSA key of more than 8192 bits. It has many primes, since two would take
// minutes to find.
type bigRSA struct{ n, d *big.Int }

func hugeRSA(t testing.TB) *bigRSA {
	t.Helper()
	n, phi, one := big.NewInt(1), big.NewInt(1), big.NewInt(1)
	for n.BitLen() <= 8192 {
		p, err := rand.Prime(rand.Reader, 512)
		if err != nil {
			t.Fatal(err)
		}
		if less := new(big.Int).Sub(p, one); new(big.Int).GCD(nil, nil, less, big.NewInt(65537)).Cmp(one) == 0 {
			n.Mul(n, p)
			phi.Mul(phi, less)
		}
	}
	return &bigRSA{n, new(big.Int).ModInverse(big.NewInt(65537), phi)}
}

func (k *bigRSA) Public() crypto.PublicKey { return &rsa.PublicKey{N: k.n, E: 65537} }

// Sign signs by PKCS #1 v1.5 with SHA-256 (RFC 8017 §9.2).
func (k *bigRSA) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20}, digest...)
	size := (k.n.BitLen() + 7) / 8
	block := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(info)), []byte{0}, info)
	return new(big.Int).Exp(new(big.Int).SetBytes(block), k.d, k.n).FillBytes(make([]byte, size)), nil
}

func with(oid asn1.ObjectIdentifier) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Value: []byte{5, 0}})
	}
}

func asLeaf(c *x509.Certificate) {
	with(leafOID)(c)
	c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
}

func x5c(chain ...*issued) jose.Members {
	var list []any
	for _, c := range chain {
		list = append(list, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return jose.Members{"x5c": list}
}

func newChain() *jose.Chain {
	return &jose.Chain{Length: 3, OIDs: []asn1.ObjectIdentifier{leafOID, caOID}}
}

func TestChain(t *testing.T) {
	root, stranger := issue(t, nil, nil), issue(t, nil, nil)
	ca := issue(t, root, with(caOID))
	leaf := issue(t, ca, asLeaf)
	bare := issue(t, root, nil)
	over := func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }
	ahead := func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }
	both := func(f, g func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { f(c); g(c) }
	}
	expiredCA := issue(t, root, both(with(caOID), over))
	foreignCA := issue(t, stranger, with(caOID))
	again := &x509.Certificate{SerialNumber: big.NewInt(99), Subject: root.Subject, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(-time.Second)}
	der, err := x509.CreateCertificate(rand.Reader, again, again, root.key.Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	reissued := &issued{Certificate: &x509.Certificate{Raw: der}}
	huge := issueTo(t, root, hugeRSA(t), with(caOID))
	noCA := issue(t, root, func(c *x509.Certificate) { with(caOID)(c); c.IsCA = false; c.KeyUsage = 0 })
	for name, c := range map[string]struct {
		header jose.Members
		want   error
	}{
		"good":                            {x5c(leaf, ca, root), nil},
		"no x5c":                          {jose.Members{"x5cc": []any{}}, jose.ErrNoChain},
		"x5c that is no list":             {jose.Members{"x5c": "x"}, jose.ErrBadChain},
		"an empty one":                    {jose.Members{"x5c": []any{}}, jose.ErrBadChain},
		"numbers":                         {jose.Members{"x5c": []any{1, 2, 3}}, jose.ErrNoTrust},
		"without the root":                {x5c(leaf, ca), jose.ErrBadChain},
		"one too many":                    {x5c(leaf, ca, root, root), jose.ErrBadChain},
		"another root":                    {x5c(leaf, ca, stranger), jose.ErrNoTrust},
		"its own root":                    {x5c(issue(t, foreignCA, asLeaf), foreignCA, stranger), jose.ErrNoTrust},
		"a foreign chain, and our root":   {x5c(issue(t, foreignCA, asLeaf), foreignCA, root), jose.ErrNoTrust},
		"a leaf without its extension":    {x5c(issue(t, ca, func(c *x509.Certificate) { c.IsCA = false }), ca, root), jose.ErrBadChain},
		"a CA without its extension":      {x5c(issue(t, bare, asLeaf), bare, root), jose.ErrBadChain},
		"extensions on others":            {x5c(ca, leaf, root), jose.ErrBadChain},
		"the root, issued again":          {x5c(leaf, ca, reissued), nil},
		"its name with another key":       {x5c(leaf, ca, issue(t, nil, func(c *x509.Certificate) { c.Subject = root.Subject })), jose.ErrNoTrust},
		"a CA between that is not used":   {x5c(issue(t, root, asLeaf), ca, root), jose.ErrNoTrust},
		"a leaf that is over":             {x5c(issue(t, ca, both(asLeaf, over)), ca, root), jose.ErrNoTrust},
		"a leaf that is ahead":            {x5c(issue(t, ca, both(asLeaf, ahead)), ca, root), jose.ErrNoTrust},
		"a CA that is over":               {x5c(issue(t, expiredCA, asLeaf), expiredCA, root), jose.ErrNoTrust},
		"a leaf that signed another leaf": {x5c(issue(t, noCA, asLeaf), noCA, root), jose.ErrNoTrust},
		"a leaf that is a CA":             {x5c(issue(t, ca, with(leafOID)), ca, root), jose.ErrBadChain},
		"the root in each place":          {x5c(root, root, root), jose.ErrBadChain},
		"a certificate that is too large": {jose.Members{"x5c": []any{strings.Repeat("A", 12<<10), "", base64.StdEncoding.EncodeToString(root.Raw)}}, jose.ErrBadChain},
		"a CA with a key beyond bounds":   {x5c(issue(t, huge, asLeaf), huge, root), jose.ErrBadChain},
		"a leaf with a key beyond bounds": {x5c(issueTo(t, ca, hugeRSA(t), asLeaf), ca, root), jose.ErrBadChain},
		"base64url": {jose.Members{"x5c": []any{
			base64.RawURLEncoding.EncodeToString(leaf.Raw), base64.RawURLEncoding.EncodeToString(ca.Raw), base64.RawURLEncoding.EncodeToString(root.Raw),
		}}, jose.ErrBadChain},
	} {
		chain := newChain()
		for range 2 { // the second one may be remembered
			key, err := chain.Key(c.header, []*x509.Certificate{stranger.Certificate, root.Certificate}[1:], now)
			if !errors.Is(err, c.want) || (err == nil) != (key != nil) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
	}
}

// A chain that held holds as long as its certificates do, and as long as its root is
// there.
func TestChainIsRemembered(t *testing.T) {
	root, other := issue(t, nil, nil), issue(t, nil, nil)
	ca := issue(t, root, with(caOID))
	leaf := issue(t, ca, func(c *x509.Certificate) { asLeaf(c); c.NotAfter = now.Add(time.Minute) })
	header, roots, chain := x5c(leaf, ca, root), []*x509.Certificate{root.Certificate}, newChain()
	for _, c := range []struct {
		roots []*x509.Certificate
		at    time.Time
		want  error
	}{
		{roots, now, nil},
		{roots, now.Add(59 * time.Second), nil},
		{roots, now.Add(61 * time.Second), jose.ErrNoTrust},
		{roots, now.Add(-2 * time.Hour), jose.ErrNoTrust},
		{[]*x509.Certificate{other.Certificate}, now, jose.ErrNoTrust},
		{nil, now, jose.ErrNoTrust},
		{append([]*x509.Certificate{other.Certificate}, roots...), now, nil},
	} {
		if _, err := chain.Key(header, c.roots, c.at); !errors.Is(err, c.want) {
			t.Errorf("at %s: %v, want %v", c.at.Sub(now), err, c.want)
		}
	}
	cold := testing.AllocsPerRun(5, func() { _, _ = newChain().Key(header, roots, now) })
	warm := testing.AllocsPerRun(5, func() { _, _ = chain.Key(header, roots, now) })
	if warm*4 > cold {
		t.Errorf("%v allocations for a chain that is known, %v for a new one", warm, cold)
	}
}

// FuzzChain: no certificates but those of the one good chain are believed.
func FuzzChain(f *testing.F) {
	root := issue(f, nil, nil)
	ca := issue(f, root, with(caOID))
	leaf := issue(f, ca, asLeaf)
	f.Add(leaf.Raw, ca.Raw, root.Raw)
	f.Add(ca.Raw, ca.Raw, root.Raw)
	f.Add([]byte{0x30, 0x80}, []byte{}, root.Raw)
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		encode := base64.StdEncoding.EncodeToString
		header := jose.Members{"x5c": []any{encode(a), encode(b), encode(c)}}
		key, err := newChain().Key(header, []*x509.Certificate{root.Certificate}, now)
		if err != nil {
			return
		}
		public, ok := key.Public.(*ecdsa.PublicKey)
		if !ok || !public.Equal(leaf.PublicKey) || !slices.Equal(a, leaf.Raw) || !slices.Equal(b, ca.Raw) {
			t.Fatal("a chain that nobody made")
		}
	})
}
