package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// proxy is a tcp_proxy, which passes bytes on as they are.
type proxy struct{ body, listener node }

// clusters are those that it leads to.
func (p proxy) clusters() []node {
	if c := p.body.get("cluster"); c.ok() {
		return []node{c}
	}
	var found []node
	for _, c := range p.body.get("weighted_clusters", "clusters").items() {
		found = append(found, c.get("name"))
	}
	return found
}

// simulation is what the model tells of all managers together.
type simulation struct {
	*audit
	asked    map[*manager]bool // some requests are verified
	verified map[string]bool   // places that verified requests reach
	none     bool              // nothing is verified anywhere
}

// simulate lets requests run through all managers, and reports those that reach without
// verification what verified ones reach.
func (a *audit) simulate() {
	s := &simulation{audit: a, asked: map[*manager]bool{}, verified: map[string]bool{}}
	if !slices.ContainsFunc(a.managers, (*manager).asks) {
		return // which another rule says
	}
	for _, m := range a.managers {
		if m.model != nil {
			if s.explore(m); m.model.Cut() {
				a.report(notRead, routesOf(m.body), "there are more routes than requests are tried, which is "+whole(model.MaxRequests))
			}
		} else if m.asks() && m.whole {
			a.report(routesElsewhere, routesOf(m.body))
		}
	}
	s.none = len(s.verified) == 0
	s.follow()
	for _, m := range a.managers {
		if !s.unbound(m.listener) && (!m.listener.get("internal_listener").ok() || s.reachesInside(m)) {
			s.judge(m)
		}
	}
	for _, p := range a.proxies {
		if s.unbound(p.listener) {
			continue
		}
		for _, c := range p.clusters() {
			if s.isProtected(c.text()) {
				a.report(rawBypass, c, c.text())
			}
		}
	}
}

// unbound reports whether a listener waits at no port, and none hands connections on.
func (a *audit) unbound(listener node) bool {
	bind := firstOf(listener.get("bind_to_port"), listener.get("deprecated_v1", "bind_to_port"))
	return bind.ok() && !bind.truth() && !a.handsOn
}

// routesOf is the place that says where routes come from.
func routesOf(body node) node {
	for _, field := range []string{"rds", "scoped_routes"} {
		if n := body.get(field); n.ok() {
			return n
		}
	}
	return body.get("route_config")
}

func (s *simulation) explore(m *manager) {
	for _, o := range m.signed.Outcomes {
		if !o.Verified {
			continue
		}
		s.asked[m] = true
		for _, t := range o.Target.Route.Targets { // what weights choose from is one application
			for _, cluster := range t.Clusters {
				for _, place := range s.places(cluster) {
					s.verified[place] = true
				}
			}
		}
	}
}

// places are what a cluster's name stands for: its addresses, or else itself.
func (s *simulation) places(cluster string) []string {
	if found := s.addresses(cluster); len(found) > 0 {
		return found
	}
	return []string{"cluster " + cluster}
}

// follow adds what listeners lead to that verified requests reach.
func (s *simulation) follow() {
	for range len(s.managers) + 1 {
		grown := false
		for place := range s.verified {
			listener, ok := s.listenerAt(place)
			if !ok {
				continue
			}
			for _, m := range s.managers {
				if m.listener.val != listener.val {
					continue
				}
				for _, o := range m.open.Outcomes {
					for _, cluster := range o.Target.Clusters {
						for _, next := range s.places(cluster) {
							grown = grown || !s.verified[next]
							s.verified[next] = true
						}
					}
				}
			}
		}
		if !grown {
			return
		}
	}
}

// reachesInside reports whether requests reach an internal listener without verification.
func (s *simulation) reachesInside(m *manager) bool {
	inside := "internal " + m.listener.get("name").text()
	for _, other := range s.managers {
		if other == m {
			continue
		}
		for _, o := range other.open.Outcomes {
			if slices.ContainsFunc(o.Target.Clusters, func(c string) bool { return slices.Contains(s.places(c), inside) }) {
				return true
			}
		}
	}
	return false
}

// isProtected reports whether verified requests reach what a cluster leads to, and
// listeners of this Envoy do not stand between.
func (s *simulation) isProtected(cluster string) bool {
	return slices.ContainsFunc(s.places(cluster), func(place string) bool {
		if cluster == anyCluster || place == anyAddress || s.none {
			return true
		}
		_, listener := s.listenerAt(place)
		return s.verified[place] && !listener
	})
}

