package authz

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Table finds the webhook of a request. It is immutable and safe for
// concurrent use once it is built.
type Table struct {
	// Digest identifies the policy set that the table was made from.
	Digest string
	// Secrets are read from files, which may change while the table is in use;
	// nil if there are none.
	Secrets *secret.Files
	// Tenants counts the names whose secrets are in memory, and those without
	// that are remembered, each once for every webhook; nil if no webhook has
	// secrets for each tenant.
	Tenants func() (known, unknown int)
	// Fetched is what the table needs of what providers publish; nil if nothing.
	Fetched *fetch.Use
	// Ranges are the lists of addresses that its webhooks name, each once.
	Ranges []*ranges.List

	webhooks []*Webhook
	byName   map[string]*route
	exact    map[string]*tree // by host
	wildcard map[string]*tree // by the part after "*"
	anyHost  *tree
}

// Match says which requests belong to a webhook.
type Match struct {
	// Hosts are exact names or "*.example.com", in lower case. Empty: any.
	Hosts []string
	// Path is exact, {x} stands for one segment, a final /** for one or more.
	Path    string
	Methods []string
	// ExtensionOnly: the webhook is found by the name in Request.Webhook alone,
	// whatever host and path are. Hosts and Path are then empty.
	ExtensionOnly bool
}

// route is one webhook with its match, compiled.
type route struct {
	webhook *Webhook
	hosts   []string
	path    string
	methods []string
	asked   []string // methods of handshakes that are none of those
	allow   string   // methods, for the Allow header
	tenant  int      // number of the path segment that is the tenant, or -1
	named   bool     // found by its name alone
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		byName:   map[string]*route{},
		exact:    map[string]*tree{},
		wildcard: map[string]*tree{},
	}
}

// Webhooks returns all webhooks in the order of their index. The caller must
// not change it.
func (t *Table) Webhooks() []*Webhook {
	if t == nil {
		return nil
	}
	return t.webhooks
}

// Webhook returns the webhook of that name, or nil.
func (t *Table) Webhook(name string) *Webhook {
	if t == nil || t.byName[name] == nil {
		return nil
	}
	return t.byName[name].webhook
}

// Add puts a webhook into a table that is being built. It returns the webhook
// that matches the same requests, if there is one; w is then not added.
// Names must be unique, which the caller has checked.
func (t *Table) Add(w *Webhook, m Match) (tie *Webhook) {
	r := &route{
		webhook: w, hosts: m.Hosts, path: m.Path, methods: m.Methods,
		asked: otherMethods(w.Handshakes, m.Methods), allow: strings.Join(m.Methods, ", "), tenant: TenantSegment(m.Path), named: m.ExtensionOnly,
	}
	var trees []*tree
	if len(m.Hosts) == 0 && !r.named {
		if t.anyHost == nil {
			t.anyHost = &tree{}
		}
		trees = append(trees, t.anyHost)
	}
	for _, host := range m.Hosts {
		trees = append(trees, t.hostTree(host))
	}
	var ends []*node
	for _, tree := range trees {
		ends = append(ends, tree.written.insert(m.Path))
	}
	for _, end := range ends {
		for _, other := range end.routes {
			if slices.ContainsFunc(other.methods, func(m string) bool { return slices.Contains(r.methods, m) }) {
				return other.webhook
			}
		}
	}
	folded := string(foldPath(nil, []byte(m.Path)))
	for i, end := range ends {
		end.routes = append(end.routes, r)
		end.exact = isLiteral(m.Path)
		read := trees[i].folded.insert(folded)
		read.routes = append(read.routes, r)
	}
	w.Index = len(t.webhooks)
	t.webhooks = append(t.webhooks, w)
	t.byName[w.Name] = r
	return nil
}

func (t *Table) hostTree(host string) *tree {
	hosts := t.exact
	if rest, ok := strings.CutPrefix(host, "*"); ok {
		hosts, host = t.wildcard, rest
	}
	if hosts[host] == nil {
		hosts[host] = &tree{}
	}
	return hosts[host]
}

// Found is the result of a look-up. Webhook is nil unless Reason is OK.
type Found struct {
	Webhook *Webhook
	Reason  Reason
	// Tenant aliases the request's path.
	Tenant View
	// Asking says whether the request may be a handshake of the webhook.
	Asking Asking
	// Methods is what a 405 names.
	Methods string
	// Like is the webhook that some routers would take the path for, where that
	// is why there is none.
	Like *Webhook
}

// Lookup finds the webhook that the request belongs to.
func (t *Table) Lookup(req *Request) Found {
	var buf [256]byte
	host, ok := normalHost(buf[:0], req.Host)
	if !ok {
		return Found{Reason: NoWebhook}
	}
	path := req.PathOnly()
	if len(req.Webhook) > 0 {
		return t.lookupNamed(req, host, path)
	}
	end, wide := t.find(host, path)
	if end == nil {
		return Found{Reason: NoWebhook}
	}
	if wide {
		if other := t.meant(host, path, end.routes[0]); other != nil {
			return Found{Reason: NoWebhook, Like: other.webhook}
		}
	}
	for _, r := range end.routes {
		if r.allows(req.Method) {
			return r.found(req, path)
		}
	}
	for _, r := range end.routes {
		if r.asks(req) {
			return r.found(req, path)
		}
	}
	return Found{Reason: MethodNotAllowed, Methods: end.methods()}
}

