package convert

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// kongPlugin is the one that verifies webhooks.
const kongPlugin = "standard-webhooks"

// kong reads a declarative configuration of Kong, one plugin as the Admin API takes it, or a
// KongPlugin of Kubernetes.
//
// Source: developer.konghq.com/plugins/standard-webhooks and
// github.com/Kong/kong kong/plugins/standard-webhooks, read on 2026-11-29.
func (c *converter) kong(data []byte) error {
	root, err := c.root(data)
	if err != nil {
		return err
	}
	everywhere := []kongRoute{{at: root}}
	switch {
	case root.get("kind").text() == "KongPlugin" || root.get("kind").text() == "KongClusterPlugin":
		root.rest("", "apiVersion", "kind", "metadata", "plugin", "config", "disabled", "protocols", "instanceName")
		c.kongPlugin(root, "plugin", !root.get("disabled").is(false), everywhere)
		return nil
	case root.get("name").text() == kongPlugin:
		c.kongPlugin(root, "name", root.get("enabled").is(true), everywhere)
		return nil
	}
	root.rest(": only routes and their plugins are", "_format_version", "_transform", "_comment", "_info", "_workspace", "services", "routes", "plugins")
	var all []kongRoute
	for _, s := range root.get("services").items() {
		s.rest(": where deliveries go is said by Envoy's routes", "name", "id", "tags", "routes", "plugins", "url", "host", "port", "path", "protocol", "enabled",
			"retries", "connect_timeout", "read_timeout", "write_timeout")
		routes := c.kongRoutes(s.get("routes"), s)
		c.kongPlugins(s.get("plugins"), routes, nil)
		all = append(all, routes...)
	}
	all = append(all, c.kongRoutes(root.get("routes"), value{c: c})...)
	if len(all) == 0 {
		all = everywhere
	}
	c.kongPlugins(root.get("plugins"), all, root.get("services").items())
	return nil
}

// kongRoute is a route with the service that it belongs to, if it is known.
type kongRoute struct{ at, service value }

func (c *converter) kongRoutes(list, service value) (all []kongRoute) {
	for _, r := range list.items() {
		r.rest("", "name", "id", "tags", "paths", "hosts", "methods", "protocols", "plugins", "service", "strip_path", "preserve_host",
			"path_handling", "https_redirect_status_code", "request_buffering", "response_buffering")
		route := kongRoute{r, service}
		if r.get("regex_priority").ok() { // said by rest
			continue
		}
		all = append(all, route)
		c.kongPlugins(r.get("plugins"), []kongRoute{route}, nil)
	}
	return all
}

// kongPlugins reads the plugins of a list, for routes on which each of them works.
func (c *converter) kongPlugins(list value, routes []kongRoute, services []value) {
	plugins := list.items()
	for _, p := range plugins {
		on, ok := routes, true
		if name := nameOf(p.get("route")); name != "" {
			on = slices.DeleteFunc(slices.Clone(routes), func(r kongRoute) bool {
				return !named(r.at, name)
			})
			ok = len(on) > 0
		}
		if name := nameOf(p.get("service")); name != "" {
			on = slices.DeleteFunc(slices.Clone(on), func(r kongRoute) bool {
				return !named(r.service, name) && nameOf(r.at.get("service")) != name
			})
			ok = len(on) > 0
		}
		switch kind := p.get("name"); {
		case kind.text() == kongPlugin && !ok:
			p.note("is left out: its route or service is not in the file, or has no routes")
		case kind.text() == kongPlugin:
			before := len(c.out.Webhooks)
			c.kongPlugin(p, "name", p.get("enabled").is(true), on)
			for _, w := range c.out.Webhooks[before:] {
				c.beside(w, plugins)
			}
		case kind.text() == "ip-restriction" || kind.text() == "request-size-limiting":
			if !slices.ContainsFunc(plugins, func(q value) bool { return q.get("name").text() == kongPlugin }) {
				kind.note("the plugin %s is carried over where it stands beside %s, and not here", kind.text(), kongPlugin)
			}
		default:
			kind.note("the plugin %.40q is not carried over: what it kept away must be kept away by Envoy, or by the webhook's policy", cut(kind.text()))
		}
	}
}

// nameOf is the name or id of a route or service that a plugin refers to.
func nameOf(v value) string {
	for _, key := range []string{"name", "id"} {
		if text := v.get(key).text(); text != "" {
			return text
		}
	}
	return v.text()
}

