package audit

import "strings"

// behindProxies reports whether the service takes its facts of the sender from a
// proxy.
func (a *audit) behindProxies() bool { return a.TrustedHops > 0 || a.TrustedCIDRs }

// checkProofs looks whether the filter tells what policies ask of a sender's
// connection. Behind proxies, Envoy's own connection counts for nothing.
func (a *audit) checkProofs(f *filter) {
	if a.behindProxies() {
		return
	}
	if v := f.body.get("include_tls_session"); a.RequireTLS && !a.Edge && !v.truth() {
		a.report(noTLSSession, v)
	}
	if v := f.body.get("include_peer_certificate"); a.RequireWhole && !v.truth() {
		a.report(noPeerCertificate, v)
	}
}

// checkSenders judges what the manager and its listener do to the facts of a
// sender's connection.
func (a *audit) checkSenders(m *manager) {
	if !m.whole {
		return
	}
	if a.Edge && (!m.body.get("use_remote_address").truth() || m.body.get("xff_num_trusted_hops").numberOr(0) > 0) {
		a.report(noEdge, m.body.get("use_remote_address"))
	}
	if a.TLSVersionHeader != "" && !writesVersion(m.body, a.TLSVersionHeader) {
		a.report(versionForged, m.body.get("early_header_mutation_extensions"), a.TLSVersionHeader)
	}
	if !a.RequireCertificate {
		return
	}
	if a.behindProxies() {
		if v := m.body.get("forward_client_cert_details"); v.text() != "ALWAYS_FORWARD_ONLY" {
			a.report(notForwarded, v)
		}
		return
	}
	socket := m.chain.get("transport_socket")
	_, tls := socket.get("typed_config").typed()
	common := tls.get("common_tls_context")
	if m.chain.ok() && !tls.get("require_client_certificate").truth() && !validates(common) && !anybodys(common).ok() {
		a.report(notAsked, socket)
	}
}

// writesVersion reports whether Envoy writes the TLS version into the header,
// over whatever the sender wrote, before its filters run.
func writesVersion(body node, header string) bool {
	for _, extension := range body.get("early_header_mutation_extensions").items() {
		_, mutation := extension.get("typed_config").typed()
		for _, m := range mutation.get("mutations").items() {
			set := m.get("append")
			if strings.EqualFold(set.get("header", "key").text(), header) &&
				set.get("header", "value").text() == "%DOWNSTREAM_TLS_VERSION%" &&
				set.get("append_action").text() == "OVERWRITE_IF_EXISTS_OR_ADD" {
				return true
			}
		}
	}
	return false
}
