package model

// Result is what becomes of all requests.
type Result struct {
	Outcomes []Outcome
	// Before are the filters that ran before the service was asked.
	Before []*Filter
}

// Explore follows all requests through the manager. Signed ones pass the service, others
// are refused there.
func Explore(m *Manager, signed bool) Result {
	m.try()
	all := m.tried
	w := &walk{manager: m, signed: signed, all: all, seen: map[key]reached{}, found: map[foundKey]bool{}}
	w.reachable()
	w.alike = alike(m.Filters)
	for i, request := range all {
		w.start(request, m.chosen[i], m.Filters, Step{})
	}
	for _, kind := range sortedKeys(m.Upgrades) {
		upgrade := m.Upgrades[kind]
		if upgrade.Filters == nil {
			continue
		}
		w.alike = alike(upgrade.Filters)
		clear(w.started)
		for i, request := range all {
			asking, chosen := request.clone(), m.chosen[i]
			if asking.Upgrade = kind; kind == "connect" {
				asking.Method, asking.Path, asking.Upgrade = "CONNECT", "", ""
				chosen = m.Routes.Choose(View{Request: asking})
			}
			w.start(asking, chosen, upgrade.Filters, Step{"upgrade_configs: filters of its own for " + kind, upgrade.Place})
		}
	}
	return Result{w.outcomes, w.before}
}

// try makes the requests, and chooses the first route of each.
func (m *Manager) try() {
	if m.tried != nil {
		return
	}
	m.tried = m.Routes.Requests(Conditions(m.Filters))
	for _, request := range m.tried {
		m.chosen = append(m.chosen, m.Routes.Choose(View{Request: request}))
	}
}

// Cut reports whether there are more requests than are tried.
func (m *Manager) Cut() bool { return len(m.tried) >= MaxRequests }

// alike reports whether filters treat all requests alike that have the same route.
func alike(filters []*Filter) bool {
	for _, f := range filters {
		if f.RBAC != nil || f.Choice != nil || f.Change != nil && (f.Change.Edit != nil || f.Change.Clears && !f.Change.Anything) || !alike(f.Chain) {
			return false
		}
	}
	return true
}

// Conditions are those of filters on requests.
func Conditions(filters []*Filter) []Condition {
	var found []Condition
	for _, f := range filters {
		if f.RBAC != nil {
			for _, policy := range f.RBAC.Shadow {
				found = append(found, policy.If)
			}
			found = append(found, f.RBAC.Pass)
		}
		if f.Choice != nil {
			f.Choice.Tree.All(func(_ any, meet []func(*Request)) {
				found = append(found, Condition{Meet: func(r *Request) {
					for _, how := range meet {
						how(r)
					}
				}})
			})
		}
		if f.Change != nil {
			found = append(found, f.Change.Wants...)
		}
		found = append(found, Conditions(f.Chain)...)
	}
	return found
}
