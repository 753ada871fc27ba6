package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// resolve makes filters of what was read, once all of it was, and finds out which of
// them ask the service.
func (a *audit) resolve() {
	a.insertedFilters()
	for _, m := range a.managers {
		m.top = a.chainOfEntries(m.entries)
		m.filters = flatten(m.top)
		for _, u := range m.body.get("upgrade_configs").items() {
			up := upgrade{kind: strings.ToLower(u.get("upgrade_type").text()), allowed: !u.get("enabled").ok() || u.get("enabled").truth(), place: u}
			up.top = a.chainOfEntries(u.get("filters").items())
			m.filters = append(m.filters, flatten(up.top)...)
			m.upgrades = append(m.upgrades, up)
		}
	}
	a.choose()
	for _, m := range a.managers {
		a.mark(m.top)
		a.mark(m.filters)
		for i := range m.upgrades {
			a.mark(m.upgrades[i].top)
		}
		if m.model = a.build(m); m.model != nil {
			m.open, m.signed = model.Explore(m.model, false), model.Explore(m.model, true)
		}
	}
}

func (a *audit) mark(filters []filter) {
	for i := range filters {
		filters[i].ours = a.isOurs(&filters[i])
		a.mark(filters[i].inner)
	}
}

// chainOf makes the filters of a list.
func (a *audit) chainOf(list node) []filter {
	made := a.chainOfEntries(list.items())
	a.mark(made)
	return made
}

func (a *audit) chainOfEntries(entries []node) []filter {
	var made []filter
	for _, entry := range entries {
		made = append(made, a.newFilter(entry, 0))
	}
	return made
}

// newFilter reads an entry of http_filters and what stands within it.
func (a *audit) newFilter(entry node, depth int) filter {
	f := filter{entry: entry, name: entry.get("name").text()}
	if f.body = entry.get("typed_config"); !f.body.ok() {
		f.body = entry // a message without its entry
	}
	if discovery := entry.get("config_discovery"); discovery.ok() {
		if f.body = a.extensions[f.name].get("typed_config"); !f.body.ok() {
			f.body = discovery.get("default_config")
		}
	}
	f.kind = filterKind(f.body)
	if !f.body.ok() {
		f.kind = "unknown"
	}
	_, f.body = f.body.typed()
	if depth > maxDepth {
		return f
	}
	switch f.kind {
	case "filter_chain":
		for _, inner := range f.body.get("default_filter_chain", "filters").items() {
			f.inner = append(f.inner, a.newFilter(inner, depth+1))
		}
	case "composite":
		f.composite = f.body
	case "ExtensionWithMatcher":
		inner := a.newFilter(f.body.get("extension_config"), depth+1)
		inner.name = f.name // by which routes know it
		if inner.kind == "composite" {
			f.composite = inner.body
		} else {
			f.inner = []filter{inner}
		}
	}
	return f
}

// flatten lists filters and those within them.
func flatten(filters []filter) []filter {
	var all []filter
	for _, f := range filters {
		all = append(all, f)
		all = append(all, flatten(f.inner)...)
		if f.composite.ok() {
			all = append(all, actionsWithin(f.body, 0)...)
			if f.kind == "ExtensionWithMatcher" {
				all = append(all, actionsWithin(f.composite, 0)...)
			}
		}
	}
	return all
}

// actionsWithin lists the filters that actions of a matcher run, and named chains.
func actionsWithin(n node, depth int) []filter {
	var found []filter
	if depth > maxDepth {
		return nil
	}
	walk := func(value node) {
		if typ, _ := value.get("typed_config").typed(); isFilter(value) && typ != "ExecuteFilterAction" {
			found = append(found, filter{entry: value, name: value.get("name").text(), kind: filterKind(value.get("typed_config")), body: bodyOf(value)})
			return
		}
		found = append(found, actionsWithin(value, depth+1)...)
	}
	n.each(func(key string, value node) {
		if key != "extension_config" {
			walk(value)
		}
	})
	for _, item := range n.items() {
		walk(item)
	}
	return found
}

func bodyOf(entry node) node {
	_, body := entry.get("typed_config").typed()
	return body
}

// target is the cluster that an external authorization filter asks, and the
// place that names it.
func target(body node) node {
	if http := body.get("http_service"); http.ok() {
		return http.get("server_uri", "cluster")
	}
	return targetOf(body.get("grpc_service"))
}

// targetOf is the cluster, or the address, of a grpc_service.
func targetOf(grpc node) node {
	if google := grpc.get("google_grpc"); google.ok() {
		return google.get("target_uri")
	}
	return grpc.get("envoy_grpc", "cluster_name")
}

// named reports whether a cluster is called as the service's is.
func (a *audit) named(cluster string) bool {
	if a.Cluster != "" {
		return cluster == a.Cluster
	}
	return strings.Contains(strings.ToLower(cluster), "hookbastion")
}

// choose finds the clusters of the service: those that are named so, and those with an
// address of theirs. Where there are none, any that a filter asks is taken for it.
func (a *audit) choose() {
	a.service = map[string]bool{}
	for _, c := range a.clusters {
		if name := c.get("name").text(); a.named(name) {
			a.service[name] = true
		}
	}
	var asked []node
	for _, m := range a.managers {
		for _, f := range m.filters {
			if f.kind == "ext_authz" && target(f.body).ok() {
				asked = append(asked, target(f.body))
			}
		}
	}
	for _, to := range asked {
		if a.named(to.text()) {
			a.service[to.text()] = true
		}
	}
	if a.Cluster != "" {
		return
	}
	if len(a.service) == 0 {
		a.chooseByLog()
	}
	for _, to := range asked {
		if len(a.service) > 0 && a.isService(to.text()) {
			return
		}
	}
	known := len(a.service) > 0
	for _, to := range asked {
		if strings.HasSuffix(to.path.String(), "server_uri.cluster") {
			continue // which Hookbastion does not speak
		}
		if known && (a.dynamic || len(a.addresses(to.text())) > 0) {
			continue // another service; a cluster that is not there may be misspelt
		}
		a.service[to.text()] = true
		a.report(otherService, to, to.text())
	}
}

// chooseByLog takes the cluster of an access log that is called as ours for the service's.
func (a *audit) chooseByLog() {
	for _, m := range a.managers {
		for _, entry := range m.body.get("access_log").items() {
			common, _ := logSettings(entry)
			if to := target(common).text(); to != "" && strings.Contains(strings.ToLower(common.get("log_name").text()), "hookbastion") {
				a.service[to] = true
			}
		}
	}
}

// isService reports whether a cluster, or an address, is the service's.
func (a *audit) isService(cluster string) bool {
	if a.service[cluster] {
		return true
	}
	for name := range a.service {
		if a.sameServer(name, cluster) {
			return true
		}
	}
	return false
}

// isOurs reports whether a filter asks the service.
func (a *audit) isOurs(f *filter) bool {
	return f.kind == "ext_authz" && target(f.body).ok() && a.isService(target(f.body).text())
}

// kindOf is the kind of the filter of that name.
func (m *manager) kindOf(name string) string {
	if i := slices.IndexFunc(m.filters, func(f filter) bool { return f.name == name }); i >= 0 {
		return m.filters[i].kind
	}
	return ""
}
