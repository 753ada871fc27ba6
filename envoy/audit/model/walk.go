package model

import (
	"slices"
	"strings"
)

// walk is one exploration.
type walk struct {
	manager *Manager
	signed  bool
	all     []*Request
	// targets are those that some request reaches, each with such a request.
	targets []reached
	// seen has the states from which code has led on, each with the route that it left out.
	seen  map[key]reached
	found map[foundKey]bool
	// alike says that one request for each route is enough, started has those routes.
	alike    bool
	started  map[*Target]bool
	outcomes []Outcome
	before   []*Filter
}

type reached struct {
	target  *Target
	request *Request
}

// key is what makes two states behind code the same, but for their route.
type key struct {
	filter   *Filter
	left     int
	on       string // which filters behind it the first route leaves in the chain
	claim    Claim
	cause    Cause
	verified bool
}

type foundKey struct {
	target   *Target
	cause    Cause
	place    any
	verified bool
	claim    Claim
	moved    bool
}

// state is a request on its way.
type state struct {
	view           View
	sent           *Request
	first, current *Target
	claim          Claim
	value          string
	verified       bool
	cause          Cause
	place          any
	checked        *Target // the route by which the check was passed by
	passed         bool    // a check was
	mover          *Filter
	stale          bool    // the route is to be chosen anew
	clearer        *Filter // by which filter
	ran            []*Filter
	steps          []Step
}

func (s state) step(text string, place any) state {
	s.steps = append(s.steps[:len(s.steps):len(s.steps)], Step{text, place})
	return s
}

func (w *walk) reachable() {
	seen := map[*Target]bool{}
	w.started = map[*Target]bool{}
	loose := loose(w.manager.Filters)
	for i, request := range w.all {
		chosen := w.manager.chosen[i]
		if loose {
			chosen = w.manager.Routes.Choose(View{Request: request, LooseMetadata: true, LooseState: true})
		}
		for _, target := range chosen {
			if target != nil && !seen[target] {
				seen[target] = true
				w.targets = append(w.targets, reached{target, request})
			}
		}
	}
}

// loose reports whether filters may write metadata or filter state, as code does.
func loose(filters []*Filter) bool {
	for _, f := range filters {
		if f.Change != nil && (f.Change.Metadata || f.Change.State || f.Change.Anything) || loose(f.Chain) {
			return true
		}
	}
	return false
}

func (w *walk) start(request *Request, targets []*Target, filters []*Filter, first Step) {
	if w.alike {
		fresh := false
		for _, target := range targets {
			fresh = fresh || !w.started[target]
			w.started[target] = true
		}
		if !fresh {
			return
		}
	}
	view := View{Request: request.clone(), Metadata: map[string]string{}}
	s := state{view: view, sent: request, claim: Forged}
	if first.Text != "" {
		s = s.step(first.Text, first.Place)
	}
	s = s.headers(w.manager.Headers)
	for _, target := range targets {
		chosen := s
		chosen.first, chosen.current = target, target
		chosen = chosen.chosen("")
		if request.Upgrade != "" && target != nil {
			if allowed, said := target.Upgrades[request.Upgrade]; said && !allowed || !said && !w.manager.Upgrades[request.Upgrade].Allowed {
				continue
			}
		}
		w.run(filters, chosen)
	}
}

// chosen notes a choice of a route.
func (s state) chosen(by string) state {
	text := "no route matches"
	var place any
	if s.current != nil {
		text, place = "route", s.current.Place
	}
	return s.step(strings.TrimSpace(by+" "+text), place)
}

func (s state) headers(changes []HeaderChange) state {
	for _, c := range changes {
		switch {
		case c.Remove:
			s.claim, s.value = Absent, ""
			s = s.step("the claim is removed", c.Place)
		case c.Open:
			s.claim = Forged
		case c.Add && s.claim != Absent:
		default:
			s.claim, s.value = Fixed, c.Value
		}
	}
	return s
}

func (w *walk) run(filters []*Filter, s state) {
	if len(filters) == 0 { // of a piece that leaves the router out
		w.fresh(s, w.finish)
		return
	}
	f, rest := filters[0], filters[1:]
	setting, set := s.first.setting(f.Name)
	if !f.Inner && (set && setting.Off || f.Disabled && !set) {
		w.run(rest, s.off(f))
		return
	}
	if w.signed && !s.verified {
		s.ran = append(s.ran[:len(s.ran):len(s.ran)], f)
	}
	switch {
	case f.Router:
		w.fresh(s, w.finish)
	case f.Check != nil:
		w.fresh(s, func(s state) { w.check(f, rest, s) })
	case f.RBAC != nil:
		w.fresh(s, func(s state) { w.rbac(f, rest, s) })
	case f.Choice != nil:
		tree := f.Choice.Tree
		if setting.Tree != nil {
			tree = setting.Tree
		}
		for _, action := range tree.Actions(s.view) {
			chosen, ok := action.([]*Filter)
			next := s
			if !ok {
				chosen = f.Choice.Else
			}
			if !checks(chosen) && checks([]*Filter{f}) {
				next = next.missed(Unmatched, f.Place).step("a matcher leaves the check out", f.Place)
			}
			w.run(slices.Concat(chosen, rest), next)
		}
	case f.Chain != nil:
		chain := Merge(f.Chain, setting.Filters)
		if checks(f.Chain) && !checks(chain) {
			s = s.missed(SwitchedOff, setting.Place).step("another filter stands in the place of the check", setting.Place)
		}
		w.run(slices.Concat(chain, rest), s)
	case f.Stops && !s.verified:
	case f.Change != nil:
		w.change(f, rest, s)
	default:
		w.run(rest, s)
	}
}

