package fetch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

var chainNow = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

// issue makes a certificate that is valid from two days before chainNow until days
// after it; without a parent it signs itself.
func issue(t testing.TB, parent *authority, ca bool, days int, names ...string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "sns.example"}, DNSNames: names,
		NotBefore: chainNow.AddDate(0, 0, -2), NotAfter: chainNow.AddDate(0, 0, days), BasicConstraintsValid: true, IsCA: ca,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ca {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
		template.Subject.CommonName = "authority " + template.SerialNumber.String()
	}
	signer, issuer := key, template
	if parent != nil {
		signer, issuer = parent.key, parent.certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func TestChains(t *testing.T) {
	root := issue(t, nil, true, 1000)
	between := issue(t, root, true, 50)
	leaf := issue(t, between, false, 100, "sns.example", "*.wild.example")
	old := issue(t, between, false, -1, "sns.example")
	self := issue(t, nil, false, 100, "sns.example")
	stranger := issue(t, nil, true, 100)
	strangers := issue(t, stranger, false, 100, "sns.example")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	sns := []string{"sns.example"}
	tests := []struct {
		name  string
		trust Trust
		chain []*authority
		at    time.Duration
		want  error
	}{
		{"whole", Trust{Names: sns}, []*authority{leaf, between}, 0, nil},
		{"with its root", Trust{Names: sns}, []*authority{leaf, between, root}, 0, nil},
		{"another name", Trust{Names: []string{"other.example"}}, []*authority{leaf, between}, 0, ErrNames},
		{"a part of a name", Trust{Names: []string{"ns.example"}}, []*authority{leaf, between}, 0, ErrNames},
		{"a name below", Trust{Names: []string{"*.example"}}, []*authority{leaf, between}, 0, nil},
		{"a name that is the domain", Trust{Names: []string{"*.sns.example"}}, []*authority{leaf, between}, 0, ErrNames},
		{"a wildcard of the certificate", Trust{Names: []string{"a.wild.example", "*.wild.example"}}, []*authority{leaf, between}, 0, ErrNames},
		{"no names", Trust{}, []*authority{leaf, between}, 0, ErrNames},
		{"the common name alone", Trust{Names: sns}, []*authority{issue(t, root, false, 10)}, 0, ErrNames},
		{"without what is between", Trust{Names: sns}, []*authority{leaf}, 0, ErrUntrusted},
		{"another authority", Trust{Names: sns}, []*authority{strangers, stranger}, 0, ErrUntrusted},
		{"signed by itself", Trust{Names: sns}, []*authority{self}, 0, ErrUntrusted},
		{"over", Trust{Names: sns}, []*authority{old, between}, 0, ErrUntrusted},
		{"its authority is over", Trust{Names: sns}, []*authority{leaf, between}, 60 * 24 * time.Hour, ErrUntrusted},
		{"not yet", Trust{Names: sns}, []*authority{leaf, between}, -60 * 24 * time.Hour, ErrUntrusted},
		{"alone, which is enough", Trust{Names: sns, LeafAlone: true}, []*authority{leaf}, 0, nil},
		{"alone and over", Trust{Names: sns, LeafAlone: true}, []*authority{old}, 0, ErrUntrusted},
		{"alone, with another name", Trust{Names: []string{"b.example"}, LeafAlone: true}, []*authority{leaf}, 0, ErrNames},
		{"alone and signed by itself", Trust{Names: sns, LeafAlone: true}, []*authority{self}, 0, ErrUntrusted},
		{"not alone", Trust{Names: sns, LeafAlone: true}, []*authority{strangers, stranger}, 0, ErrUntrusted},
		{"an authority as leaf", Trust{Names: sns, LeafAlone: true}, []*authority{issue(t, between, true, 10, "sns.example")}, 0, ErrUntrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var text []byte
			for _, a := range tt.chain {
				text = append(text, a.pem...)
			}
			certificates, err := ParseCertificates(text)
			if err != nil {
				t.Fatal(err)
			}
			tt.trust.Roots = roots
			chain, err := tt.trust.Check(certificates, chainNow.Add(tt.at))
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && (chain.Leaf != certificates[0] || !chain.ValidAt(chainNow) || chain.ValidAt(chainNow.AddDate(0, 0, 101)) || chain.ValidAt(chainNow.AddDate(0, 0, -3))) {
				t.Errorf("%+v", chain)
			}
		})
	}
	certificates, err := ParseCertificates(append(leaf.pem, between.pem...))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := (&Trust{Names: sns, Roots: roots}).Check(certificates, chainNow)
	if err != nil || chain.ValidAt(chainNow.AddDate(0, 0, 51)) {
		t.Errorf("a chain lasts as long as each of it: %v", err)
	}
}

func TestWhatIsNoCertificate(t *testing.T) {
	one := issue(t, nil, false, 1, "a.example").pem
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{0x30, 0}})
	headed := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"A": "b"}, Bytes: []byte{1}})
	for name, text := range map[string][]byte{
		"nothing": nil, "white space": []byte(" \n"), "text": []byte("no"), "a key": key, "a key behind": append(bytes.Clone(one), key...), "text before": append([]byte("x\n"), one...),
		"text behind": append(bytes.Clone(one), 'x'), "cut": one[:len(one)-30], "headers": headed, "too many": bytes.Repeat(one, maxChain+1),
		"rubbish inside": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		if all, err := ParseCertificates(text); !errors.Is(err, ErrNotCertificates) {
			t.Errorf("%s: %d certificates, %v", name, len(all), err)
		}
	}
	if all, err := ParseCertificates(bytes.Repeat(append([]byte("\r\n"), one...), maxChain)); err != nil || len(all) != maxChain {
		t.Error(len(all), err)
	}
}
