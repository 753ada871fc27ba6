package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// What a webhook refuses, another one may take: the table is asked for requests that are
// nearly those of a webhook, and says whose they are. Nothing is guessed of how it matches.

// maxHosts bounds the hosts that each webhook's path is tried on.
const maxHosts = 16

// routed is what of a webhook its requests are told by.
type routed struct {
	name     string
	doc      *strictyaml.Document
	index    any
	match    *policyv1.Match
	strength strength
}

func (r *routed) at() strictyaml.Place { return r.doc.At("webhooks", r.index, "match") }

func (p *pass) noteRoute(w *webhook) {
	p.routes = append(p.routes, routed{w.GetName(), w.at.Document(), w.at.Step(1), w.GetMatch(), w.strength()})
}

// Kinds of a way around, by what the sender changes.
const (
	bySpelling = iota
	byPath
	byMethod
	byHost
)

// detour is a webhook that takes what another one, which asks for more, refuses.
type detour struct {
	kind     int
	weak     *routed
	from     []string // names of those that ask for more, with the request that goes around
	strength strength
}

// detours are all of the set, in the order of the weak webhooks.
func (p *pass) detours() []*detour {
	if p.detoursKnown {
		return p.detoursFound
	}
	p.detoursKnown = true
	by := map[string]*routed{}
	least := signed
	for i := range p.routes {
		by[p.routes[i].name] = &p.routes[i]
		least = min(least, p.routes[i].strength)
	}
	found := map[[2]int]*detour{}
	note := func(kind int, strong, weak *routed, request string) {
		key := [2]int{kind, p.Table.Webhook(weak.name).Index}
		d := found[key]
		if d == nil {
			d = &detour{kind: kind, weak: weak}
			found[key] = d
		}
		d.strength = max(d.strength, strong.strength)
		if text := strong.name + " (" + request + ")"; len(d.from) < maxGone && !slices.ContainsFunc(d.from, func(s string) bool { return strings.HasPrefix(s, strong.name+" ") }) {
			d.from = append(d.from, text)
		}
	}
	try := newTrial(p)
	for i := range p.routes {
		if strong := &p.routes[i]; strong.strength > least && !strong.match.GetExtensionOnly() {
			try.around(strong, by, note)
		}
	}
	for _, d := range found {
		p.detoursFound = append(p.detoursFound, d)
	}
	slices.SortFunc(p.detoursFound, func(a, b *detour) int {
		return cmp.Or(p.Table.Webhook(a.weak.name).Index-p.Table.Webhook(b.weak.name).Index, a.kind-b.kind)
	})
	return p.detoursFound
}

// trial has what the requests are made of that are tried.
type trial struct {
	table   *authz.Table
	methods []string
	hosts   []string            // of webhooks that ask for less
	alike   map[string][]string // paths by how the most generous router reads them
	// whole: several things are changed at once, which takes too long for large sets.
	whole bool
}

// maxWhole is how many webhooks a set has at most for which that is done.
const maxWhole = 1000

func newTrial(p *pass) *trial {
	t := &trial{table: p.Table, alike: map[string][]string{}, whole: len(p.routes) <= maxWhole}
	for i := range p.routes {
		r := &p.routes[i]
		for _, method := range methodsOf(r.match) {
			if !slices.Contains(t.methods, method) {
				t.methods = append(t.methods, method)
			}
		}
		for _, host := range r.match.GetHosts() {
			if host = sampleHost(host); r.strength < signed && len(t.hosts) < maxHosts && !slices.Contains(t.hosts, host) {
				t.hosts = append(t.hosts, host)
			}
		}
		if path := samplePath(r.match); path != "" {
			folded := authz.FoldPath(path)
			t.alike[folded] = append(t.alike[folded], path)
		}
	}
	return t
}

// around tries requests that are nearly those of a webhook.
func (t *trial) around(strong *routed, by map[string]*routed, note func(kind int, strong, weak *routed, request string)) {
	path, own := samplePath(strong.match), hostsOf(strong.match)
	methods := methodsOf(strong.match)
	ask := func(kind int, method, host, path string) {
		found := t.table.Lookup(&authz.Request{Method: authz.View(method), Host: authz.View(host), Path: authz.View(path)})
		if found.Webhook == nil {
			return
		}
		weak := by[found.Webhook.Name]
		if weak == nil || weak.strength >= strong.strength || kind == byHost && !overlap(strong.match, weak.match) {
			return
		}
		if kind != byHost && host == otherHost { // any host: none need be named
			host = ""
		}
		note(kind, strong, weak, method+" "+host+path)
	}
	alike := slices.Concat([]string{path}, t.alike[authz.FoldPath(path)], spellings(path))
	below := strings.TrimSuffix(path, "/") + "/" + sample
	hosts, others := own, append(t.hosts[:len(t.hosts):len(t.hosts)], otherHost)
	for _, host := range others {
		if !slices.Contains(own, host) {
			hosts = append(hosts[:len(hosts):len(hosts)], host)
		}
	}
	for _, host := range hosts {
		for _, method := range t.methods {
			for n, other := range append(alike, below) {
				// What differs says of what kind it is: the host, the method, the path.
				changed := 0
				kind := bySpelling
				if n == len(alike) {
					kind = byPath
				}
				if other != path {
					changed++
				}
				if !slices.Contains(methods, method) {
					kind, changed = byMethod, changed+1
				} else if method != methods[0] {
					continue // the webhook takes it as well
				}
				if !slices.Contains(own, host) {
					kind, changed = byHost, changed+1
				}
				if changed == 1 || changed > 1 && t.whole || changed == 0 {
					ask(kind, method, host, other)
				}
			}
		}
	}
}

