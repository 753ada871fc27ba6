package audit

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// manager is an HTTP connection manager, or a piece with HTTP filters alone.
type manager struct {
	body     node
	whole    bool // not a piece that only holds filters
	listener node
	chain    node
	entries  []node // of http_filters
	// top are those filters, filters those and all within them, and those
	// of upgrades.
	top, filters []filter
	upgrades     []upgrade
	model        *model.Manager // nil while no file has its routes
	open, signed model.Result   // what becomes of requests that nobody, or a sender, signed
	// decompressed says that a filter decompresses requests before the service is
	// asked.
	decompressed bool
}

// upgrade is an entry of upgrade_configs.
type upgrade struct {
	kind    string // in lower case
	allowed bool
	place   node
	top     []filter // its own chain
}

// filter is one entry of http_filters.
type filter struct {
	entry node
	name  string
	kind  string // ext_authz, lua, …, by the package of its type
	body  node
	ours  bool
	// inner are the filters of a filter_chain, or the one behind a matcher; of a composite
	// filter, composite is its own message.
	inner     []filter
	composite node
}

// asks reports whether one of the filters asks the service.
func (m *manager) asks() bool {
	for i := range m.filters {
		if m.filters[i].ours {
			return true
		}
	}
	return false
}

// place is where in a configuration a walk is.
type place struct{ listener, chain node }

// walker finds managers, clusters and route configurations wherever they
// stand, so that a bootstrap, a dump and a piece need no reader of their own.
type walker struct {
	*audit
	data     []byte              // of the file
	dump     bool                // listeners stand beside the bootstrap once more
	found    bool                // something of Envoy's
	within   map[*yaml.Node]bool // what encloses a node; aliases can make it itself
	nodes    int
	tooLarge bool
}

func (w *walker) walk(n node, p place, depth int) {
	if !n.ok() {
		return
	}
	if w.nodes++; w.nodes > maxNodes || depth > maxDepth || w.within[n.val] {
		w.tooLarge = true
	}
	if w.tooLarge {
		return
	}
	w.within[n.val] = true
	defer delete(w.within, n.val)
	if n.val.Kind == yaml.SequenceNode {
		w.list(n, p, depth)
		return
	}
	typ, body := n.typed()
	if old(n.typeName()) || isOldFilter(n) {
		w.found = true
		w.skip(n, "it is of the API v2, which Envoy has not taken since 1.18")
		return
	}
	w.found = w.found || isEnvoys(typ, n, body)
	switch {
	case n.get("kind").text() == "ConfigMap" && n.get("data").ok():
		w.configMap(n, p, depth)
		return
	case typ == "HttpConnectionManager" || body.get("http_filters").ok():
		w.manager(body, p)
		return
	case typ == "ExtAuthz" || isFilter(n):
		w.managers = append(w.managers, &manager{entries: []node{n}})
		return
	case typ == "TcpProxy":
		w.proxies = append(w.proxies, proxy{body, p.listener})
		return
	case typ == "TypedExtensionConfig":
		w.extensions[body.get("name").text()] = body
		return
	case body.get("virtual_hosts").ok():
		name := body.get("name").text()
		w.routes[name] = append(w.routes[name], body)
		return
	case typ == "ScopedRouteConfiguration":
		w.scopeResources = append(w.scopeResources, body)
		return
	case typ == "ClusterLoadAssignment" || body.get("cluster_name").ok() && body.get("endpoints").ok():
		name := body.get("cluster_name").text()
		w.assigned[name] = append(w.assigned[name], body)
		return
	case isCluster(typ, body):
		w.clusters = append(w.clusters, body)
		return
	}
	if body.get("filter_chains").ok() || body.get("default_filter_chain").ok() {
		p.listener = body
		w.listeners++
		w.handsOn = w.handsOn || body.get("use_original_dst").truth()
	}
	if body.get("dynamic_resources", "cds_config").ok() || body.get("dynamic_resources", "ads_config").ok() {
		w.dynamic = true
	}
	if body.get("static_resources").ok() {
		w.checkAdmin(body.get("admin"))
	}
	if runtime := body.get("layered_runtime"); runtime.ok() {
		w.readRuntime(runtime)
	}
	body.each(func(key string, value node) {
		switch snake(key) {
		case "default_filter_chain":
			w.walk(value, place{p.listener, value}, depth+1)
		case "draining_state": // of a dump: what is going away
		case "static_resources":
			if !w.dump {
				w.walk(value, p, depth+1)
			}
		default:
			w.walk(value, p, depth+1)
		}
	})
}

// isEnvoys reports whether a value is one that is judged, or could have one in it.
func isEnvoys(typ string, n, body node) bool {
	if isFilter(n) || isCluster(typ, body) {
		return true
	}
	for _, field := range []string{"http_filters", "virtual_hosts", "filter_chains", "default_filter_chain", "static_resources", "dynamic_resources"} {
		if body.get(field).ok() {
			return true
		}
	}
	if list := body.get("resources"); list.ok() && list.val.Kind == yaml.SequenceNode && body.get("kind").text() == "" {
		return true // a file of xDS, which may be empty
	}
	return typ == "HttpConnectionManager" || typ == "ExtAuthz" || strings.HasSuffix(typ, "ConfigDump")
}

// old reports whether a type is of the API that came before v3.
func old(name string) bool {
	return strings.HasPrefix(name, "envoy.api.v2.") || strings.Contains(name, ".v2.") && strings.HasPrefix(name, "envoy.config.")
}

// isOldFilter reports whether a filter has its settings where the API v2 has them.
func isOldFilter(n node) bool {
	name := n.get("name").text()
	return strings.HasPrefix(name, "envoy.") && n.get("config").val != nil && n.get("config").val.Kind == yaml.MappingNode && !n.get("typed_config").ok() && !n.get("@type").ok()
}

func (w *walker) list(n node, p place, depth int) {
	items := n.items()
	if len(items) > 0 && depth == 0 && isFilter(items[0]) {
		w.found = true
		w.managers = append(w.managers, &manager{entries: items})
		return
	}
	for _, item := range items {
		if item.get("filters").ok() {
			p.chain = item
		}
		w.walk(item, p, depth+1)
	}
}

func (w *walker) manager(body node, p place) {
	w.managers = append(w.managers, &manager{
		body: body, whole: body.get("stat_prefix").ok(), listener: p.listener, chain: p.chain,
		entries: body.get("http_filters").items(),
	})
}

// isFilter tells an HTTP filter that stands alone from other extensions.
func isFilter(n node) bool {
	return strings.Contains(n.get("typed_config").typeName(), ".filters.http.")
}

// filterKind returns the X of envoy.extensions.filters.http.X.v3.Y, or Y for a
// type elsewhere.
func filterKind(config node) string {
	url := config.typeName()
	if _, rest, ok := strings.Cut(url, ".filters.http."); ok {
		kind, _, _ := strings.Cut(rest, ".")
		return kind
	}
	return lastPart(url)
}

// isCluster tells a cluster from everything else that has a name.
func isCluster(typ string, n node) bool {
	if typ != "" {
		return typ == "Cluster"
	}
	if !n.get("name").ok() {
		return false
	}
	for _, field := range []string{"load_assignment", "connect_timeout", "lb_policy", "eds_cluster_config", "cluster_type"} {
		if n.get(field).ok() {
			return true
		}
	}
	return false
}

// routeConfigs returns the route configurations of a manager.
func (a *audit) routeConfigs(m *manager) []node {
	if inline := m.body.get("route_config"); inline.ok() {
		return []node{inline}
	}
	return a.routes[m.body.get("rds", "route_config_name").text()]
}
