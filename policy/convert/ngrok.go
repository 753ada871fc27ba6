package convert

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// ngrok reads a traffic policy: alone, in an agent's configuration, or in a resource of
// Kubernetes.
//
// Source: ngrok.com/docs/traffic-policy, read on 2026-11-29.
func (c *converter) ngrok(data []byte) error {
	root, err := c.root(data)
	if err != nil {
		return err
	}
	switch {
	case root.get("endpoints").ok():
		root.rest("", "endpoints", "version")
		for _, endpoint := range root.get("endpoints").items() {
			endpoint.rest("", "name", "description", "url", "traffic_policy", "upstream")
			var hosts []string
			if u, err := url.Parse(endpoint.get("url").text()); err == nil && u.Hostname() != "" {
				hosts = []string{u.Hostname()}
			}
			c.trafficPolicy(endpoint.get("traffic_policy"), hosts)
		}
	case root.get("spec").ok():
		root.rest("", "apiVersion", "kind", "metadata", "spec")
		root.get("spec").rest("", "policy")
		c.trafficPolicy(root.get("spec").get("policy"), nil)
	default:
		c.trafficPolicy(root, nil)
	}
	if len(c.out.Webhooks)+len(c.out.Notes) == 0 {
		root.note("has no verify-webhook in on_http_request")
	}
	return nil
}

// protecting are actions that keep requests away, of which nothing remains here.
var protecting = []string{"deny", "rate-limit", "jwt-validation", "basic-auth", "oauth", "openid-connect", "saml", "terminate-tls", "owasp-crs-request", "circuit-breaker"}

// rule is what holds for the actions of one rule.
type rule struct {
	hosts, methods []string
	paths          []string
	prefix         bool // paths are those that requests begin with
	open           bool // an expression was not understood
	source         *policyv1.SourceIP
}

func (c *converter) trafficPolicy(policy value, hosts []string) {
	policy.rest(": requests are what is verified", "on_http_request")
	var everywhere *policyv1.SourceIP // of rules before that hold for all
	for _, r := range policy.get("on_http_request").items() {
		r.rest("", "name", "expressions", "actions")
		holds := c.expressions(r.get("expressions"))
		if len(holds.hosts) == 0 {
			holds.hosts = hosts
		}
		holds.source = everywhere
		verified := false
		for _, action := range r.get("actions").items() {
			kind, config := action.get("type"), action.get("config")
			action.rest("", "type", "config")
			switch kind.text() {
			case "verify-webhook":
				verified = true
				c.verifyWebhook(action, config, holds)
			case "restrict-ips":
				holds.source = c.restrict(config, holds.source)
				if len(r.get("expressions").items()) == 0 {
					everywhere = holds.source
				} else if !verified && !hasVerify(r) {
					kind.note("restrict-ips is carried over where the same rule verifies a webhook, and not here")
				}
			default:
				if slices.Contains(protecting, kind.text()) {
					kind.note("the action %.40q is not carried over: what it kept away must be kept away by Envoy, or by the webhook's policy", cut(kind.text()))
				} else {
					kind.note("the action %.40q is not carried over: where a delivery goes is said by Envoy's routes", cut(kind.text()))
				}
			}
		}
	}
}

func hasVerify(rule value) bool {
	return slices.ContainsFunc(rule.get("actions").items(), func(a value) bool { return a.get("type").text() == "verify-webhook" })
}

// restrict reads restrict-ips, besides what held before.
func (c *converter) restrict(config value, before *policyv1.SourceIP) *policyv1.SourceIP {
	config.rest("", "allow", "deny", "enforce")
	s := &policyv1.SourceIP{Allow: config.get("allow").texts(), Deny: config.get("deny").texts()}
	switch {
	case !config.get("enforce").is(true):
		config.get("enforce").note("restrict-ips that only watches is not carried over")
		return before
	case before != nil:
		config.note("is carried over in place of a restrict-ips that stands before it, which held as well")
	}
	return s
}

