package config

import (
	"regexp"
	"slices"
	"strings"
)

// anyHost is the host of webhooks that name none.
const anyHost = "*"

// Host is one virtual host with all that is routed on it.
type Host struct {
	Name   string // as in policies, or *
	Routes []Route
}

// ID is a name for objects and virtual hosts.
func (h Host) ID() string {
	if h.Name == anyHost {
		return "any-host"
	}
	return strings.Trim(strings.NewReplacer("*", "any", ".", "-", "_", "-", "[", "", "]", "", ":", "-").Replace(h.Name), "-")
}

// Exact reports whether it is the name of one host.
func (h Host) Exact() bool { return !strings.HasPrefix(h.Name, "*") }

// Route is one path.
type Route struct {
	Webhooks []string
	// One of them.
	Path, Prefix, Regex string
	Methods             []string
}

// Name is for comments and names of routes.
func (r Route) Name() string { return strings.Join(r.Webhooks, "+") }

// Method is what :method must match, and whether that is one word.
func (r Route) Method() string { return strings.Join(r.Methods, "|") }

// One reports whether there is one method.
func (r Route) One() bool { return len(r.Methods) == 1 }

// Chunks are the routes of a host in pieces of n matches, one for each method.
func (h Host) Chunks(n int) [][]Match {
	var all []Match
	for _, r := range h.Routes {
		for _, m := range r.Methods {
			all = append(all, Match{r, m})
		}
	}
	return slices.Collect(slices.Chunk(all, n))
}

// Match is one route with one method.
type Match struct {
	Route
	Verb string
}

// routed sorts webhooks to hosts. A webhook without hosts is on all of them, and one of
// *.example.com on those that are named below it: Envoy takes the most exact host and
// looks at no other.
func routed(webhooks []Webhook, hosts []string) []Host {
	webhooks = slices.Clone(webhooks)
	byHost := map[string]bool{anyHost: true}
	for i := range webhooks {
		if len(webhooks[i].Hosts) == 0 {
			webhooks[i].Hosts = hosts
		}
		for _, h := range webhooks[i].Hosts {
			byHost[fold(h)] = true
		}
	}
	var all []Host
	for name := range byHost {
		h := Host{Name: name}
		for _, w := range webhooks {
			if w.Path != "" && (len(w.Hosts) == 0 || slices.ContainsFunc(w.Hosts, func(host string) bool { return covers(fold(host), name) })) {
				h.add(w)
			}
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b Host) int { return strings.Compare(reverse(b), reverse(a)) })
	return all
}

func fold(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// reverse sorts * last.
func reverse(h Host) string { return strings.TrimPrefix(h.Name, "*") }

func covers(host, name string) bool {
	suffix, wild := strings.CutPrefix(host, "*")
	return host == name || wild && strings.HasSuffix(name, suffix)
}

// add routes a webhook. Webhooks that differ in methods or hosts alone share a route.
func (h *Host) add(w Webhook) {
	r := routeOf(w.Path)
	i := slices.IndexFunc(h.Routes, func(o Route) bool { return o.Path == r.Path && o.Prefix == r.Prefix && o.Regex == r.Regex })
	if i < 0 {
		h.Routes = append(h.Routes, r)
		i = len(h.Routes) - 1
	}
	at := &h.Routes[i]
	at.Webhooks = append(at.Webhooks, w.Name)
	at.Methods = append(at.Methods, w.Methods...)
	slices.Sort(at.Methods)
	at.Methods = slices.Compact(at.Methods)
}

// routeOf is the path of a policy in the words of Envoy, or more. {x} is one segment; a final /** is one or more segments below.
func routeOf(path string) Route {
	below, wild := strings.CutSuffix(path, "**")
	if !strings.ContainsAny(path, "{}") {
		if wild {
			return Route{Prefix: below}
		}
		return Route{Path: path}
	}
	segments := strings.Split(below, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = segment
		} else {
			segments[i] = regexp.QuoteMeta(s)
		}
	}
	text := strings.Join(segments, "/")
	if wild {
		text += ".+"
	}
	if len(text) > maxRegex {
		before, _, _ := strings.Cut(path, "{")
		return Route{Prefix: before}
	}
	return Route{Regex: text}
}

const (
	// segment is what {x} of a policy may be, of any length.
	segment = "[A-Za-z0-9_-]+"
	// maxRegex is how long an expression may be. Envoy refuses those that compile to more
	// than 100 steps, one for each letter. In place of a longer one stands the path up to its first {x}.
	maxRegex = 80
)
