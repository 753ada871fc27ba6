package model

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
	if c.Metadata {
		s.view.Loose = true
	}
	w.run(rest, s)
	if s.verified && w.signed && c.Anything {
		return // where it goes from there tells nothing new
	}
	if c.Anything && c.Clears {
		w.anywhere(f, rest, s)
		return
	}
	requests := []*Request{s.view.Request}
	if c.Edit != nil {
		requests = c.Edit(s.view.Request, w.all)
	}
	for _, request := range requests {
		next := s
		next.view.Request = request
		if !c.Clears {
			if c.Edit != nil {
				w.run(rest, next)
			}
			continue
		}
		for _, target := range w.manager.Routes.Choose(next.view) {
			if target == s.current {
				continue
			}
			moved := next
			moved.current, moved.mover = target, f
			moved = moved.step(f.Name+" "+c.Word, f.Place).chosen("then")
			w.run(rest, moved)
		}
	}
}

// anywhere goes on with every route that there is.
func (w *walk) anywhere(f *Filter, rest []*Filter, s state) {
	for _, r := range w.targets {
		if r.target == s.current {
			continue
		}
		k := key{f, len(rest), s.first, r.target, s.claim, s.cause, s.verified}
		if w.seen[k] {
			continue
		}
		w.seen[k] = true
		next := s
		next.view.Request = r.request.clone()
		next.view.Request.Upgrade = s.view.Upgrade
		next.view.Loose = true
		next.current, next.mover = r.target, f
		next = next.step(f.Name+" "+f.Change.Word+" "+r.request.Host+r.request.Path, f.Place).chosen("then")
		w.run(rest, next)
	}
}