func (c *converter) verifyWebhook(action, config value, holds rule) {
	config.rest("", "provider", "secret", "enforce")
	theirs := config.get("provider")
	p := c.provided(theirs.at(), theirs.text(), ngrokNames)
	if p == nil {
		return
	}
	if names := missing(p, nil); len(names) > 0 {
		action.note("is left out: %s needs parameters that are not here (%s); see docs/providers/%s.md", p.GetName(), strings.Join(names, ", "), p.GetName())
		return
	}
	paths := holds.paths
	switch {
	case len(paths) == 0 && holds.open:
		paths = []string{"/webhooks/" + slug(theirs.text())}
		action.note("is taken at %s: the expressions that say where ngrok took it were not understood", paths[0])
	case len(paths) == 0:
		paths = []string{"/**"}
		action.note("%s", notRoot)
	}
	for _, path := range paths {
		switch {
		case holds.prefix && strings.HasSuffix(path, "/"):
			path += "**"
		case holds.prefix:
			action.note("is taken at %s alone, and ngrok took it at all paths that begin so: write %s/** where the provider delivers below", path, path)
		}
		w := &Webhook{At: action.at(), Policy: ofProvider(p.GetName(), p, &policyv1.Match{
			Hosts: holds.hosts, At: &policyv1.Match_Path{Path: path}, Methods: holds.methods,
		})}
		if s := holds.source; s != nil && len(s.GetAllow())+len(s.GetDeny()) > 0 {
			w.Policy.SourceIp = s
		}
		if !config.get("enforce").is(true) {
			w.Policy.Mode = policyv1.Webhook_SHADOW
			config.get("enforce").note("became mode: SHADOW, which forwards what is not verified as well, and what source_ip would refuse; conditions of ngrok on the result are not carried over")
		}
		c.ngrokSecret(w, config.get("secret"), p)
		c.add(w)
	}
}

// notRoot is what is said of /** where all paths were meant.
const notRoot = "is taken at each path below /, and not at / itself: write path: / where the provider delivers there"

var interpolated = regexp.MustCompile(`^\$\{\s*secrets\.get\(.*\)\s*\}$`)

func (c *converter) ngrokSecret(w *Webhook, secret value, p *policyv1.Provider) {
	at := secret.at()
	if !secret.ok() {
		at = w.At
	}
	switch {
	case !secret.ok() && published(p):
	case !secret.ok():
		w.keep(at, "", provider.First(p)).unless("the policy has none")
	case interpolated.MatchString(secret.text()):
		w.keep(at, "", provider.First(p)).unless("its value is in a vault of ngrok")
	default:
		w.keep(at, secret.text(), provider.First(p)).unless("it is empty")
	}
}

var (
	// The parts of CEL that a policy's match can say.
	comparison = regexp.MustCompile(`^\(*\s*(req\.[a-z._]+|conn\.server_name)\s*(==|\.startsWith\()\s*("[^"\\]*"|'[^'\\]*')\s*\)*$`)
	member     = regexp.MustCompile(`^\(*\s*(req\.[a-z._]+)\s+in\s+\[\s*((?:"[^"\\]*"|'[^'\\]*')(?:\s*,\s*(?:"[^"\\]*"|'[^'\\]*'))*)\s*\]\s*\)*$`)
	literal    = regexp.MustCompile(`"[^"]*"|'[^']*'`)
)

// expressions reads which requests a rule is for, as far as a policy's match can say it.
func (c *converter) expressions(list value) (r rule) {
	for _, e := range list.items() {
		understood := !strings.ContainsAny(withoutLiterals(e.text()), "|!?")
		for part := range strings.SplitSeq(e.text(), "&&") {
			understood = understood && r.add(strings.TrimSpace(part))
		}
		if !understood {
			r.open = true
			e.note("this expression is not carried over: what it keeps away must be kept away by match, source_ip or conditions of the webhook's policy")
		}
	}
	return r
}

func withoutLiterals(text string) string { return literal.ReplaceAllString(text, "") }

// add takes down one comparison, and reports whether it is one of those that are known.
func (r *rule) add(part string) bool {
	what, begins := "", false
	var values []string
	if m := comparison.FindStringSubmatch(part); m != nil {
		what, begins, values = m[1], m[2] != "==", []string{m[3][1 : len(m[3])-1]}
	} else if m := member.FindStringSubmatch(part); m != nil {
		what = m[1]
		for _, text := range literal.FindAllString(m[2], -1) {
			values = append(values, text[1:len(text)-1])
		}
	}
	switch {
	case what == "req.url.path" && len(r.paths) == 0:
		r.paths, r.prefix = values, begins
	case begins:
		return false
	case (what == "req.host" || what == "req.url.host" || what == "conn.server_name") && len(r.hosts) == 0:
		r.hosts = values
	case what == "req.method" && len(r.methods) == 0:
		r.methods = values
	default:
		return false
	}
	return true
}