// setting is what a target says of a filter.
func (t *Target) setting(name string) (Setting, bool) {
	if t == nil {
		return Setting{}, false
	}
	s, ok := t.Settings[name]
	return s, ok
}

// off notes that a filter is not in the chain.
func (s state) off(f *Filter) state {
	if !checks([]*Filter{f}) {
		return s
	}
	place := f.Place
	if setting, set := s.first.setting(f.Name); set && setting.Off {
		place = setting.Place
	}
	if s.first == nil {
		return s.missed(NoRoute, f.Place).step("the check is off where no route says otherwise", f.Place)
	}
	return s.missed(SwitchedOff, place).step("the check is off", place)
}

// missed notes why a check did not count.
func (s state) missed(cause Cause, place any) state {
	s.cause, s.place, s.checked, s.passed = cause, place, s.current, true
	return s
}

func (w *walk) check(f *Filter, rest []*Filter, s state) {
	setting, set := s.current.setting(f.Name)
	ours := f.Check.Ours
	if set && setting.Ours != nil {
		ours = *setting.Ours
	}
	switch {
	case s.current == nil:
		if f.Check.Ours {
			s = s.missed(NoRoute, f.Place).step("the check is skipped without a route", f.Place)
		}
		w.run(rest, s)
		return
	case set && setting.Skip:
		if f.Check.Ours {
			s = s.missed(Skipped, setting.Place).step("the check is disabled", setting.Place)
		}
		w.run(rest, s)
		return
	}
	on := f.Check.On.Holds(s.view)
	if on != Yes && !f.Check.DenyElse {
		next := s
		if f.Check.Ours {
			next = s.missed(Conditional, f.Place).step("the check does not run for this request", f.Place)
		}
		w.run(rest, next)
	}
	if on == No {
		return
	}
	switch {
	case !ours:
		if f.Check.Ours {
			s = s.missed(Elsewhere, setting.Place).step("another service is asked", setting.Place)
		}
		if f.Check.Clears {
			w.change(&Filter{Name: f.Name, Place: f.Place, Change: &Change{Anything: true, Clears: true, Word: "asks another service"}}, rest, s)
			return
		}
		w.run(rest, s)
	case w.signed:
		for _, before := range s.ran {
			if !s.verified && !slices.Contains(w.before, before) {
				w.before = append(w.before, before)
			}
		}
		s.verified, s.claim = true, Service
		w.run(rest, s)
	case f.Check.Shadow:
		w.run(rest, s.missed(Shadowed, f.Place).step("refusals do not count", f.Place))
	}
}

func (w *walk) rbac(f *Filter, rest []*Filter, s state) {
	rules := f.RBAC
	if setting, ok := s.current.setting(f.Name); ok && setting.Rules != nil {
		rules = setting.Rules
	}
	if rules.Pass.Holds == nil || rules.Pass.Holds(s.view) == No {
		return
	}
	sure := true
	for _, policy := range rules.Shadow {
		t := policy.If.Holds(s.view)
		if t == No {
			continue
		}
		next := s
		next.view.Metadata = map[string]string{}
		for k, v := range s.view.Metadata {
			next.view.Metadata[k] = v
		}
		next.view.Metadata[rules.Namespace+" "+rules.Key] = policy.Name
		w.run(rest, next)
		if t == Yes {
			sure = false
			break
		}
	}
	if sure {
		w.run(rest, s)
	}
}

func (w *walk) finish(s state) {
	t := s.current
	if t == nil || len(t.Clusters) == 0 {
		return
	}
	s = s.headers(t.Headers)
	moved := s.passed && s.checked != s.current
	k := foundKey{t, s.cause, s.place, s.verified, s.claim, moved}
	if w.found[k] {
		return
	}
	w.found[k] = true
	w.outcomes = append(w.outcomes, Outcome{
		Request: s.sent, Target: t, Verified: s.verified, Claim: s.claim, Value: s.value,
		Cause: s.cause, CausePlace: s.place, Moved: moved, Mover: s.mover, Steps: s.steps,
	})
}
