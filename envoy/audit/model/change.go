package model

import (
	"fmt"
	"strings"
)

// change runs a filter that may make another request of the one it gets.
func (w *walk) change(f *Filter, rest []*Filter, s state) {
	c := f.Change
	s = s.headers(c.Headers)
	setting, _ := s.current.setting(f.Name)
	s = s.headers(setting.Headers)
	if setting.Skip || c.ByRoute && !setting.Code {
		w.run(rest, s)
		return
	}
	s.view.LooseMetadata = s.view.LooseMetadata || c.Metadata
	s.view.LooseState = s.view.LooseState || c.State
	if c.Edit == nil && c.Clears && !c.Anything {
		w.run(rest, s.cleared(f))
		return
	}
	if c.Edit == nil || c.Anything {
		w.run(rest, s)
	}
	if c.Anything && c.Clears {
		w.anywhere(f, rest, s)
	}
	if c.Edit == nil || c.Anything {
		return
	}
	requests := c.Edit(s.view.Request, w.all)
	if len(requests) == 0 || c.Maybe {
		w.run(rest, s)
	}
	for _, request := range requests {
		next := s
		next.view.Request = request
		if c.Clears {
			next = next.cleared(f)
		}
		w.run(rest, next)
	}
}

// cleared notes that the route is to be chosen anew, once a filter asks for it.
func (s state) cleared(f *Filter) state {
	s.stale, s.clearer = true, f
	return s
}

// fresh calls f with the state for each route that may be chosen now.
func (w *walk) fresh(s state, f func(state)) {
	if !s.stale {
		f(s)
		return
	}
	s.stale = false
	for _, target := range w.manager.Routes.Choose(s.view) {
		next := s
		if target != s.current {
			next.current, next.mover = target, s.clearer
			next = next.step(s.clearer.Name+" "+s.clearer.Change.Word, s.clearer.Place).chosen("then")
		}
		f(next)
	}
}

// leftIn tells which filters the first route leaves in the chain, and with which chains of
// their own.
func leftIn(filters []*Filter, first *Target) string {
	var b strings.Builder
	for _, f := range filters {
		setting, set := first.setting(f.Name)
		switch {
		case len(setting.Filters) > 0:
			fmt.Fprintf(&b, "%p", first)
		case set && setting.Off || f.Disabled && !set:
			b.WriteByte('0')
		default:
			b.WriteByte('1')
		}
	}
	return b.String()
}

// anywhere goes on with every route that there is but the one that the state has. States that
// are the same but for their route go on from here in the same way: the first leaves its own
// route out, which the next that has another one adds, and for all others nothing is new.
func (w *walk) anywhere(f *Filter, rest []*Filter, s state) {
	k := key{f, len(rest), leftIn(rest, s.first), s.claim, s.cause, s.verified}
	left, again := w.seen[k]
	switch {
	case again && (left.target == nil || left.target == s.current):
		return
	case again:
		w.seen[k] = reached{}
		w.elsewhere(f, rest, s, left)
		return
	}
	w.seen[k] = reached{}
	for _, r := range w.targets {
		if r.target == s.current {
			w.seen[k] = r
		}
	}
	for _, r := range w.targets {
		if r.target != s.current {
			w.elsewhere(f, rest, s, r)
		}
	}
}

// elsewhere goes on with a route that code has led to.
func (w *walk) elsewhere(f *Filter, rest []*Filter, s state, r reached) {
	next := s
	next.view.Request = r.request.clone()
	next.view.Request.Upgrade = s.view.Upgrade
	next.view.LooseMetadata, next.view.LooseState, next.stale = true, true, false
	next.current, next.mover = r.target, f
	next = next.step(f.Name+" "+f.Change.Word+" "+r.request.Host+r.request.Path, f.Place).chosen("then")
	w.run(rest, next)
}
