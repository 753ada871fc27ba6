package envoytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Authority issues certificates for tests.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// PEM is the authority's own certificate.
	PEM []byte
}

// Issue says what a certificate holds. It is for servers and clients both, and
// for 127.0.0.1.
type Issue struct {
	// Name is the common name.
	Name string
	URIs []string
	DNS  []string
	// NotAfter is a day from now if zero.
	NotAfter time.Time
}

// NewAuthority makes an authority with a key of its own.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Authority{certificate: certificate, key: key, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// Issue returns a new certificate and its key.
func (a *Authority) Issue(issue Issue) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: issue.Name},
		NotBefore: time.Now().Add(-36 * time.Hour), NotAfter: issue.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: issue.DNS,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	for _, text := range issue.URIs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, nil, err
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}

// IssueFiles writes a new certificate and its key as NAME.crt and NAME.key into
// the directory, each in one step.
func (a *Authority) IssueFiles(dir, name string, issue Issue) (certFile, keyFile string, err error) {
	cert, key, err := a.Issue(issue)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	return certFile, keyFile, errors.Join(Replace(certFile, cert), Replace(keyFile, key))
}

// Replace writes a file in one step.
func Replace(file string, data []byte) error {
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// ServiceTLS is how Envoy connects to the service. Empty fields are left out.
type ServiceTLS struct {
	// Cert and Key are what Envoy shows.
	Cert, Key string
	// CA verifies the service, whose certificate must have the DNS name SAN.
	CA, SAN string
	// Old leaves Envoy's own default, which is at most TLS 1.2 to a cluster.
	Old bool
}

// SetServiceTLS puts TLS on the cluster of the service.
func (c Config) SetServiceTLS(t ServiceTLS) {
	common := map[string]any{}
	if !t.Old {
		common["tls_params"] = map[string]any{"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
	}
	if t.Cert != "" {
		common["tls_certificates"] = []any{map[string]any{
			"certificate_chain": map[string]any{"filename": t.Cert}, "private_key": map[string]any{"filename": t.Key},
		}}
	}
	if t.CA != "" {
		common["validation_context"] = map[string]any{
			"trusted_ca": map[string]any{"filename": t.CA},
			"match_typed_subject_alt_names": []any{map[string]any{
				"san_type": "DNS", "matcher": map[string]any{"exact": t.SAN},
			}},
		}
	}
	clusters, _ := c.At("static_resources", "clusters").([]any)
	for i := range clusters {
		if c.At("static_resources", "clusters", i, "name") == "hookbastion" {
			c.Map("static_resources", "clusters", i)["transport_socket"] = map[string]any{
				"name": "envoy.transport_sockets.tls",
				"typed_config": map[string]any{
					"@type":              "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
					"common_tls_context": common,
				},
			}
		}
	}
}
