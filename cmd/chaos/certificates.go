package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"time"
)

// certificates are those of Envoy and of two senders, all of one authority.
type certificates struct {
	pool             *x509.CertPool
	sender, stranger tls.Certificate
}

// makeCertificates makes them, and writes Envoy's files into the world's directory.
func (w *world) makeCertificates() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return err
	}
	if authority, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	w.certificates.pool = x509.NewCertPool()
	w.certificates.pool.AddCert(authority)
	issue := func(serial int64, c *x509.Certificate) (tls.Certificate, error) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return tls.Certificate{}, err
		}
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(serial), authority.NotBefore, authority.NotAfter
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		der, err := x509.CreateCertificate(rand.Reader, c, authority, own.Public(), key)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}, err
	}
	server, err := issue(2, &x509.Certificate{DNSNames: []string{"hooks.example.com"}})
	if err != nil {
		return err
	}
	name := func(path string) []*url.URL { return []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: path}} }
	if w.certificates.sender, err = issue(3, &x509.Certificate{URIs: name("/sender")}); err != nil {
		return err
	}
	if w.certificates.stranger, err = issue(4, &x509.Certificate{URIs: name("/stranger")}); err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		return err
	}
	for file, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: authority.Raw}, "server.pem": {Type: "CERTIFICATE", Bytes: server.Certificate[0]}, "server.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(w.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
