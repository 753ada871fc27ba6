package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/audit/model"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// ownHeaders are the headers that the service sets.
var ownHeaders = []string{
	envoy.HeaderVerified, envoy.HeaderDecisionID, envoy.HeaderWebhook, envoy.HeaderTenant,
	envoy.HeaderKeyID, envoy.HeaderReplay, envoy.HeaderAssertion,
}

// level is a route configuration, a virtual host, a route or one of its
// weighted clusters: each may carry settings of filters.
type level struct{ node }

// settings are those for the filter of that name.
func (l level) settings(filter string) node {
	entry := l.get("typed_per_filter_config").key(filter)
	typ, body := entry.typed()
	if typ == "FilterConfig" && body.get("config").ok() && !body.get("disabled").truth() {
		_, body = body.get("config").typed()
	}
	return body
}

// key is get for a key that is no field's name.
func (n node) key(name string) node {
	found := node{file: n.file, path: n.path, at: n.at}
	n.each(func(key string, value node) {
		if key == name {
			found = value
		}
	})
	return found
}

// way is one way from the filters to a cluster: the levels that say something
// about it, the innermost last.
type way struct {
	levels  []level
	cluster node
}

// routeLevel is the place of the route among the levels of a way.
const routeLevel = 2

// ways lists how requests leave a manager for a cluster.
func (a *audit) ways(m *manager) []way {
	var ways []way
	for _, config := range a.routeConfigs(m) {
		for _, host := range config.get("virtual_hosts").items() {
			for _, route := range host.get("routes").items() {
				action := route.get("route")
				if !action.ok() {
					continue // a redirect or a direct answer
				}
				levels := []level{{config}, {host}, {route}}
				weighted := action.get("weighted_clusters", "clusters").items()
				for _, c := range weighted {
					ways = append(ways, way{append(levels[:3:3], level{c}), c.get("name")})
				}
				if len(weighted) == 0 {
					ways = append(ways, way{levels, action.get("cluster")})
				}
			}
		}
	}
	return ways
}

// levels lists every level of a manager once.
func (a *audit) levels(m *manager) []level {
	var all []level
	for _, config := range a.routeConfigs(m) {
		all = append(all, level{config})
		for _, host := range config.get("virtual_hosts").items() {
			all = append(all, level{host})
			for _, route := range host.get("routes").items() {
				all = append(all, level{route})
				for _, c := range route.get("route", "weighted_clusters", "clusters").items() {
					all = append(all, level{c})
				}
			}
		}
	}
	return all
}

// setting returns what the innermost level says of a filter: Envoy does not
// merge the levels.
func (w way) setting(filter string) node {
	var found node
	for _, l := range w.levels {
		if s := l.settings(filter); s.ok() {
			found = s
		}
	}
	return found
}

// verified reports whether the filter runs on a way, and the place that says
// that it does not.
func (w way) verified(f *filter) (bool, node) {
	s := w.setting(f.name)
	if s.get("disabled").truth() {
		return false, s.get("disabled")
	}
	off := f.entry.get("disabled")
	if off.truth() && !s.ok() {
		return false, off
	}
	return true, node{}
}

// asks reports whether one of the filters asks the service on a way.
func (w way) asks(filters []filter) bool {
	return slices.ContainsFunc(filters, func(f filter) bool {
		on, _ := w.verified(&f)
		return f.ours && on
	})
}

// removed returns the place where a way removes the header that says that a
// delivery was verified, if it does.
func (w way) removed() node {
	for _, l := range w.levels {
		for _, name := range l.get("request_headers_to_remove").items() {
			if strings.EqualFold(name.text(), envoy.HeaderVerified) {
				return name
			}
		}
	}
	return node{}
}

func (a *audit) checkRoutes(m *manager) {
	levels := a.levels(m)
	for i := range m.filters {
		if f := &m.filters[i]; f.ours {
			a.checkSwitch(m, levels, f)
			for _, l := range levels {
				a.checkSettings(m, f, l.settings(f.name))
			}
			a.checkWays(m, f)
		}
	}
	for _, l := range levels {
		a.checkNames(m, l)
		a.checkForwarding(l)
	}
}

// checkSwitch is for a filter that is off unless a route enables it.
func (a *audit) checkSwitch(m *manager, levels []level, f *filter) {
	off := f.entry.get("disabled")
	if !off.truth() {
		return
	}
	if len(levels) > 0 && !slices.ContainsFunc(levels, func(l level) bool {
		s := l.settings(f.name)
		return s.ok() && !s.get("disabled").truth()
	}) {
		a.report(filterOff, off)
		return
	}
	severity := filterOffByDefault.Severity
	if m.model != nil && !slices.ContainsFunc(m.open.Outcomes, func(o model.Outcome) bool { return o.Cause == model.SwitchedOff }) {
		severity = finding.Info
	}
	a.reportAs(severity, filterOffByDefault, off)
}

// checkSettings judges what a level says of the filter.
func (a *audit) checkSettings(m *manager, f *filter, s node) {
	check := s.get("check_settings")
	a.checkCall(check.get("grpc_service"))
	a.checkDuration(check.get("grpc_service"))
	body := check.get("with_request_body")
	if !body.ok() {
		return
	}
	pack := body.get("pack_as_bytes")
	if pack.ok() && pack.truth() != f.body.get("with_request_body", "pack_as_bytes").truth() {
		a.report(packPerRoute, pack)
	}
	a.checkLimits(m, body)
}

// extension returns the name of the webhook that a way selects. Unlike the rest
// of a filter's settings, context extensions of all levels are merged.
func (w way) extension(filter string) node {
	var found node
	for _, l := range w.levels {
		if n := l.settings(filter).get("check_settings", "context_extensions").key(envoy.WebhookExtension); n.ok() {
			found = n
		}
	}
	return found
}

// exact reports whether one path alone takes a way.
func (w way) exact() bool {
	match := w.levels[routeLevel].get("match")
	insensitive := match.get("case_sensitive").ok() && !match.get("case_sensitive").truth()
	return match.get("path").ok() && !insensitive
}

func (a *audit) checkWays(m *manager, f *filter) {
	for _, w := range a.ways(m) {
		verified, _ := w.verified(f)
		removed := w.removed()
		if n := w.extension(f.name); verified && slices.Contains(a.ExtensionOnly, n.text()) && !w.exact() {
			a.report(wideRoute, n, n.text())
		}
		if v := w.setting(f.name).get("check_settings", "disable_request_body_buffering"); verified && v.truth() {
			a.report(bodyOffOnRoute, v)
		}
		if verified && removed.ok() {
			a.report(ownHeaderRemoved, removed)
		}
	}
}

// checkNames looks for settings of ext_authz under a key that no filter has.
func (a *audit) checkNames(m *manager, l level) {
	l.get("typed_per_filter_config").each(func(key string, value node) {
		typ, _ := value.typed()
		named := slices.ContainsFunc(m.filters, func(f filter) bool { return f.name == key })
		if typ == "ExtAuthzPerRoute" && !named {
			a.report(otherName, value, key)
		}
	})
}

// checkForwarding looks at how requests go on to the application.
func (a *audit) checkForwarding(l level) {
	action := l.get("route")
	for _, n := range []node{action.get("internal_redirect_policy"), action.get("internal_redirect_action")} {
		if n.ok() && n.text() != "PASS_THROUGH_INTERNAL_REDIRECT" {
			a.report(internalRedirect, n)
		}
	}
	for _, n := range []node{l.get("retry_policy"), action.get("retry_policy")} {
		if n.ok() {
			a.report(routerRetry, n)
		}
	}
}
