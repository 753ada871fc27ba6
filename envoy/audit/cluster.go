package audit

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
	if c.get("transport_socket_matches").ok() {
		return
	}
	typ, tls := c.get("transport_socket", "typed_config").typed()
	switch {
	case typ == "UpstreamTlsContext":
		if !validates(tls.get("common_tls_context")) {
			a.report(unverifiedServer, c.get("transport_socket"), c.get("name").text())
		}
	case typ == "" || typ == "RawBuffer":
		for _, host := range hosts(c) {
			if !onThisMachine(host.text()) {
				a.report(plainText, host, host.text())
			}
		}
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

// hosts returns the places of a cluster's addresses.
func hosts(c node) []node {
	var found []node
	for _, at := range endpoints(c) {
		if host := at.get("socket_address", "address"); host.ok() {
			found = append(found, host)
		}
	}
	return found
}

// endpoints returns the addresses of a cluster, sockets or pipes.
func endpoints(c node) []node {
	var found []node
	for _, locality := range c.get("load_assignment", "endpoints").items() {
		for _, endpoint := range locality.get("lb_endpoints").items() {
			found = append(found, endpoint.get("endpoint", "address"))
		}
	}
	return found
}
