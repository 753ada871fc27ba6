package audit

import (
	"net/netip"
	"slices"
	"strings"
)

// anyAddress is that of a cluster that asks the request where to go.
const anyAddress = "*"

// sameServer reports whether two clusters have an address in common: control planes
// make one for each use.
func (a *audit) sameServer(one, other string) bool {
	return slices.ContainsFunc(a.addresses(other), func(address string) bool {
		return slices.Contains(a.addresses(one), address)
	})
}

// addresses are those of a cluster, as far as a file says them; of an address itself, as
// google_grpc names one, it alone.
func (a *audit) addresses(cluster string) []string {
	if a.byCluster == nil {
		a.byCluster = map[string][]string{}
		for _, c := range a.clusters {
			name := c.get("name").text()
			a.byCluster[name] = append(a.byCluster[name], a.addressesOf(c)...)
		}
	}
	if found, ok := a.byCluster[cluster]; ok {
		return found
	}
	if host, port, ok := strings.Cut(cluster, ":"); ok && !strings.Contains(port, ":") {
		return []string{host + " " + port}
	}
	return nil
}

func (a *audit) addressesOf(c node) (found []string) {
	typ, body := c.get("cluster_type", "typed_config").typed()
	if strings.Contains(c.get("cluster_type", "name").text()+typ, "dynamic_forward_proxy") || strings.Contains(c.get("cluster_type", "typed_config").typeName(), "dynamic_forward_proxy") {
		return []string{anyAddress}
	}
	if c.get("type").text() == "ORIGINAL_DST" && c.get("original_dst_lb_config", "use_http_header").truth() {
		return []string{anyAddress}
	}
	for _, inner := range body.get("clusters").items() { // an aggregate
		found = append(found, a.addressesByName(inner.text())...)
	}
	for _, at := range a.endpoints(c) {
		if address := addressOf(at); address != "" {
			found = append(found, address)
		}
	}
	return found
}

// addressesByName are those of a cluster within another.
func (a *audit) addressesByName(name string) (found []string) {
	for _, c := range a.clusters {
		if c.get("name").text() == name && !c.get("cluster_type").ok() {
			found = append(found, a.addressesOf(c)...)
		}
	}
	return found
}

// endpoints returns the addresses of a cluster, sockets or pipes, its own and those
// that came by themselves.
func (a *audit) endpoints(c node) []node {
	found := endpoints(c.get("load_assignment"))
	name := c.get("eds_cluster_config", "service_name").text()
	if name == "" {
		name = c.get("name").text()
	}
	for _, assigned := range a.assigned[name] {
		found = append(found, endpoints(assigned)...)
	}
	return found
}

// endpoints returns the addresses of a ClusterLoadAssignment.
func endpoints(assignment node) []node {
	var found []node
	for _, locality := range assignment.get("endpoints").items() {
		for _, endpoint := range locality.get("lb_endpoints").items() {
			found = append(found, endpoint.get("endpoint", "address"))
		}
	}
	return found
}

// addressOf writes an address so that it can be compared.
func addressOf(at node) string {
	socket := at.get("socket_address")
	switch {
	case at.get("envoy_internal_address").ok():
		return "internal " + at.get("envoy_internal_address", "server_listener_name").text()
	case socket.ok():
		host := socket.get("address").text()
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.Unmap().String()
		}
		if host == "localhost" || host == "::1" {
			host = "127.0.0.1"
		}
		return host + " " + socket.get("port_value").text()
	case at.get("pipe").ok():
		return "pipe " + at.get("pipe", "path").text()
	default:
		return ""
	}
}

// listenerAt is the listener at an address. One for all addresses of the machine counts.
func (a *audit) listenerAt(address string) (node, bool) {
	for _, m := range a.managers {
		if listens(m.listener, address) {
			return m.listener, true
		}
	}
	for _, p := range a.proxies {
		if listens(p.listener, address) {
			return p.listener, true
		}
	}
	return node{}, false
}

func listens(listener node, address string) bool {
	if !listener.ok() {
		return false
	}
	if name, ok := strings.CutPrefix(address, "internal "); ok {
		return listener.get("internal_listener").ok() && listener.get("name").text() == name
	}
	at := addressOf(listener.get("address"))
	host, port, _ := strings.Cut(address, " ")
	onHost, onPort, _ := strings.Cut(at, " ")
	if port == "" || port != onPort || port == "0" {
		return false
	}
	ip, err := netip.ParseAddr(onHost)
	return host == onHost || err == nil && ip.IsUnspecified() && onThisMachine(host)
}
