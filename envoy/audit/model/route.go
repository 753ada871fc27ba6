package model

import (
	"slices"
	"strings"
)

// Routes are what a manager chooses routes by: one configuration, or one for each scope.
type Routes struct {
	Hosts []*Host
	// Scopes, if there are any, stand in place of Hosts.
	Scopes []*Scope
	// StripPort takes the port off a host before it is compared.
	StripPort bool

	exact map[string]*Host
	wild  []domain
}

// Scope is a route configuration for requests whose headers name it.
type Scope struct {
	If     Condition
	Routes *Routes
}

// Host is a virtual host. Either Routes or Tree is given.
type Host struct {
	Domains []string
	Routes  []*Route
	// Tree ends in a *Route, or in a []*Route of which the first match counts.
	Tree *Matcher
}

// Route is a route, and where it leads.
type Route struct {
	If Condition
	// Targets are the places that a request may go from here; more than one where
	// chance or weights choose.
	Targets []*Target
	// Place is the caller's.
	Place any
}

// Target is what a route does with a request.
type Target struct {
	Route *Route
	// Clusters get the request: one, and those that it is mirrored to. None: Envoy
	// answers by itself. "*" stands for one that the request names.
	Clusters []string
	// Settings are what the innermost level says of each filter, by its name.
	Settings map[string]Setting
	// Headers are changes that the router makes at last.
	Headers []HeaderChange
	// Upgrades are those that the route allows or forbids.
	Upgrades map[string]bool
	Place    any
}

// Setting is what a route says of a filter.
type Setting struct {
	// Off takes the filter out of the chain; any other setting puts one in that is
	// disabled.
	Off bool
	// Skip makes an external authorization filter pass requests by.
	Skip bool
	// Ours, if it is not nil, says whether the route's own service is the one.
	Ours *bool
	// Filters are the chain of a filter_chain on this route, Rules the rules of RBAC.
	Filters []*Filter
	Rules   *RBAC
	// Tree stands in the place of the tree of a Choice.
	Tree *Matcher
	// Headers are changes by a header_mutation on this route.
	Headers []HeaderChange
	// Code says that the route has code of its own.
	Code  bool
	Place any
}

// HeaderChange changes the header that tells of a verification.
type HeaderChange struct {
	Remove bool
	// Value is set, if it is not a removal. Open says that the sender chooses it, Add that
	// it is not written over what is there.
	Value     string
	Open, Add bool
	Place     any
}

// Choose returns where a request may go: nil among them for no route.
func (r *Routes) Choose(v View) []*Target {
	if len(r.Scopes) > 0 {
		var found []*Target
		for _, scope := range r.Scopes {
			switch scope.If.Holds(v) {
			case Yes:
				return append(found, scope.Routes.Choose(v)...)
			case Maybe:
				found = append(found, scope.Routes.Choose(v)...)
			case No:
			}
		}
		return append(found, nil)
	}
	host := r.host(v.Host)
	if host == nil {
		return []*Target{nil}
	}
	return host.choose(v)
}

func (h *Host) choose(v View) []*Target {
	if h.Tree == nil {
		return pick(h.Routes, v)
	}
	var found []*Target
	for _, action := range h.Tree.Actions(v) {
		switch action := action.(type) {
		case *Route:
			found = append(found, pick([]*Route{action}, v)...)
		case []*Route:
			found = append(found, pick(action, v)...)
		default:
			found = append(found, nil)
		}
	}
	return found
}

func pick(routes []*Route, v View) (found []*Target) {
	for _, route := range routes {
		switch route.If.Holds(v) {
		case Yes:
			return append(found, route.Targets...)
		case Maybe:
			found = append(found, route.Targets...)
		case No:
		}
	}
	return append(found, nil)
}

// domain is one of a virtual host, in lower case.
type domain struct {
	text string
	host *Host
}

// index sorts the domains of virtual hosts: those that are one name, and all others.
func (r *Routes) index() {
	r.exact = map[string]*Host{}
	for _, host := range r.Hosts {
		for _, text := range host.Domains {
			if text = strings.ToLower(text); !strings.Contains(text, "*") {
				r.exact[text] = host
			} else {
				r.wild = append(r.wild, domain{text, host})
			}
		}
	}
}

// host finds the virtual host: an exact domain, the longest that begins or else ends
// with a star, or the one for all.
func (r *Routes) host(name string) *Host {
	if r.exact == nil {
		r.index()
	}
	name = strings.ToLower(name)
	if i := strings.LastIndexByte(name, ':'); r.StripPort && i >= 0 && !strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	if host := r.exact[name]; host != nil {
		return host
	}
	var ends, begins, every *Host
	longestEnd, longestBegin := 0, 0
	for _, d := range r.wild {
		length := len(d.text)
		switch {
		case d.text == "*":
			if every == nil {
				every = d.host
			}
		case d.text[0] == '*' && len(name) >= length && strings.HasSuffix(name, d.text[1:]) && length > longestEnd:
			ends, longestEnd = d.host, length
		case d.text[length-1] == '*' && len(name) >= length && strings.HasPrefix(name, d.text[:length-1]) && length > longestBegin:
			begins, longestBegin = d.host, length
		}
	}
	for _, host := range []*Host{ends, begins, every} {
		if host != nil {
			return host
		}
	}
	return nil
}