// sample stands for whatever a pattern leaves open, otherHost for a host that no policy
// names.
const (
	sample    = "sample"
	otherHost = "other-host.invalid"
)

// spellings are ways to write a path that some routers take for the same.
func spellings(path string) []string {
	all := []string{path + "/", "/" + path, path + ".json", path + ";x=1", strings.ToUpper(path), strings.ToLower(path)}
	if trimmed := strings.TrimSuffix(path, "/"); trimmed != "" {
		all = append(all, trimmed)
	}
	if len(path) > 1 {
		all = append(all, path[:len(path)-1]+"%"+strings.ToUpper(hexOf(path[len(path)-1])))
	}
	return all
}

func hexOf(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// samplePath is a path that the webhook matches; empty if Envoy alone selects it.
func samplePath(m *policyv1.Match) string {
	segments := strings.Split(m.GetPath(), "/")
	for i, segment := range segments {
		if open(segment) {
			segments[i] = sample
		}
	}
	return strings.Join(segments, "/")
}

// open reports whether a segment of a policy's path stands for several.
func open(segment string) bool {
	return segment == "**" || strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

func methodsOf(m *policyv1.Match) []string {
	if methods := m.GetMethods(); len(methods) > 0 {
		return methods
	}
	return []string{"POST"}
}

// hostsOf are hosts that the webhook matches.
func hostsOf(m *policyv1.Match) []string {
	if len(m.GetHosts()) == 0 {
		return []string{otherHost}
	}
	hosts := make([]string, len(m.GetHosts()))
	for i, host := range m.GetHosts() {
		hosts[i] = sampleHost(host)
	}
	return hosts
}

func sampleHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		return sample + "." + rest
	}
	return host
}

// overlap reports whether one of two webhooks takes hosts of the other, were it alone.
func overlap(a, b *policyv1.Match) bool {
	some := func(a, b *policyv1.Match) bool {
		return slices.ContainsFunc(hostsOf(b), func(host string) bool { return takesHost(a, host) })
	}
	return some(a, b) || some(b, a)
}

func takesHost(m *policyv1.Match, host string) bool {
	return len(m.GetHosts()) == 0 || slices.ContainsFunc(m.GetHosts(), func(own string) bool {
		own = strings.ToLower(strings.TrimSuffix(own, "."))
		rest, wildcard := strings.CutPrefix(own, "*")
		return own == host || wildcard && len(host) > len(rest) && strings.HasSuffix(host, rest)
	})
}

// around reports the ways around of one kind.
func (p *pass) around(kind int, words string) {
	for _, d := range p.detours() {
		if d.kind != kind {
			continue
		}
		severity := p.rule.Severity
		if d.weak.strength > nothing {
			severity = finding.Info
		}
		p.reportAs(severity, d.weak.at().Error("asks for "+d.weak.strength.String()+", and takes "+words+" "+strings.Join(d.from, ", ")+
			", where "+d.strength.String()+" is asked for"))
	}
}

// elseWeaker is the other severity of rules about ways around.
const elseWeaker = "info where the other webhook asks for something, but for less"

var otherSpelling = Rule{
	Rule: finding.Rule{
		ID: "HB010", Severity: finding.Warning, Else: elseWeaker,
		Title: "what reads like a verified webhook's path is an unverified one's",
		Risk:  "A sender writes the path with another case, a slash at its end or an escape. Hookbastion asks for nothing, and an application that takes both for one runs the verified webhook's handler.",
		Fix:   "Remove the unverified webhook, or give it a path that no router takes for the other.",
		Link:  "policy.md#match",
	},
	after: func(p *pass) { p.around(bySpelling, "what other routers take for the requests of") },
}

var belowVerified = Rule{
	Rule: finding.Rule{
		ID: "HB011", Severity: finding.Warning, Else: elseWeaker,
		Title: "what stands below a verified webhook's path falls through to an unverified one",
		Risk:  "A sender adds something to the path. The wide webhook takes it without any proof, and an application that routes by the beginning of the path runs the verified webhook's handler.",
		Fix:   "Give the unverified webhook the paths that it is for, in place of one that takes everything.",
		Link:  "policy.md#match",
	},
	after: func(p *pass) { p.around(byPath, "what stands below the path of") },
}

var otherMethod = Rule{
	Rule: finding.Rule{
		ID: "HB012", Severity: finding.Warning, Else: elseWeaker,
		Title: "a path is verified for some methods, and not for others",
		Risk:  "A sender uses another method. Hookbastion asks for nothing, and an application that does not look at the method, or that takes it from X-HTTP-Method-Override, does what the verified request would have made it do.",
		Fix:   "List the methods in the verified webhook, or remove the unverified one.",
		Link:  "policy.md#match",
	},
	after: func(p *pass) { p.around(byMethod, "another method at the path of") },
}

var otherHostName = Rule{
	Rule: finding.Rule{
		ID: "HB013", Severity: finding.Warning, Else: elseWeaker,
		Title: "a path is verified for some hosts, and not for others",
		Risk:  "The sender writes the Host header. With another one the same request goes to the same application, and nobody asks for a proof.",
		Fix:   "Give both webhooks the same hosts, or the unverified one another path.",
		Link:  "policy.md#match",
	},
	after: func(p *pass) { p.around(byHost, "another host at the path of") },
}