func named(v value, name string) bool {
	return v.get("name").text() == name || v.get("id").text() == name
}

// beside carries over what other plugins ask for at the same place.
func (c *converter) beside(w *Webhook, plugins []value) {
	for _, p := range plugins {
		config := p.get("config")
		if !p.get("enabled").is(true) {
			continue
		}
		switch p.get("name").text() {
		case "ip-restriction":
			w.Policy.SourceIp = &policyv1.SourceIP{Allow: config.get("allow").texts(), Deny: config.get("deny").texts()}
			if len(w.Policy.GetSourceIp().GetAllow())+len(w.Policy.GetSourceIp().GetDeny()) == 0 {
				w.Policy.SourceIp = nil
			}
		case "request-size-limiting":
			size, ok := config.get("allowed_payload_size").number()
			if !config.get("allowed_payload_size").ok() {
				size, ok = 128, true
			}
			unit := map[string]uint64{"": 1_000_000, "megabytes": 1_000_000, "kilobytes": 1000, "bytes": 1}[config.get("size_unit").text()]
			if !ok || size == 0 || size > 1<<30 || unit == 0 {
				config.note("is not carried over: no size that limits.max_body_bytes could have")
				continue
			}
			w.Policy.Limits = &policyv1.Limits{MaxBodyBytes: proto.Uint64(size * unit)}
		}
	}
}

// kongPlugin makes a webhook of each path of the routes.
func (c *converter) kongPlugin(p value, kind string, enabled bool, routes []kongRoute) {
	if kind == "name" {
		p.rest("", "name", "id", "enabled", "config", "route", "service", "protocols", "tags", "instance_name", "created_at", "updated_at")
	}
	p.get("config").rest("", "secret_v1", "tolerance_second")
	if !enabled || p.get(kind).text() != kongPlugin {
		p.note("is left out: it is switched off, or is not %s", kongPlugin)
		return
	}
	for _, r := range routes {
		paths := r.at.get("paths").texts()
		if len(paths) == 0 {
			paths = []string{"/"}
		}
		for _, path := range paths {
			if strings.HasPrefix(path, "~") {
				r.at.get("paths").note("a path that is a pattern is not carried over, and what was verified there is left out")
				continue
			}
			c.kongWebhook(p, r, path)
		}
	}
}

func (c *converter) kongWebhook(p value, r kongRoute, path string) {
	switch {
	case path == "/":
		path = "/**"
		p.note("%s", notRoot)
	case strings.HasSuffix(path, "/"):
		path += "**"
	default:
		p.note("is taken at %s alone, and Kong took it at all paths that begin so: write %s/** where deliveries come below", path, path)
	}
	name := r.at.get("name").text()
	if name == "" {
		name = kongPlugin
	}
	entry, err := provider.Get(kongPlugin)
	if err != nil || entry == nil {
		p.note("is left out: the catalogue has no %s", kongPlugin)
		return
	}
	w := &Webhook{At: p.at(), Policy: ofProvider(name, entry, &policyv1.Match{
		Hosts: r.at.get("hosts").texts(), At: &policyv1.Match_Path{Path: path}, Methods: r.at.get("methods").texts(),
	})}
	if slices.Equal(r.at.get("protocols").texts(), []string{"https"}) {
		w.Policy.Transport = &policyv1.Transport{RequireTls: true}
	}
	tolerance := p.get("config").get("tolerance_second")
	if n, ok := tolerance.number(); ok && n > 0 && n <= 7*24*3600 {
		w.Policy.Freshness = &policyv1.Freshness{Tolerance: durationpb.New(time.Duration(n) * time.Second)} //nolint:gosec // bounded
	} else if tolerance.ok() {
		tolerance.note("is not carried over: a tolerance is from one second to a week; the default of 300 s holds")
	}
	key := p.get("config").get("secret_v1")
	switch text := key.text(); {
	case strings.HasPrefix(text, "{vault://"), strings.HasPrefix(text, "${"):
		w.keep(key.at(), "", provider.First(entry)).unless("its value is elsewhere, and the file only says where")
	case strings.HasPrefix(text, "whsec_"):
		w.keep(key.at(), text, provider.First(entry))
		key.note("is read as Standard Webhooks says, base64 behind whsec_; Kong takes the text as it stands for the key: if your sender does so as well, say format: TEXT")
	default:
		w.keepGiven(key, provider.First(entry))
		if text != "" {
			w.Policy.Secrets[0].Format = policyv1.Secret_TEXT
		}
	}
	c.add(w)
}
