package audit

import (
	"net"
	"strings"
)

// protocolOptions is the key that HTTP settings of a cluster stand under.
const protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// checkClusters looks at the clusters that the service is asked through, each
// once.
func (a *audit) checkClusters() {
	seen := map[string]bool{}
	for _, name := range a.asked() {
		if seen[name.text()] || name.text() == "" {
			continue
		}
		seen[name.text()] = true
		found := false
		for _, c := range a.clusters {
			if c.get("name").text() == name.text() {
				found = true
				a.checkCluster(c)
			}
		}
		if !found && len(a.clusters) > 0 && !a.dynamic {
			a.report(noCluster, name, name.text())
		}
	}
}

// asked returns the places that name the service's clusters.
func (a *audit) asked() []node {
	var names []node
	for _, m := range a.managers {
		for i := range m.filters {
			f := &m.filters[i]
			if !f.ours {
				continue
			}
			names = append(names, f.body.get("grpc_service", "envoy_grpc", "cluster_name"))
			for _, level := range a.levels(m) {
				if to := level.settings(f.name).get("check_settings", "grpc_service"); !a.isService(targetOf(to).text()) {
					continue // which another rule names
				}
				names = append(names, level.settings(f.name).get("check_settings", "grpc_service", "envoy_grpc", "cluster_name"))
			}
		}
	}
	return names
}

func (a *audit) checkCluster(c node) {
	if !speaksHTTP2(c) {
		a.report(notHTTP2, c.get("name"), c.get("name").text())
	}
	a.checkClusterFilters(c)
	a.checkConnections(c)
	sockets := []node{c.get("transport_socket")}
	if matches := c.get("transport_socket_matches").items(); len(matches) > 0 {
		sockets = sockets[:0]
		for _, m := range matches {
			sockets = append(sockets, m.get("transport_socket"))
		}
	}
	for _, socket := range sockets {
		a.checkWay(c, socket)
	}
}

// checkWay judges a transport socket on the way to the service.
func (a *audit) checkWay(c, socket node) {
	var remote []node
	for _, host := range a.hostsOf(c) {
		if !onThisMachine(host.text()) {
			remote = append(remote, host)
		}
	}
	typ, tls := socket.get("typed_config").typed()
	if most := tls.get("common_tls_context", "tls_params", "tls_maximum_protocol_version"); typ == "UpstreamTlsContext" && !a.TLS12 && most.text() != "TLSv1_3" && most.text() != "4" {
		a.report(oldTLS, firstOf(most, tls.get("common_tls_context", "tls_params"), socket), c.get("name").text())
	}
	switch {
	case typ == "UpstreamTlsContext" && !validates(tls.get("common_tls_context")):
		a.report(unverifiedServer, socket, c.get("name").text())
	case typ == "UpstreamTlsContext" && len(remote) > 0 && !names(c, tls):
		a.report(unnamedServer, socket, c.get("name").text())
	case typ == "" || typ == "RawBuffer":
		for _, host := range remote {
			a.report(plainText, host, host.text())
		}
	}
}

// names reports whether a certificate must be the service's own, and not just one of an
// authority that makes others too. What comes from elsewhere is trusted to be right.
func names(c, tls node) bool {
	common := tls.get("common_tls_context")
	context := common.get("validation_context")
	if !context.ok() {
		if context = common.get("combined_validation_context", "default_validation_context"); !context.ok() {
			return true
		}
		sds := common.get("combined_validation_context", "validation_context_sds_secret_config")
		if sds.ok() && !context.get("trusted_ca").ok() && !context.get("system_root_certs").ok() && len(context.val.Content) == 0 {
			return true
		}
	}
	for _, field := range []string{
		"match_typed_subject_alt_names", "match_subject_alt_names", "verify_certificate_spki", "verify_certificate_hash", "custom_validator_config",
	} {
		if context.get(field).ok() {
			return true
		}
	}
	_, options := c.get("typed_extension_protocol_options").key(protocolOptions).typed()
	return tls.get("auto_sni_san_validation").truth() || options.get("upstream_http_protocol_options", "auto_san_validation").truth()
}

// checkGoogle judges the way that Google's library takes. Over TLS it checks the name.
func (a *audit) checkGoogle(google node) {
	credentials := google.get("channel_credentials")
	if credentials.get("ssl_credentials").ok() || credentials.get("google_default").ok() {
		return
	}
	to := google.get("target_uri")
	host := to.text()
	if strings.HasPrefix(host, "unix:") {
		return
	}
	if h, _, err := net.SplitHostPort(host[strings.LastIndexByte(host, '/')+1:]); err == nil {
		host = h
	}
	if !onThisMachine(host) {
		a.report(plainText, to, to.text())
	}
}

// fewCalls is how many calls a connection should take at least, at once and in all.
const fewCalls = 1000

// checkConnections looks whether calls get connections of their own.
func (a *audit) checkConnections(c node) {
	_, options := c.get("typed_extension_protocol_options").key(protocolOptions).typed()
	for _, limit := range []node{
		c.get("http2_protocol_options", "max_concurrent_streams"),
		options.get("explicit_http_config", "http2_protocol_options", "max_concurrent_streams"),
		options.get("auto_config", "http2_protocol_options", "max_concurrent_streams"),
		options.get("common_http_protocol_options", "max_requests_per_connection"),
		c.get("max_requests_per_connection"),
	} {
		if n, ok := limit.number(); ok && n < fewCalls {
			a.report(manyConnections, limit, limit.text())
		}
	}
}

func speaksHTTP2(c node) bool {
	_, options := c.get("typed_extension_protocol_options").key(protocolOptions).typed()
	return c.get("http2_protocol_options").ok() || // deprecated, still taken
		options.get("explicit_http_config", "http2_protocol_options").ok() ||
		options.get("auto_config").ok() // agreed by ALPN
}

// hostsOf returns the places of a cluster's addresses.
func (a *audit) hostsOf(c node) []node {
	var found []node
	for _, at := range a.endpoints(c) {
		if host := at.get("socket_address", "address"); host.ok() {
			found = append(found, host)
		}
	}
	return found
}
