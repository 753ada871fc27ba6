package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// anyCluster stands for a cluster that a request or code names.
const anyCluster = "*"

// buildRoutes makes the routes of a manager, or returns nil if no file has them.
func (a *audit) buildRoutes(m *manager) *model.Routes {
	strip := m.body.get("strip_any_host_port").truth() || m.body.get("strip_matching_host_port").truth()
	if scoped := m.body.get("scoped_routes"); scoped.ok() {
		return a.buildScopes(m, scoped)
	}
	configs := a.routeConfigs(m)
	if len(configs) == 0 {
		return nil
	}
	routes := &model.Routes{StripPort: strip}
	for _, config := range configs[len(configs)-1:] { // the newest counts
		routes.Hosts = a.hosts(m, config)
		routes.StripPort = strip || config.get("ignore_port_in_host_matching").truth()
	}
	return routes
}

// buildScopes makes the route configurations of scopes, as far as files have them.
func (a *audit) buildScopes(m *manager, scoped node) *model.Routes {
	fragments := scoped.get("scope_key_builder", "fragments").items()
	routes := &model.Routes{}
	for _, s := range a.scopes(scoped) {
		config := s.get("route_configuration")
		if !config.ok() {
			named := a.routes[s.get("route_configuration_name").text()]
			if len(named) == 0 {
				continue
			}
			config = named[len(named)-1]
		}
		var key []model.Condition
		for i, fragment := range s.get("key", "fragments").items() {
			if i < len(fragments) {
				key = append(key, scopeFragment(fragments[i].get("header_value_extractor"), fragment.get("string_key").text()))
			}
		}
		routes.Scopes = append(routes.Scopes, &model.Scope{If: model.All(key...), Routes: &model.Routes{Hosts: a.hosts(m, config)}})
	}
	if len(routes.Scopes) == 0 {
		return nil
	}
	return routes
}

// scopes are those that a manager names: inline, or from files beside it.
func (a *audit) scopes(scoped node) []node {
	if list := scoped.get("scoped_route_configurations_list", "scoped_route_configurations"); list.ok() {
		return list.items()
	}
	return a.scopeResources
}

// scopeFragment is the condition that a header names a scope. Of a header that holds
// several elements, one alone is written: whoever sends it may send that one.
func scopeFragment(extractor node, want string) model.Condition {
	name := strings.ToLower(extractor.get("name").text())
	value := want
	element := extractor.get("element")
	if key := element.get("key").text(); key != "" {
		value = key + element.get("separator").text() + want
	}
	if index := extractor.get("index").numberOr(0); index > 0 {
		value = strings.Repeat("0"+extractor.get("element_separator").text(), int(min(index, 100))) + want
	}
	return model.Header(name, model.NewText("exact", value, false), false, false)
}

func (a *audit) hosts(m *manager, config node) []*model.Host {
	b := &builder{audit: a}
	var hosts []*model.Host
	for _, host := range config.get("virtual_hosts").items() {
		built := &model.Host{}
		for _, d := range host.get("domains").items() {
			built.Domains = append(built.Domains, d.text())
		}
		if len(built.Domains) == 0 {
			built.Domains = []string{"*"} // a piece; Envoy asks for one
		}
		route := func(n node) *model.Route { return b.route(m, []level{{config}, {host}, {n}}) }
		for _, n := range host.get("routes").items() {
			built.Routes = append(built.Routes, route(n))
		}
		if needsTLS(m, host) {
			for _, r := range built.Routes {
				for _, t := range r.Targets {
					t.Clusters = nil // it redirects
				}
			}
		}
		if tree := host.get("matcher"); tree.ok() {
			built.Tree = xds(tree, func(action node) any {
				typ, body := action.get("typed_config").typed()
				if typ != "RouteList" {
					return route(body)
				}
				var list []*model.Route
				for _, n := range body.get("routes").items() {
					list = append(list, route(n))
				}
				return list
			}, 0)
		}
		hosts = append(hosts, built)
	}
	return hosts
}

// needsTLS reports whether a virtual host redirects all requests of a listener in plain
// text, where no sender can claim to have come over TLS.
func needsTLS(m *manager, host node) bool {
	return host.get("require_tls").text() == "ALL" && m.chain.ok() && !m.chain.get("transport_socket").ok() &&
		m.body.get("use_remote_address").truth() && m.body.get("xff_num_trusted_hops").numberOr(0) == 0
}