// claims are the values by which the service says that it has verified a request.
var claims = []string{"signature", "token", "partial"}

// judge reports the requests that pass one manager without having been verified.
func (s *simulation) judge(m *manager) {
	said := map[string]bool{}
	for _, o := range m.open.Outcomes {
		if o.Claim != model.Forged && !(o.Claim == model.Fixed && slices.Contains(claims, o.Value)) {
			continue
		}
		i := slices.IndexFunc(o.Target.Clusters, s.isProtected)
		r, place := s.rule(m, o)
		severity := r.Severity
		if i < 0 {
			if r.ID != unverifiedRoute.ID {
				continue
			}
			if i, severity = 0, finding.Warning; o.Cause == model.SwitchedOff {
				severity = finding.Info // as control planes have it
			}
		}
		key := r.ID + place.path.String() + o.Target.Clusters[i]
		if r.ID == filterOff.ID || r.ID == shadowMode.ID || said[key] {
			continue // which is said already
		}
		said[key] = true
		s.reportAs(severity, r, place, describe(o, o.Target.Clusters[i]))
	}
}

// rule is the one that an outcome breaks, and the place to show.
func (s *simulation) rule(m *manager, o model.Outcome) (finding.Rule, node) {
	place, _ := o.CausePlace.(node)
	mover := node{}
	if o.Mover != nil {
		mover, _ = o.Mover.Place.(node)
	}
	switch {
	case o.Cause == model.Shadowed:
		return shadowMode, place
	case o.Cause == model.Conditional:
		return filterFraction, firstOf(place.get("typed_config", "filter_enabled_metadata"), place.get("typed_config", "filter_enabled"), place)
	case o.Cause == model.Elsewhere:
		return routeElsewhere, place
	case o.Cause == model.Unmatched:
		return matchedAway, place
	case o.Cause == model.NoRoute && o.Mover != nil:
		return routedLate, mover
	case o.Moved && o.Mover != nil:
		return movedLate, mover
	case o.Cause == model.Skipped, o.Cause == model.SwitchedOff:
		if !s.asked[m] && s.allOff(m) {
			return filterOff, place
		}
		return unverifiedRoute, firstOf(place.get("disabled"), place)
	case len(o.Steps) > 0 && strings.HasPrefix(o.Steps[0].Text, "upgrade_configs"):
		at, _ := o.Steps[0].Place.(node)
		return upgradeBypass, at.get("filters")
	}
	target, _ := o.Target.Place.(node)
	return bypass, firstOf(target.get("route", "cluster"), target.get("route"))
}

// allOff reports whether the filter is off on all routes, as its own rule says.
func (s *simulation) allOff(m *manager) bool {
	levels := s.levels(m)
	return slices.ContainsFunc(m.top, func(f filter) bool {
		return f.ours && f.entry.get("disabled").truth() && !slices.ContainsFunc(levels, func(l level) bool { return l.settings(f.name).ok() })
	})
}

// firstOf is the first of some places that is there, or the last.
func firstOf(places ...node) node {
	for _, n := range places {
		if n.ok() {
			return n
		}
	}
	return places[len(places)-1]
}

// describe writes the way that a request takes.
func describe(o model.Outcome, cluster string) string {
	steps := []string{o.Request.String()}
	for _, step := range o.Steps {
		text := step.Text
		if place, ok := step.Place.(node); ok && (text == "route" || strings.HasSuffix(text, " route")) {
			text += " " + routeName(place)
		}
		steps = append(steps, text)
	}
	if cluster == anyCluster {
		cluster = "that the request names"
	}
	return strings.ReplaceAll(strings.Join(append(steps, "cluster "+cluster), " -> "), "\n", " ")
}

// routeName is how to find a route: its name, or what it matches.
func routeName(n node) string {
	if name := n.get("name").text(); name != "" {
		return name
	}
	for _, field := range []string{"prefix", "path", "path_separated_prefix"} {
		if v := n.get("match", field); v.ok() {
			return field + " " + v.text()
		}
	}
	if v := n.get("match", "safe_regex", "regex"); v.ok() {
		return "safe_regex " + v.text()
	}
	return n.path.String()
}