// MaxRequests bounds how many requests are tried against one manager.
const MaxRequests = 200_000

// Requests are such that between them they take every way that there is: for each
// virtual host a host, for each route one that it matches and one that misses each of its
// conditions, and some that nothing asks for.
func (r *Routes) Requests(extra []Condition) []*Request {
	c := &collector{seen: map[string]bool{}}
	r.collect(c, nil)
	for _, request := range slices.Clone(c.list) {
		for _, condition := range extra {
			for _, how := range slices.Concat([]func(*Request){condition.Meet}, condition.Also, condition.Misses) {
				if how != nil {
					changed := request.clone()
					how(changed)
					c.add(changed)
				}
			}
		}
	}
	return c.list
}

// collector keeps requests, each once.
type collector struct {
	list []*Request
	seen map[string]bool
}

func (c *collector) add(r *Request) {
	if key := r.String(); len(c.list) < MaxRequests && !c.seen[key] {
		c.seen[key] = true
		c.list = append(c.list, r)
	}
}

func (r *Routes) collect(c *collector, scope func(*Request)) {
	if len(r.Scopes) > 0 {
		for _, s := range r.Scopes {
			s.Routes.collect(c, s.If.Meet)
			s.Routes.collect(c, nil)
		}
		return
	}
	start := func(host string) *Request {
		request := &Request{Method: "POST", Host: host, Path: "/", Header: map[string]string{}}
		if scope != nil {
			scope(request)
		}
		return request
	}
	for _, host := range r.Hosts {
		for _, domain := range host.Domains {
			host.collect(c, func() *Request { return start(hostOf(domain)) })
		}
	}
	c.add(start("nowhere.invalid"))
}

// hostOf is a host that has the domain.
func hostOf(domain string) string {
	switch {
	case domain == "*":
		return "any.invalid"
	case strings.HasPrefix(domain, "*"):
		return "a" + domain[1:]
	case strings.HasSuffix(domain, "*"):
		return domain[:len(domain)-1] + "a"
	default:
		return domain
	}
}

func (h *Host) collect(c *collector, start func() *Request) {
	for _, path := range []string{"/", "/" + otherText} {
		request := start()
		request.Path = path
		c.add(request)
	}
	for i, route := range h.Routes {
		route.collect(c, start)
		route.dodge(c, start, h.Routes[:i])
	}
	h.Tree.All(func(action any, meet []func(*Request)) {
		begin := func() *Request {
			request := start()
			for _, f := range meet {
				f(request)
			}
			return request
		}
		c.add(begin())
		switch action := action.(type) {
		case *Route:
			action.collect(c, begin)
		case []*Route:
			for _, route := range action {
				route.collect(c, begin)
			}
		}
	})
}

func (r *Route) collect(c *collector, start func() *Request) {
	request := start()
	if r.If.Meet != nil {
		r.If.Meet(request)
	}
	c.add(request)
	for _, change := range []func(*Request){
		func(r *Request) { r.Path = r.BarePath() + "0" }, func(r *Request) { r.Path = r.BarePath() + "/0" },
		func(r *Request) { r.Header = map[string]string{} }, func(r *Request) { r.Method = "PUT" },
		func(r *Request) { r.Path = r.BarePath() },
	} {
		changed := request.clone()
		change(changed)
		c.add(changed)
	}
	for _, how := range r.If.Also {
		changed := start()
		how(changed)
		c.add(changed)
	}
	for _, how := range r.If.Misses {
		changed := request.clone()
		how(changed)
		c.add(changed)
	}
}

// maxDodged bounds how many routes before one are kept clear of at once.
const maxDodged = 50

// dodge adds a request that keeps clear of all routes before, by all else than its path,
// if they can be.
func (r *Route) dodge(c *collector, start func() *Request, before []*Route) {
	if len(before) == 0 || len(before) > maxDodged || r.If.Meet == nil {
		return
	}
	request := start()
	r.If.Meet(request)
	for _, route := range before {
		view := View{Request: request}
		for _, how := range route.If.Misses {
			if route.If.Holds(view) == No {
				break
			}
			changed := request.clone()
			how(changed)
			changed.Path = request.Path
			if r.If.Holds(View{Request: changed}) != No {
				request, view = changed, View{Request: changed}
			}
		}
	}
	c.add(request)
}
