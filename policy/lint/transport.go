package lint

import "github.com/hookbastion/hookbastion/policy/finding"

var noTLS = Rule{
	Rule: finding.Rule{
		ID: "HB060", Severity: finding.Warning,
		Title: "a webhook asks for TLS, and nothing in the settings proves it",
		Risk:  "Every delivery is refused with tls_required, and the provider switches the endpoint off.",
		Fix:   "Set envoy.edge, name the proxies in source, or set include_tls_session: true in Envoy's filter.",
		Link:  "transport.md#the-sender-to-envoy",
	},
	each: func(p *pass, w *webhook) {
		t := w.GetTransport()
		if t.GetRequireTls() && t.GetClientCertificate() == nil && !p.Proofs.Forwarded {
			p.report(w.at.At("transport", "require_tls"), "nothing in the settings proves TLS: every request is refused unless Envoy's filter has include_tls_session: true; or set envoy.edge, or name the proxies in source")
		}
	},
}

var noTLSVersion = Rule{
	Rule: finding.Rule{
		ID: "HB061", Severity: finding.Warning,
		Title: "transport.min_version is asked for, and the version is not known",
		Risk:  "Every delivery is refused with tls_required, and the provider switches the endpoint off.",
		Fix:   "Set envoy.tls_version_header, and have Envoy write that header.",
		Link:  "transport.md#the-sender-to-envoy",
	},
	each: func(p *pass, w *webhook) {
		if w.GetTransport().GetMinVersion() != 0 && !p.Proofs.Version {
			p.report(w.at.At("transport", "min_version"), "the TLS version is not known, and every request is refused: set envoy.tls_version_header")
		}
	},
}

var namesAlone = Rule{
	Rule: finding.Rule{
		ID: "HB062", Severity: finding.Info,
		Title: "names of client certificates are as good as Envoy's verification of certificates",
		Risk:  "Where Envoy asks for certificates and does not verify them, whoever makes one with that name passes.",
		Fix:   "Add client_certificate.ca, or make sure that Envoy has a validation_context.",
		Link:  "transport.md#the-sender-to-envoy",
	},
	each: func(p *pass, w *webhook) {
		client := w.GetTransport().GetClientCertificate()
		if client != nil && client.GetCa() == nil && len(client.GetFingerprints()) == 0 {
			p.report(w.at.At("transport", "client_certificate", "sans"), "names alone are as good as Envoy's verification of certificates: add ca, or make sure that Envoy has a validation_context")
		}
	},
}
