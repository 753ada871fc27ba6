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

// Finding is something that a policy leaves weak.
type Finding struct {
	Error
	// ID names the finding for machines, HB and three digits.
	ID string `json:"id"`
	// Severity is warning or info.
	Severity string `json:"severity"`
}

// FindingIDs are the ids of all findings.
var FindingIDs = []string{"HB040", "HB050", "HB051", "HB060", "HB061", "HB062", "HB070", "HB071", "HB072", "HB073", "HB080", "HB081", "HB090", "HB091"}

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

// TransportFindings lists what the webhooks ask of transport and the settings
// cannot prove, or leave to Envoy.
func (s *Set) TransportFindings(proofs Proofs) ([]Finding, error) {
	var all []Finding
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		t := w.GetTransport()
		add := func(id, severity, message string, steps ...any) {
			p := at.At("transport").At(steps...)
			all = append(all, Finding{Error: p.Error(message), ID: id, Severity: severity})
		}
		client := t.GetClientCertificate()
		if t.GetRequireTls() && client == nil && !proofs.Forwarded {
			add("HB060", "warning", "nothing in the settings proves TLS: every request is refused unless Envoy's filter has include_tls_session: true; or set envoy.edge, or name the proxies in source", "require_tls")
		}
		if t.GetMinVersion() != 0 && !proofs.Version {
			add("HB061", "warning", "the TLS version is not known, and every request is refused: set envoy.tls_version_header", "min_version")
		}
		if client != nil && client.GetCa() == nil && len(client.GetFingerprints()) == 0 {
			add("HB062", "info", "names alone are as good as Envoy's verification of certificates: add ca, or make sure that Envoy has a validation_context", "client_certificate", "sans")
		}
	})
	return all, err
}
