// Package transport checks how the sender reached Envoy: over TLS, of which
// version, and with which certificate.
//
// It judges only what is proven: [authz.Transport] has nothing in it that a
// sender alone can say. Where nothing proves it, the request is refused.
//
// Names alone are as good as Envoy's own verification: Envoy gives the names of
// a certificate that it was told not to verify, too. An authority or a
// fingerprint is checked here, from the certificate itself.
package transport

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Check asks for TLS. It is safe for concurrent use.
type Check struct {
	// MinVersion is the oldest version, as crypto/tls numbers it; 0: any.
	MinVersion uint16
	// Client is asked of the sender's certificate; nil: nothing.
	Client *Client
}

// Client is what a sender's certificate must satisfy: all that is given.
type Client struct {
	// Names are SANs of which it must have one.
	Names Names
	// Fingerprints are SHA-256 of certificates in DER form of which it must be
	// one.
	Fingerprints [][sha256.Size]byte
	// Authorities is who must have signed it; nil: Envoy's word is taken.
	Authorities *x509.CertPool
}

// Stage returns StageTransport.
func (c *Check) Stage() authz.Stage { return authz.StageTransport }

// Run compares what is proven with what is asked for.
func (c *Check) Run(call *authz.Call) authz.Reason {
	t := &call.Request.Transport
	if call.Explanation != nil {
		call.Explain(c.expected(), found(t))
	}
	if !t.TLS || c.MinVersion != 0 && t.Version < c.MinVersion {
		return authz.TLSRequired
	}
	if c.Client != nil && !c.Client.satisfied(t, call.Now) {
		return authz.ClientCertificate
	}
	return authz.OK
}

func (c *Client) satisfied(t *authz.Transport, now time.Time) bool {
	if c.Names.Any() && len(c.Fingerprints) == 0 && c.Authorities == nil {
		return false // it would be satisfied by nothing
	}
	shown := identity{principal: string(t.Principal)}
	encoded := t.Certificate
	if len(t.ForwardedCert) > 0 {
		f, ok := parseForwarded(t.ForwardedCert)
		if !ok {
			return false
		}
		shown = identity{uris: f.uris, dns: f.dns, fingerprint: f.hash}
		encoded = f.certificate
	}
	if len(encoded) > 0 {
		leaf, ok := decode(encoded)
		if !ok {
			return false
		}
		shown = identity{leaf: leaf, fingerprint: sha256.Sum256(leaf.Raw)}
	}
	return c.allows(&shown, now)
}

// identity is what is known of a certificate: all of it, or some names and
// perhaps a fingerprint.
type identity struct {
	leaf        *x509.Certificate
	principal   string
	uris, dns   []string
	fingerprint [sha256.Size]byte // zero if it is not known
}

func (c *Client) allows(id *identity, now time.Time) bool {
	if len(c.Fingerprints) > 0 && (id.fingerprint == [sha256.Size]byte{} || !slices.Contains(c.Fingerprints, id.fingerprint)) {
		return false
	}
	if c.Authorities != nil && !signed(id.leaf, c.Authorities, now) {
		return false
	}
	switch {
	case c.Names.Any():
		return true
	case id.leaf != nil:
		return c.Names.Check(id.leaf) == nil
	case id.principal != "":
		return c.Names.text(id.principal)
	default:
		return c.Names.listed(id.uris, id.dns)
	}
}

func signed(leaf *x509.Certificate, authorities *x509.CertPool, now time.Time) bool {
	if leaf == nil {
		return false
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: authorities, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// maxCertificate is the longest encoded certificate that is read, in bytes.
const maxCertificate = 32 << 10

// decode reads one certificate, PEM in URL encoding.
func decode(encoded authz.View) (*x509.Certificate, bool) {
	if len(encoded) > maxCertificate {
		return nil, false
	}
	text, err := url.PathUnescape(string(encoded)) // a plus is a plus
	if err != nil {
		return nil, false
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return leaf, err == nil
}

// ErrNoCertificate says that a file has none.
var ErrNoCertificate = errors.New("has no certificate in PEM form")

// Pool reads the certificates of authorities. Anything else among them is a
// mistake.
func Pool(text []byte) (*x509.CertPool, error) {
	p, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("has a block %q among the certificates", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		p.AddCert(certificate)
		n++
	}
	if n == 0 || len(bytes.TrimSpace(text)) > 0 {
		return nil, ErrNoCertificate
	}
	return p, nil
}

func (c *Check) expected() string {
	text := "TLS"
	if c.MinVersion != 0 {
		text = tls.VersionName(c.MinVersion) + " or later"
	}
	if c.Client != nil {
		text += ", with a client certificate of the policy"
	}
	return text
}

func found(t *authz.Transport) string {
	switch {
	case !t.TLS:
		return "nothing that proves TLS"
	case len(t.ForwardedCert) > 0:
		return "TLS, with a certificate that a proxy tells of"
	case len(t.Principal)+len(t.Certificate) > 0:
		return fmt.Sprintf("TLS, with a certificate of %q", t.Principal)
	case t.Version != 0:
		return tls.VersionName(t.Version) + ", without a certificate"
	default:
		return "TLS, without a certificate"
	}
}
