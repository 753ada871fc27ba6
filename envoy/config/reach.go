package config

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// taking is a route of a file: what it takes, and whether it forwards that.
type taking struct {
	hosts    []string
	match    func(method, path string) bool
	forwards bool
}

// routes looks whether each webhook's requests have a route that forwards them, and whether
// all others have one at all. What is not known of a matcher here takes every request.
func (c *comparison) routes(webhooks []Webhook, o Options) {
	all, at := c.takings()
	if len(all) == 0 {
		return // routes come from elsewhere; envoy/audit says so
	}
	for _, h := range routed(webhooks, o.Hosts) {
		some := takers(all, strings.Replace(h.Name, "*", "any", 1))
		for _, r := range h.Routes {
			for _, method := range r.Methods {
				path := r.sample()
				if t := chosen(some, method, path); t == nil || !t.forwards {
					c.found = append(c.found, Difference{at.file, 1, 1, "routes", method + " " + path + " for " + h.Name + " has none that forwards it: webhook " + r.Name()})
				}
			}
		}
		if o.Target == Contour && h.Name == anyHost {
			continue // it has no routes for hosts that nobody named
		}
		if chosen(some, "POST", "/"+nobody) == nil {
			c.found = append(c.found, Difference{at.file, 1, 1, "routes", "for " + h.Name + " there is none for what no webhook takes, so that it is not verified: a last route must answer 404"})
		}
	}
}

// nobody is a path that no webhook has.
const nobody = ".hookbastion/no/webhook"