// route makes a route of its levels: the configuration, the virtual host, itself.
func (b *builder) route(m *manager, levels []level) *model.Route {
	n := levels[routeLevel]
	built := &model.Route{If: b.routeMatch(n.get("match")), Place: n.node}
	action := n.get("route")
	add := func(levels []level, clusters []string) {
		t := b.target(m, levels)
		t.Route, t.Clusters = built, clusters
		if action.ok() {
			for _, mirror := range action.get("request_mirror_policies").items() {
				t.Clusters = append(t.Clusters, mirror.get("cluster").text())
			}
		}
		for _, u := range action.get("upgrade_configs").items() {
			t.Upgrades[strings.ToLower(u.get("upgrade_type").text())] = !u.get("enabled").ok() || u.get("enabled").truth()
		}
		built.Targets = append(built.Targets, t)
	}
	weighted := action.get("weighted_clusters", "clusters").items()
	switch {
	case !action.ok():
		add(levels, nil)
	case len(weighted) > 0:
		for _, c := range weighted {
			if weight, ok := c.get("weight").number(); ok && weight == 0 {
				continue // never chosen
			}
			name := c.get("name").text()
			if name == "" {
				name = anyCluster
			}
			add(append(levels[:3:3], level{c}), []string{name})
		}
	case action.get("cluster").ok():
		add(levels, []string{action.get("cluster").text()})
	default: // cluster_header, or a plugin
		add(levels, []string{anyCluster})
	}
	return built
}

// target makes what the levels say together.
func (b *builder) target(m *manager, levels []level) *model.Target {
	t := &model.Target{Settings: map[string]model.Setting{}, Upgrades: map[string]bool{}, Place: levels[routeLevel].node}
	for _, l := range levels {
		l.get("typed_per_filter_config").each(func(name string, entry node) {
			s := b.setting(m, l, name, entry)
			outer := t.Settings[name]
			s.Filters = model.Merge(outer.Filters, s.Filters)
			if typ, _ := entry.typed(); typ == "FilterConfig" && !entry.get("config", "@type").ok() {
				outer.Off = s.Off // which says nothing else
				if s = outer; s.Place == nil || s.Off {
					s.Place = firstOf(entry.get("disabled"), entry)
				}
			}
			t.Settings[name] = s
		})
	}
	order := slices.Clone(levels)
	if !levels[0].get("most_specific_header_mutations_wins").truth() {
		slices.Reverse(order)
	}
	for _, l := range order {
		for _, name := range l.get("request_headers_to_remove").items() {
			if strings.EqualFold(name.text(), envoy.HeaderVerified) {
				t.Headers = append(t.Headers, model.HeaderChange{Remove: true, Place: name})
			}
		}
		for _, add := range l.get("request_headers_to_add").items() {
			t.Headers = append(t.Headers, addition(add)...)
		}
	}
	return t
}

// setting makes what one level says of a filter.
func (b *builder) setting(m *manager, l level, name string, entry node) model.Setting {
	typ, _ := entry.typed()
	if typ == "FilterConfig" && entry.get("disabled").truth() {
		return model.Setting{Off: true, Place: entry.get("disabled")}
	}
	body := l.settings(name)
	s := model.Setting{Place: entry}
	if v := body.get("disabled"); v.truth() {
		s.Skip, s.Place = true, v
	}
	if grpc := body.get("check_settings", "grpc_service"); grpc.ok() {
		ours := b.isService(targetOf(grpc).text())
		s.Ours = &ours
		if !ours {
			s.Place = grpc
		}
	}
	if body.get("check_settings", "http_service").ok() {
		s.Ours, s.Place = new(bool), body.get("check_settings", "http_service")
	}
	if chain := body.get("filter_chain", "filters"); chain.ok() {
		s.Filters = b.inner(b.chainOf(chain))
	}
	if rules := body.get("rbac"); rules.ok() {
		s.Rules = b.rbac(rules)
	} else if m.kindOf(name) == "rbac" {
		s.Rules = &model.RBAC{Pass: model.Always(model.Yes)}
	}
	s.Code = body.get("source_code").ok() || body.get("name").ok()
	if tree := firstOf(body.get("xds_matcher"), body.get("matcher")); tree.ok() {
		f := filter{body: body}
		s.Tree = b.choice(&f).Tree
	}
	s.Headers = mutations(body.get("mutations", "request_mutations"))
	return s
}
