package fetch

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxChain is how many certificates a chain may have.
const maxChain = 10

// Errors of chains.
var (
	ErrNotCertificates = fmt.Errorf("not 1 to %d certificates in PEM and nothing else", maxChain)
	ErrNames           = errors.New("the certificate has none of the names that are expected")
	ErrUntrusted       = errors.New("no authority that counts has signed the certificate for this use and time")
)

// Chain is a certificate whose authorities were checked. It is immutable.
type Chain struct {
	Leaf *x509.Certificate
	// NotBefore and NotAfter bound the time at which all of the chain is valid.
	NotBefore, NotAfter time.Time
}

// ValidAt reports whether the whole chain is valid at a time.
func (c *Chain) ValidAt(now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

// ParseCertificates reads certificates in PEM, the first of which is the one that
// signs. Whatever else is in the text is an error.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	rest := bytes.TrimSpace(text)
	for len(rest) > 0 {
		// pem.Decode passes over what is in front of a block.
		if !bytes.HasPrefix(rest, []byte("-----BEGIN CERTIFICATE-----")) {
			return nil, ErrNotCertificates
		}
		block, after := pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || len(all) == maxChain {
			return nil, ErrNotCertificates
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ErrNotCertificates
		}
		all, rest = append(all, certificate), bytes.TrimSpace(after)
	}
	if len(all) == 0 {
		return nil, ErrNotCertificates
	}
	return all, nil
}

// Trust says which certificates count.
type Trust struct {
	// Roots are the authorities; nil: those of the machine.
	Roots *x509.CertPool
	// Names are those of which the first certificate must have one as a DNS name:
	// a name, exactly, or *. and a domain, for any name below it. Wildcards in
	// certificates match nothing, and the subject's common name is none.
	Names []string
	// LeafAlone takes a first certificate that comes alone, without the
	// authorities in between, on the word of the server that it came from; one
	// that signed itself is no such one.
	LeafAlone bool
}

// Check checks chain, names, times and use of certificates, the first of which
// signs.
func (t *Trust) Check(certificates []*x509.Certificate, now time.Time) (*Chain, error) {
	leaf := certificates[0]
	if !t.named(leaf) {
		return nil, ErrNames
	}
	between := x509.NewCertPool()
	for _, c := range certificates[1:] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: t.Roots, Intermediates: between, CurrentTime: now})
	if err == nil {
		return lasting(chains), nil
	}
	alone := len(certificates) == 1 && !leaf.IsCA && leaf.CheckSignatureFrom(leaf) != nil && !bytes.Equal(leaf.RawIssuer, leaf.RawSubject) //nolint:forbidigo // nothing of it is secret
	var unknown x509.UnknownAuthorityError
	if t.LeafAlone && alone && errors.As(err, &unknown) && !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter) {
		return &Chain{Leaf: leaf, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}, nil
	}
	return nil, ErrUntrusted
}

// named reports whether a certificate has one of the names.
func (t *Trust) named(c *x509.Certificate) bool {
	for _, want := range t.Names {
		domain, below := strings.CutPrefix(want, "*.")
		for _, name := range c.DNSNames {
			name = strings.ToLower(name)
			if !strings.Contains(name, "*") && (name == want || below && strings.HasSuffix(name, "."+domain)) {
				return true
			}
		}
	}
	return false
}

// lasting returns the chain that is valid for longest.
func lasting(chains [][]*x509.Certificate) *Chain {
	var best *Chain
	for _, chain := range chains {
		c := &Chain{Leaf: chain[0], NotBefore: chain[0].NotBefore, NotAfter: chain[0].NotAfter}
		for _, certificate := range chain[1:] {
			if certificate.NotBefore.After(c.NotBefore) {
				c.NotBefore = certificate.NotBefore
			}
			if certificate.NotAfter.Before(c.NotAfter) {
				c.NotAfter = certificate.NotAfter
			}
		}
		if best == nil || c.NotAfter.After(best.NotAfter) {
			best = c
		}
	}
	return best
}
