package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// anyHost is the host of webhooks that name none.
const anyHost = "*"

// Host is one virtual host with all that is routed on it.
type Host struct {
	Name   string // as in policies, or *
	ID     string // a name for objects and virtual hosts, which no other host has
	Routes []Route

	index map[matcher]int // places in Routes, for add
}

// Route is one path.
type Route struct {
	Webhooks []string
	// One of them.
	Path, Prefix, Regex string
	Methods             []string
}

// matcher is what a route matches.
type matcher struct{ path, prefix, regex string }

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
	byHost := map[string][]int{anyHost: nil} // places of webhooks
	for i, w := range webhooks {
		names := w.Hosts
		if len(names) == 0 {
			names = hosts
		}
		if len(names) == 0 {
			names = []string{anyHost}
		}
		for _, name := range names {
			byHost[fold(name)] = append(byHost[fold(name)], i)
		}
	}
	var all []Host
	ids := map[string]bool{}
	for _, name := range slices.SortedFunc(maps.Keys(byHost), func(a, b string) int { return strings.Compare(bare(b), bare(a)) }) {
		h := Host{Name: name, ID: idOf(name, ids), index: map[matcher]int{}}
		var places []int
		for _, wider := range widerThan(name) {
			places = append(places, byHost[wider]...)
		}
		slices.Sort(places)
		for _, place := range slices.Compact(places) {
			if w := webhooks[place]; w.Path != "" {
				h.add(w)
			}
		}
		all = append(all, h)
	}
	return all
}

// idOf makes a name of Kubernetes of a host. Hosts that would have the same one get numbers.
func idOf(host string, taken map[string]bool) string {
	id := "any-host"
	if host != anyHost {
		id = strings.Trim(strings.NewReplacer("*", "any", ".", "-", "_", "-", "[", "", "]", "", ":", "-").Replace(host), "-")
	}
	for first, i := id, 2; taken[id]; i++ {
		id = first + "-x" + strconv.Itoa(i)
	}
	taken[id] = true
	return id
}

func fold(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// bare sorts * last.
func bare(name string) string { return strings.TrimPrefix(name, "*") }

// widerThan are the names whose webhooks are on a host, too: itself, *.example.com for those
// below, and *.
func widerThan(name string) []string {
	all := []string{name}
	rest := strings.TrimPrefix(name, "*.")
	if rest == name { // no wildcard
		rest = "." + name
	}
	for {
		_, below, ok := strings.Cut(strings.TrimPrefix(rest, "."), ".")
		if !ok {
			break
		}
		all = append(all, "*."+below)
		rest = below
	}
	if name != anyHost {
		all = append(all, anyHost)
	}
	return all
}

// add routes a webhook. Webhooks that differ in methods or hosts alone share a route.
func (h *Host) add(w Webhook) {
	r := routeOf(w.Path)
	key := matcher{r.Path, r.Prefix, r.Regex}
	i, ok := h.index[key]
	if !ok {
		i = len(h.Routes)
		h.Routes, h.index[key] = append(h.Routes, r), i
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
