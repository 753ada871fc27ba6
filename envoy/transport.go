package envoy

import (
	"crypto/tls"
	"net/netip"

	"github.com/hookbastion/hookbastion/authz"
)

// Edge says what the operator has told of Envoy's place. The zero value trusts
// no header.
type Edge struct {
	// First: senders connect to Envoy itself, with use_remote_address and no
	// trusted hops, so that x-forwarded-proto is Envoy's own.
	First bool
	// TLSVersionHeader is a header in which Envoy writes the TLS version of its
	// peer, over whatever the sender wrote; in lower case, empty if there is
	// none.
	TLSVersionHeader string
}

const (
	forwardedProto = "x-forwarded-proto"
	forwardedCert  = "x-forwarded-client-cert"
)

// peerFacts is what Envoy says of its peer's connection. No sender can write
// it.
type peerFacts struct {
	// serverName is the SNI. With include_tls_session Envoy sends a tls_session
	// for plaintext, too, so that its presence proves nothing.
	serverName             authz.View
	principal, certificate authz.View
}

// readTransport notes what is proven of the sender's connection. Behind a
// trusted proxy, Envoy's peer is that proxy: what Envoy saw says nothing of the
// sender, and what the proxy says counts. Anywhere else nobody could be trusted
// to have written it.
func (p *Mapping) readTransport(m *authz.Request, peer netip.Addr, facts peerFacts) {
	t := &m.Transport
	if p.Source.Behind(peer) {
		t.TLS = overTLS(m.Headers)
		if value, n := m.Headers.Lookup(forwardedCert); n == 1 && t.TLS {
			t.ForwardedCert = value
		}
		return
	}
	t.TLS = len(facts.serverName)+len(facts.principal)+len(facts.certificate) > 0 || p.Edge.First && overTLS(m.Headers)
	t.Principal, t.Certificate = facts.principal, facts.certificate
	if p.Edge.TLSVersionHeader != "" && t.TLS {
		t.Version = tlsVersion(m.Headers, p.Edge.TLSVersionHeader)
	}
}

// overTLS reports whether the one x-forwarded-proto says so.
func overTLS(headers authz.Headers) bool {
	value, n := headers.Lookup(forwardedProto)
	return n == 1 && string(value) == "https"
}

// tlsVersion reads %DOWNSTREAM_TLS_VERSION%; 0 if it is none or stands there
// twice.
func tlsVersion(headers authz.Headers, name string) uint16 {
	value, n := headers.Lookup(name)
	if n != 1 {
		return 0
	}
	switch string(value) {
	case "TLSv1.3":
		return tls.VersionTLS13
	case "TLSv1.2":
		return tls.VersionTLS12
	case "TLSv1.1":
		return tls.VersionTLS11
	case "TLSv1":
		return tls.VersionTLS10
	default:
		return 0
	}
}
