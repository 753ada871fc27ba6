package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// transport compiles what is asked of the sender's connection; nil if nothing
// is.
func (c *compiler) transport(p *policyv1.Transport, file string, at strictyaml.Place) authz.Check {
	if p == nil {
		return nil
	}
	check := &transport.Check{}
	switch p.GetMinVersion() {
	case policyv1.Transport_TLSV1_2:
		check.MinVersion = tls.VersionTLS12
	case policyv1.Transport_TLSV1_3:
		check.MinVersion = tls.VersionTLS13
	default:
	}
	if p.GetClientCertificate() != nil {
		check.Client = c.clientCertificate(p.GetClientCertificate(), file, at.At("client_certificate"))
	}
	if !p.GetRequireTls() && check.MinVersion == 0 && check.Client == nil {
		c.faults.Fail(at, "asks for nothing; say require_tls: true, or leave it out")
	}
	return check
}

func (c *compiler) clientCertificate(p *policyv1.ClientCertificate, file string, at strictyaml.Place) *transport.Client {
	client := &transport.Client{}
	var err error
	if client.Names, err = transport.ParseNames(p.GetSans()); err != nil {
		c.faults.Fail(at.At("sans"), err.Error())
	}
	for _, text := range p.GetFingerprints() {
		sum, err := hex.DecodeString(strings.TrimPrefix(text, "sha256:"))
		if err == nil && len(sum) == sha256.Size { // or else it was refused already
			client.Fingerprints = append(client.Fingerprints, [sha256.Size]byte(sum))
		}
	}
	if name := p.GetCa().GetFile(); name != "" {
		value, err := secret.Ref{File: keys.RelativeTo(file, name)}.Load()
		if err == nil {
			client.Authorities, err = transport.Pool(value.Reveal())
		}
		if err != nil {
			c.faults.Fail(at.At("ca", "file"), err.Error())
		}
	}
	if len(p.GetSans()) == 0 && len(p.GetFingerprints()) == 0 && p.GetCa() == nil {
		c.faults.Fail(at, "needs sans, fingerprints or ca")
	}
	return client
}

// Proofs is what the settings let the service know of a sender's connection.
type Proofs struct {
	// Forwarded: x-forwarded-proto can be trusted, since Envoy is the edge or
	// its hops are named.
	Forwarded bool
	// Version: Envoy writes the TLS version.
	Version bool
}

// TransportNeeds is what webhooks ask of the sender's connection.
type TransportNeeds struct {
	// TLS without a certificate, Certificate of any webhook; Whole: a name is
	// not enough.
	TLS, Certificate, Whole bool
}

// TransportNeeds says what the webhooks of the set ask for.
func (s *Set) TransportNeeds() (TransportNeeds, error) {
	var needs TransportNeeds
	err := s.Each(func(w *policyv1.Webhook, _ strictyaml.Place) {
		t := w.GetTransport()
		client := t.GetClientCertificate()
		needs.TLS = needs.TLS || client == nil && (t.GetRequireTls() || t.GetMinVersion() != 0)
		needs.Certificate = needs.Certificate || client != nil
		needs.Whole = needs.Whole || client.GetCa() != nil || len(client.GetFingerprints()) > 0
	})
	return needs, err
}
