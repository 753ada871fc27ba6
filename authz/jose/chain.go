package jose

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/publickey"
)

// maxCertificate is the size of the largest certificate in a token, in bytes.
const maxCertificate = 8 << 10

// Errors of Chain.Key.
var (
	ErrNoChain  = errors.New("no x5c in the token's header")
	ErrBadChain = errors.New("x5c is no list of certificates as the policy asks for")
	ErrNoTrust  = errors.New("a chain that does not lead to the pinned root, or is not valid now")
)

// Chain says which certificates in the header of a token (x5c, RFC 7515 §4.1.6) are
// believed: those of a chain that ends in a pinned root. The time at which all must
// be valid is that of the call, not one that the token names: whoever holds a key
// whose certificate is over could name an old one. Revocation is not looked at,
// which would need a call to another host. It is safe for concurrent use.
type Chain struct {
	// Length is how many there must be, the leaf first and the root last; at least 2.
	Length int
	// OIDs are extensions that the certificate of the same place must have. Empty:
	// none is asked for.
	OIDs []asn1.ObjectIdentifier

	last atomic.Pointer[verified]
}

// verified is a chain that held. Senders use one for years, and to verify it costs
// more than a signature does. Only chains that lead to the root get here, and of
// those only one, so that strangers cannot fill it.
type verified struct {
	sum             [sha256.Size]byte
	key             *publickey.Key
	notBefore, over time.Time
}

// Key returns the key of the leaf.
func (c *Chain) Key(header Members, roots []*x509.Certificate, now time.Time) (*publickey.Key, error) {
	list, there := header["x5c"]
	if !there {
		return nil, ErrNoChain
	}
	items, _ := list.([]any)
	if len(items) != c.Length || c.Length < 2 {
		return nil, ErrBadChain
	}
	var ders [][]byte
	sum := sha256.New()
	for _, item := range items {
		text, _ := item.(string)
		if len(text) > base64.StdEncoding.EncodedLen(maxCertificate) {
			return nil, ErrBadChain
		}
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, ErrBadChain
		}
		ders = append(ders, der)
		own := sha256.Sum256(der)
		_, _ = sum.Write(own[:]) // hashes never fail
	}
	root := pinned(ders[len(ders)-1], roots)
	if root == nil {
		return nil, ErrNoTrust
	}
	digest := [sha256.Size]byte(sum.Sum(nil))
	if last := c.last.Load(); last != nil && last.sum == digest && !now.Before(last.notBefore) && now.Before(last.over) {
		return last.key, nil
	}
	fresh, err := c.verify(ders[:len(ders)-1], root, now)
	if err != nil {
		return nil, err
	}
	fresh.sum = digest
	c.last.Store(fresh)
	return fresh.key, nil
}

// pinned returns the root that the last certificate of a chain stands for: the one of its
// name and key, since a root is issued again with other dates. It is the pinned one that
// counts; of the other nothing else is looked at.
func pinned(der []byte, roots []*x509.Certificate) *x509.Certificate {
	last, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(roots, func(r *x509.Certificate) bool {
		return bytes.Equal(r.RawSubject, last.RawSubject) && bytes.Equal(r.RawSubjectPublicKeyInfo, last.RawSubjectPublicKeyInfo) //nolint:forbidigo // nothing of it is secret
	})
	if i < 0 {
		return nil
	}
	return roots[i]
}

// usable are keys that are worth a verification, of leaves and of authorities.
var usable = publickey.Reader{Format: publickey.DER, AllowWeak: true}

// verify looks at the certificates below the root.
func (c *Chain) verify(ders [][]byte, root *x509.Certificate, now time.Time) (*verified, error) {
	v := &verified{notBefore: root.NotBefore, over: root.NotAfter}
	between, trusted := x509.NewCertPool(), x509.NewCertPool()
	trusted.AddCert(root)
	var all []*x509.Certificate
	for i, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil || i < len(c.OIDs) && len(c.OIDs[i]) > 0 && !has(certificate, c.OIDs[i]) {
			return nil, ErrBadChain
		}
		// Anybody can write a certificate, and nothing bounds the RSA key in it: to verify
		// with one of 60,000 bits takes a second.
		if _, err := usable.Read(der); err != nil {
			return nil, ErrBadChain
		}
		if i > 0 {
			between.AddCert(certificate)
		}
		if certificate.NotBefore.After(v.notBefore) {
			v.notBefore = certificate.NotBefore
		}
		if certificate.NotAfter.Before(v.over) {
			v.over = certificate.NotAfter
		}
		all = append(all, certificate)
	}
	if len(all) == 0 || all[0].IsCA {
		return nil, ErrBadChain
	}
	all = append(all, root)
	chains, err := all[0].Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	// All of them, in their order: none is there for its extension only.
	if err != nil || !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.EqualFunc(chain, all, (*x509.Certificate).Equal) //nolint:forbidigo // nothing of it is secret
	}) {
		return nil, ErrNoTrust
	}
	v.key = &publickey.Key{Public: all[0].PublicKey}
	return v, nil
}

func has(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal(oid) {
			return true
		}
	}
	return false
}

// ReadRoots reads the certificates that chains may lead to: PEM, or one in DER or in
// base64 of DER. Each must be an authority's.
func ReadRoots(text []byte) ([]*x509.Certificate, error) {
	ders := readCertificates(text)
	if len(ders) == 0 {
		der, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
		if err != nil {
			der = text
		}
		ders = [][]byte{der}
	}
	var roots []*x509.Certificate
	for _, der := range ders {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, ErrNoCertificate
		}
		if !root.IsCA {
			return nil, ErrNoAuthority
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// Errors of ReadRoots.
var (
	ErrNoCertificate = errors.New("no certificate in PEM, DER or base64 of DER")
	ErrNoAuthority   = errors.New("a certificate that is no authority's, and so no root")
)

func readCertificates(text []byte) [][]byte {
	var ders [][]byte
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return ders
		}
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
}

// X5C is that of the certificates in PEM, in their order, for a token that is made for
// tests.
func X5C(text []byte) []string {
	var list []string
	for _, der := range readCertificates(text) {
		list = append(list, base64.StdEncoding.EncodeToString(der))
	}
	return list
}