// lookupNamed serves requests for which Envoy's configuration names the
// webhook. The webhook's own match must hold all the same, if it has one.
func (t *Table) lookupNamed(req *Request, host []byte, path View) Found {
	r := t.byName[string(req.Webhook)]
	if r == nil || !r.matches(host, path) {
		return Found{Reason: NoWebhook}
	}
	// Among the paths of the table the one that is written so may be another
	// webhook's, if Envoy says so. One that only reads like it may not.
	if string(path) != r.path {
		other := t.meant(host, path, r)
		if end, _ := t.find(host, path); other != nil && (end == nil || t.meant(host, path, end.routes[0]) != nil) {
			return Found{Reason: NoWebhook, Like: other.webhook}
		}
	}
	if !r.allows(req.Method) && !r.asks(req) {
		return Found{Reason: MethodNotAllowed, Methods: r.allow}
	}
	return r.found(req, path)
}

// find returns the node of the path, and whether the match is wider than the
// path by itself, so that a more specific webhook could be meant.
func (t *Table) find(host []byte, path View) (end *node, wide bool) {
	t.eachTree(host, func(tree *tree) bool {
		if end = tree.written.match(path); end == nil {
			wide = true // than the host of this tree
		}
		return end == nil
	})
	return end, wide || end != nil && !end.exact
}

// meant returns a webhook that is more specific than r, and for whose path a
// router could take this one, though it is not written so: /%73tripe, /Stripe
// and /stripe/ are /stripe to some. Whoever sends them would choose which
// webhook verifies the request, and the other one's handler would get it.
func (t *Table) meant(host []byte, path View, r *route) *route {
	var buf [256]byte
	folded := []byte(path)
	if !isFolded(path) {
		folded = foldPath(buf[:0], path)
	}
	var end *node
	t.eachTree(host, func(tree *tree) bool {
		end = tree.folded.read(folded)
		return end == nil
	})
	if end == nil || slices.Contains(end.routes, r) {
		return nil
	}
	return end.routes[0]
}

// eachTree visits the trees of the host, the most specific first, until visit
// returns false.
func (t *Table) eachTree(host []byte, visit func(*tree) bool) {
	if n := t.exact[string(host)]; n != nil && !visit(n) {
		return
	}
	if len(t.wildcard) > 0 {
		// The longest wildcard comes first: cut one label after the other.
		for rest := host; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			if n := t.wildcard[string(rest[dot:])]; n != nil && dot > 0 && !visit(n) {
				return
			}
			rest = rest[dot+1:]
		}
	}
	if t.anyHost != nil {
		visit(t.anyHost)
	}
}

// matches reports whether a request that names the webhook may have this host
// and path. A path that two parsers could read differently is none.
func (r *route) matches(host []byte, path View) bool {
	if r.named {
		return string(path) == "/" || len(path) > 1 && path[0] == '/' && isPlainPath(path[1:])
	}
	return r.matchesHost(host) && patternMatches(r.path, path)
}

func (r *route) matchesHost(host []byte) bool {
	if len(r.hosts) == 0 {
		return true
	}
	for _, h := range r.hosts {
		if suffix, ok := strings.CutPrefix(h, "*"); ok {
			if len(host) > len(suffix) && string(host[len(host)-len(suffix):]) == suffix {
				return true
			}
		} else if string(host) == h {
			return true
		}
	}
	return false
}

func (r *route) allows(method View) bool {
	for _, m := range r.methods {
		if string(method) == m {
			return true
		}
	}
	return false
}

func (r *route) found(req *Request, path View) Found {
	found := Found{Webhook: r.webhook, Reason: OK}
	if r.webhook.Handshakes != nil {
		found.Asking = r.webhook.Handshakes.Asks(req, r.allows(req.Method))
	}
	if r.tenant >= 0 {
		found.Tenant = segment(path, r.tenant)
	}
	return found
}

// Tenant returns the tenant that a path names, as the webhook of that name reads
// it; empty if it names none.
func (t *Table) Tenant(name, path string) string {
	r := t.byName[name]
	if r == nil || r.tenant < 0 || !patternMatches(r.path, []byte(path)) {
		return ""
	}
	return string(segment(View(path), r.tenant))
}

// TenantOf returns the segment of the path from which the webhook of that name
// takes its tenant, from 0, or -1.
func (t *Table) TenantOf(name string) int {
	if t == nil || t.byName[name] == nil {
		return -1
	}
	return t.byName[name].tenant
}

// SameTenant reports whether the webhook of that name takes its tenant from the
// same segment as one with this path would. Nonces are kept by tenant.
func (t *Table) SameTenant(name, path string) bool {
	return t != nil && t.byName[name] != nil && t.byName[name].tenant == TenantSegment(path)
}

// Sample returns a method and a path that match the webhook of that name. The
// path is empty for one that Envoy alone selects.
func (t *Table) Sample(name string) (method, path string) {
	r := t.byName[name]
	if r == nil {
		return "", ""
	}
	segments := strings.Split(r.path, "/")
	for i, s := range segments {
		if isParameter(s) || s == below {
			segments[i] = "sample"
		}
	}
	return r.methods[0], strings.Join(segments, "/")
}