// sample is a path that the route takes.
func (r Route) sample() string {
	switch {
	case r.Path != "":
		return r.Path
	case r.Prefix != "":
		return r.Prefix + "x"
	default:
		text := strings.ReplaceAll(r.Regex, segment, "x")
		return strings.ReplaceAll(strings.ReplaceAll(text, ".+", "x"), `\`, "")
	}
}

// takers are the routes of the most exact host that takes requests for a host, in their order.
// Routes of several objects for one host count together.
func takers(all []taking, host string) (some []taking) {
	best := 0
	for _, t := range all {
		at := -1
		for _, h := range t.hosts {
			at = max(at, exactness(h, host))
		}
		if at < best {
			continue
		}
		if at > best {
			best, some = at, nil
		}
		some = append(some, t)
	}
	return some
}

// chosen is the first route that takes a request; nil if there is none.
func chosen(some []taking, method, path string) *taking {
	for i := range some {
		if some[i].match(method, path) {
			return &some[i]
		}
	}
	return nil
}

// exactness is -1 if a domain does not take a host.
func exactness(domain, host string) int {
	domain = strings.ToLower(domain)
	if i := strings.LastIndexByte(domain, ':'); i > 0 && !strings.HasSuffix(domain, "]") {
		domain = domain[:i]
	}
	suffix, wild := strings.CutPrefix(domain, "*")
	switch {
	case domain == host:
		return 1 << 20
	case wild && strings.HasSuffix(host, suffix):
		return len(suffix)
	default:
		return -1
	}
}

// takings are the routes of all files.
func (c *comparison) takings() (all []taking, at piece) {
	for _, root := range c.roots {
		before := len(all)
		walk(root.node, maxDepth, func(n *yaml.Node) { all = append(all, ofEnvoy(n)...) })
		if len(all) > before {
			at = root
		}
	}
	for _, p := range c.pieces {
		var more []taking
		switch spec := get(p.node, "spec"); p.kind {
		case "HTTPRoute":
			more = ofGateway(spec)
		case "VirtualService":
			more = ofIstio(spec)
		case "HTTPProxy":
			more = ofContour(spec)
		}
		if len(more) > 0 {
			all, at = append(all, more...), p
		}
	}
	return all, at
}

func walk(n *yaml.Node, depth int, visit func(*yaml.Node)) {
	if depth == 0 {
		return
	}
	visit(n)
	for _, child := range n.Content {
		walk(child, depth-1, visit)
	}
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func texts(n *yaml.Node) (all []string) {
	for _, item := range items(n) {
		all = append(all, follow(item).Value)
	}
	return all
}

// ofEnvoy reads a virtual host.
func ofEnvoy(n *yaml.Node) (all []taking) {
	domains := get(n, "domains")
	if domains == nil || get(n, "routes") == nil {
		return nil
	}
	for _, r := range items(get(n, "routes")) {
		m := get(r, "match")
		method := stringMatch(nil)
		for _, h := range items(get(m, "headers")) {
			if name := get(h, "name"); name != nil && name.Value == ":method" {
				method = stringMatch(get(h, "string_match"))
			}
		}
		path := stringMatch(m)
		if p := get(m, "path"); p != nil {
			path = func(text string) bool { return text == p.Value }
		} else if p := get(m, "path_separated_prefix"); p != nil {
			path = func(text string) bool { return text == p.Value || strings.HasPrefix(text, p.Value+"/") }
		}
		all = append(all, taking{texts(domains), both(method, path), get(r, "route") != nil})
	}
	return all
}

func both(method, path func(string) bool) func(string, string) bool {
	return func(m, p string) bool { return method(m) && path(p) }
}

// stringMatch reads exact, prefix or a regular expression; what it does not know takes all.
func stringMatch(n *yaml.Node) func(string) bool {
	if v := get(n, "exact"); v != nil {
		return func(text string) bool { return text == v.Value }
	}
	if v := get(n, "prefix"); v != nil {
		return func(text string) bool { return strings.HasPrefix(text, v.Value) }
	}
	v := get(n, "regex")
	if v == nil {
		v = get(get(n, "safe_regex"), "regex")
	}
	if v != nil {
		if e, err := regexp.Compile("^(?:" + v.Value + ")$"); err == nil {
			return e.MatchString
		}
	}
	return func(string) bool { return true }
}

// ofGateway reads an HTTPRoute. Rules that forward come first: an exact path counts more
// than a prefix, wherever it stands.
func ofGateway(spec *yaml.Node) (all []taking) {
	hosts := texts(get(spec, "hostnames"))
	if len(hosts) == 0 {
		hosts = []string{anyHost}
	}
	for _, forwards := range []bool{true, false} {
		for _, rule := range items(get(spec, "rules")) {
			if len(items(get(rule, "backendRefs"))) > 0 != forwards {
				continue
			}
			for _, m := range items(get(rule, "matches")) {
				method := stringMatch(nil)
				if v := get(m, "method"); v != nil {
					method = func(text string) bool { return text == v.Value }
				}
				all = append(all, taking{hosts, both(method, gatewayPath(get(m, "path"))), forwards})
			}
		}
	}
	return all
}

func gatewayPath(n *yaml.Node) func(string) bool {
	v, typ := get(n, "value"), get(n, "type")
	if v == nil {
		return func(string) bool { return true }
	}
	switch prefix := strings.TrimSuffix(v.Value, "/"); {
	case typ != nil && typ.Value == "Exact":
		return func(text string) bool { return text == v.Value }
	case typ != nil && typ.Value == "RegularExpression":
		return stringMatch(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Value: "regex"}, v}})
	default:
		return func(text string) bool { return text == prefix || strings.HasPrefix(text, prefix+"/") }
	}
}

// ofIstio reads a VirtualService.
func ofIstio(spec *yaml.Node) (all []taking) {
	for _, r := range items(get(spec, "http")) {
		forwards := len(items(get(r, "route"))) > 0
		matches := items(get(r, "match"))
		if len(matches) == 0 {
			matches = []*yaml.Node{nil}
		}
		for _, m := range matches {
			all = append(all, taking{texts(get(spec, "hosts")), both(stringMatch(get(m, "method")), stringMatch(get(m, "uri"))), forwards})
		}
	}
	return all
}

// ofContour reads an HTTPProxy. The longest condition counts; those that forward come first.
func ofContour(spec *yaml.Node) (all []taking) {
	host := get(get(spec, "virtualhost"), "fqdn")
	if host == nil {
		return nil
	}
	for _, forwards := range []bool{true, false} {
		for _, r := range items(get(spec, "routes")) {
			if len(items(get(r, "services"))) > 0 != forwards {
				continue
			}
			matches := func(text string) bool { return true }
			for _, condition := range items(get(r, "conditions")) {
				before, one := matches, stringMatch(condition)
				matches = func(text string) bool { return before(text) && one(text) }
			}
			all = append(all, taking{[]string{host.Value}, both(stringMatch(nil), matches), forwards})
		}
	}
	return all
}
