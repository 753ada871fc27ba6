package audit

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy/finding"
)

var (
	configurations = flag.Int("configurations", 24, "how many configurations TestModel makes")
	modelSeed      = flag.Uint64("model-seed", 1, "what TestModel makes them of")
)

// batch is how many configurations one Envoy gets.
const batch = 40

// generator makes configurations of pieces, by chance.
type generator struct {
	*rand.Rand
	id int
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// chance is true once in n.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

const perRoute = "typed_per_filter_config: {" + checkName + ": "

// setting is what a level says of the check.
func (g *generator) setting() string {
	if !g.chance(3) {
		return ""
	}
	return g.pick(
		", $OFF", ", $OFF", ", $ON",
		", "+perRoute+`{"@type": $T/envoy.config.route.v3.FilterConfig, disabled: true}}`,
		", "+perRoute+`{"@type": $T/envoy.config.route.v3.FilterConfig, config: {}}}`,
		", "+perRoute+`{"@type": $HTTP.ext_authz.v3.ExtAuthzPerRoute, check_settings: {grpc_service: {envoy_grpc: {cluster_name: allowall}, timeout: 5s}}}}`,
		", "+perRoute+`{"@type": $HTTP.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {a: b}}}}`,
	)
}

// headers are changes of the claim by the router.
func (g *generator) headers() string {
	switch {
	case g.chance(6):
		return ", request_headers_to_remove: [X-Hookbastion-Verified]"
	case g.chance(20):
		return `, request_headers_to_add: [{header: {key: x-hookbastion-verified, value: "%REQ(x-claim)%"}, append_action: ` +
			g.pick("OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "APPEND_IF_EXISTS_OR_ADD") + "}]"
	default:
		return ""
	}
}

func (g *generator) match() string {
	path := g.pick("prefix: /", "prefix: /hook/", "prefix: /hook", "prefix: /open", "path: /open", "path: /hook/a", "path_separated_prefix: /hook",
		`safe_regex: {regex: "/(hook|open)/[a-z]+"}`, "prefix: /HOOK, case_sensitive: false", "prefix: /hook/a/b")
	more := ""
	if g.chance(3) {
		more = g.pick(
			`, headers: [{name: x-role, string_match: {exact: user}}]`, `, headers: [{name: x-role, present_match: true}]`,
			`, headers: [{name: x-role, string_match: {prefix: us}, invert_match: true}]`, `, headers: [{name: x-role, present_match: false}]`,
			`, headers: [{name: ":method", string_match: {safe_regex: {regex: "GET|PUT"}}}]`, `, headers: [{name: x-role, string_match: {contains: se}, treat_missing_header_as_empty: true, invert_match: true}]`,
			`, query_parameters: [{name: q, string_match: {exact: "1"}}]`, `, query_parameters: [{name: q, present_match: true}]`, ", grpc: {}",
			`, runtime_fraction: {default_value: {numerator: `+g.pick("0", "100")+`}}`, `, dynamic_metadata: [{filter: a, path: [{key: b}], value: {string_match: {exact: x}}}]`,
		)
	}
	return "{" + path + more + "}"
}

func (g *generator) route() string {
	switch {
	case g.chance(7):
		return "{match: " + g.match() + ", direct_response: {status: 404}" + g.setting() + "}"
	case g.chance(12):
		return "{match: " + g.match() + ", redirect: {host_redirect: example.com}" + g.setting() + "}"
	case g.chance(10):
		return "{match: " + g.match() + ", route: {weighted_clusters: {clusters: [{name: application, weight: 1" + g.setting() + "}, {name: application-2, weight: 1}]}}" + g.setting() + "}"
	default:
		return "{match: " + g.match() + ", route: {cluster: " + g.pick("application", "application", "application", "application-2", "site") + "}" + g.setting() + g.headers() + "}"
	}
}

func (g *generator) hosts() string {
	domains := [][]string{{"hooks.example.com"}, {"*.example.com"}, {"hooks.*"}, {"*"}}
	g.Shuffle(len(domains), func(i, j int) { domains[i], domains[j] = domains[j], domains[i] })
	var b strings.Builder
	count := 1 + g.IntN(3)
	if g.chance(2) {
		domains = [][]string{{"*"}}
		count = 1
	}
	for i := range count {
		var routes []string
		for range 1 + g.IntN(4) {
			routes = append(routes, g.route())
		}
		if i == 0 {
			hook := "{match: {prefix: /hook/}, route: {cluster: application}}"
			routes = slices.Insert(routes, g.IntN(len(routes)+1), hook)
		}
		if g.chance(3) {
			routes = append(routes, "{match: {prefix: /}, direct_response: {status: 404}}")
		}
		fmt.Fprintf(&b, "- {name: host%d, domains: [\"%s\"], routes: [%s]%s%s}\n", i, domains[i][0], strings.Join(routes, ", "), g.setting(), g.headers())
	}
	return b.String()
}

const (
	headerInput = `{name: h, typed_config: {"@type": $T/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: "%s"}}`
	skipFilter  = `{action: {name: skip, typed_config: {"@type": $T/envoy.extensions.filters.common.matcher.action.v3.SkipFilter}}}`
	runCheck    = `{action: {name: run, typed_config: {"@type": $HTTP.composite.v3.ExecuteFilterAction, typed_config: {name: inner, typed_config: $CHECK_CONFIG}}}}`
)

func (g *generator) checkFilter() string {
	behind := func(tree string) string {
		return "{name: " + checkName + `, typed_config: {"@type": $T/envoy.extensions.common.matching.v3.ExtensionWithMatcher, extension_config: {name: inner, typed_config: $CHECK_CONFIG}, xds_matcher: {` + tree + "}}}"
	}
	switch g.IntN(16) {
	case 0, 1, 2:
		return "$CHECK_DISABLED"
	case 3:
		return behind("matcher_tree: {input: " + fmt.Sprintf(headerInput, "x-role") + ", exact_match_map: {map: {user: " + skipFilter + "}}}")
	case 4:
		return behind("matcher_list: {matchers: [{predicate: {not_matcher: {single_predicate: {input: " + fmt.Sprintf(headerInput, ":path") + ", value_match: {prefix: /hook}}}}, on_match: " + skipFilter + "}]}")
	case 5:
		return `{name: fc, typed_config: {"@type": $HTTP.filter_chain.v3.FilterChainConfig, default_filter_chain: {filters: [{name: ` + checkName + ", typed_config: $CHECK_CONFIG}]}}}"
	case 6:
		return `{name: composite, typed_config: {"@type": $T/envoy.extensions.common.matching.v3.ExtensionWithMatcher, extension_config: {name: composite, typed_config: {"@type": $HTTP.composite.v3.Composite}}, xds_matcher: {matcher_tree: {input: ` +
			fmt.Sprintf(headerInput, ":path") + `, prefix_match_map: {map: {"` + g.pick("/", "/hook", "/open") + `": ` + runCheck + "}}}}}}"
	case 7:
		return "$CHECK_WITH filter_enabled: {runtime_key: hb.on" + fmt.Sprint(g.id) + ", default_value: {numerator: " + g.pick("0", "100") + "}}" + g.pick("", ", deny_at_disable: {runtime_key: hb.deny, default_value: true}")
	case 8:
		return `{name: rbac, typed_config: {"@type": $HTTP.rbac.v3.RBAC, shadow_rules_stat_prefix: x_, shadow_rules: {action: DENY, policies: {a-check: {permissions: [` +
			g.pick("{any: true}", "{url_path: {path: {prefix: /hook}}}", `{and_rules: {rules: [{header: {name: ":method", string_match: {exact: POST}}}, {not_rule: {url_path: {path: {exact: /open}}}}]}}`) +
			"], principals: [{any: true}]}}}}}\n- $CHECK_WITH filter_enabled_metadata: {filter: envoy.filters.http.rbac, path: [{key: x_shadow_effective_policy_id}], value: {string_match: {prefix: a-}}}"
	default:
		return "$CHECK"
	}
}

func (g *generator) other() string {
	mutate := `{name: m, typed_config: {"@type": $HTTP.header_mutation.v3.HeaderMutation, mutations: {request_mutations: [{append: {header: {key: x-role, value: user}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}}`
	clears := `{name: fs, typed_config: {"@type": $HTTP.set_filter_state.v3.Config, clear_route_cache: true, on_request_headers: [{object_key: a.b, factory_key: envoy.string, format_string: {text_format_source: {inline_string: x}}}]}}`
	return g.pick("$LUA", "$LUA", mutate, mutate+"\n- "+clears, clears,
		`{name: m2, typed_config: {"@type": $HTTP.header_mutation.v3.HeaderMutation, mutations: {request_mutations: [{remove: x-hookbastion-verified}]}}}`,
		`{name: t, typed_config: {"@type": $HTTP.transform.v3.TransformConfig, clear_route_cache: true, request_transformation: {headers_mutations: [{append: {header: {key: x-role, value: "%REQ(x-goto-role)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}}`,
		`{name: tags, typed_config: {"@type": $HTTP.ip_tagging.v3.IPTagging, request_type: BOTH, ip_tag_header: {header: x-role, action: SANITIZE}, ip_tags: [{ip_tag_name: user, ip_list: [{address_prefix: 127.0.0.0, prefix_len: 8}]}]}}`,
		`{name: rbac2, typed_config: {"@type": $HTTP.rbac.v3.RBAC, rules: {action: DENY, policies: {p: {permissions: [{url_path: {path: {prefix: /open}}}], principals: [{any: true}]}}}}}`,
		`{name: rbac3, typed_config: {"@type": $HTTP.rbac.v3.RBAC, rules: {action: ALLOW, policies: {p: {permissions: [{url_path: {path: {prefix: /hook}}}], principals: [{any: true}]}}}}}`,
		`{name: bridge, typed_config: {"@type": $HTTP.grpc_http1_reverse_bridge.v3.FilterConfig, content_type: application/x-protobuf}}`,
		`{name: cors, typed_config: {"@type": $HTTP.cors.v3.Cors}}`,
	)
}

// parts makes one configuration.
func (g *generator) parts() map[string]string {
	var filters []string
	before := g.chance(6)
	if before {
		filters = append(filters, g.other())
	}
	filters = append(filters, g.checkFilter())
	for range g.IntN(3) {
		f := g.other()
		if before && f == "$LUA" && filters[0] == f {
			continue // the program takes both turns by one header
		}
		filters = append(filters, f)
	}
	p := map[string]string{"filters": "- " + strings.Join(filters, "\n- "), "hosts": g.hosts()}
	if g.chance(6) {
		p["routes"] = "{" + strings.TrimPrefix(g.setting()+g.headers(), ", ") + "}"
	}
	var manager []string
	if g.chance(12) {
		manager = append(manager, "early_header_mutation_extensions: [$EARLY_REMOVE]")
	}
	if g.chance(5) {
		manager = append(manager, g.pick("upgrade_configs: [{upgrade_type: websocket}]", "upgrade_configs: [{upgrade_type: websocket, filters: [$ROUTER]}]",
			"upgrade_configs: [{upgrade_type: websocket, filters: [$CHECK, $ROUTER]}]", "upgrade_configs: [{upgrade_type: websocket, enabled: false, filters: [$ROUTER]}]"))
	}
	p["manager"] = strings.Join(manager, "\n")
	if g.chance(2) {
		p["runtime"] = "hb.on" + fmt.Sprint(g.id) + ": " + g.pick("0", "100")
	}
	if g.chance(10) {
		cluster := g.pick("application", "application-2", "site")
		p["listeners"] = `- {name: two, address: {socket_address: {address: 127.0.0.1, port_value: 20002}}, filter_chains: [{filters: [` + g.pick(
			`{name: tcp, typed_config: {"@type": $T/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: `+cluster+"}}",
			`{name: hcm, typed_config: {"@type": $T/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: two, http_filters: [$ROUTER], route_config: {name: two, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: `+cluster+"}"+g.headers()+"}]}]}}}",
		) + "]}]}"
	}
	return p
}

// made is one configuration with what the audit says of it.
type made struct {
	name, text string
	parts      map[string]string
	open       []string // errors that say that a forged request passes
	tries      []string
	code       bool
}

// about are the rules that the model decides.
var about = []finding.Rule{filterFraction, filterOff, bypass, unverifiedRoute, routedLate, movedLate, upgradeBypass, routeElsewhere, matchedAway, rawBypass}

// tried are the requests of a configuration: those of its model, and what its code may
// make of them.
func tried(a *audit, code bool) []string {
	var all []string
	for _, m := range a.managers {
		requests := m.model.Routes.Requests(model.Conditions(m.model.Filters))
		for _, r := range requests {
			all = append(all, r.String())
			if len(m.upgrades) > 0 {
				all = append(all, r.String()+" upgrade: websocket")
			}
		}
		if !code {
			continue
		}
		seen := map[string]bool{}
		for _, from := range requests {
			for _, to := range requests {
				key := fmt.Sprint(m.model.Routes.Choose(model.View{Request: from}), m.model.Routes.Choose(model.View{Request: to}))
				if seen[key] {
					continue
				}
				seen[key] = true
				text := from.String() + " x-goto-host: " + to.Host + " x-goto-path: " + to.Path + " x-goto-method: " + to.Method
				for _, name := range []string{"x-role", "content-type"} {
					if value, ok := to.Header[name]; ok {
						text += " x-goto-" + strings.TrimPrefix(name, "x-") + ": " + value
					} else {
						text += " x-goto-" + strings.TrimPrefix(name, "x-") + ": none"
					}
				}
				all = append(all, text)
			}
		}
	}
	return all
}

// generate makes a batch, and the one configuration of all for Envoy.
func generate(t *testing.T, g *generator, n int) ([]*made, string) {
	t.Helper()
	var all []*made
	whole := map[string]any{}
	for range n {
		g.id++
		parts := g.parts()
		c := &made{name: fmt.Sprintf("c%d", g.id), text: assemble(t, parts), parts: parts}
		c.code = strings.Contains(parts["filters"], "$LUA")
		a := newAudit([]File{{Name: c.name, Data: []byte(c.text)}}, Options{})
		for _, f := range a.run() {
			if f.Severity == finding.Error && (f.ID != filterFraction.ID || strings.Contains(f.Message, " -> ")) && slices.ContainsFunc(about, func(r finding.Rule) bool { return r.ID == f.ID }) {
				c.open = append(c.open, f.String())
			}
		}
		for _, text := range append(tried(a, c.code), everywhere...) {
			roles := []string{"user"}
			if strings.Contains(parts["filters"], "transform") {
				roles = append(roles, "", "other-0", "1")
			}
			for _, role := range roles {
				if role != "" && !strings.Contains(text, "x-goto-role") {
					role = " x-goto-role: " + role
				}
				times := 1
				if strings.Contains(parts["hosts"], "weighted_clusters") && !strings.Contains(text, "upgrade:") {
					times = 4 // of which some go either way
				}
				for range times {
					c.tries = append(c.tries, text+role+" x-claim: forged")
				}
			}
		}
		all = append(all, c)
		var config map[string]any
		if err := json.Unmarshal([]byte(c.text), &config); err != nil {
			t.Fatal(err)
		}
		join(whole, config, c.name)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return all, string(text)
}

// join adds the listeners of a configuration to another, under names of their own.
func join(whole, config map[string]any, name string) {
	from := config["static_resources"].(map[string]any)
	for _, l := range from["listeners"].([]any) {
		listener := l.(map[string]any)
		listener["name"] = name + " " + listener["name"].(string)
	}
	if whole["static_resources"] == nil {
		for k, v := range config {
			whole[k] = v
		}
		whole["layered_runtime"] = map[string]any{"layers": []any{}}
	} else {
		to := whole["static_resources"].(map[string]any)
		to["listeners"] = append(to["listeners"].([]any), from["listeners"].([]any)...)
	}
	if runtime, ok := config["layered_runtime"].(map[string]any); ok {
		layers := whole["layered_runtime"].(map[string]any)
		for _, layer := range runtime["layers"].([]any) {
			layer.(map[string]any)["name"] = name
			layers["layers"] = append(layers["layers"].([]any), layer)
		}
	}
}

// TestModel: of configurations made by chance, the model and a real Envoy tell alike
// whether a forged request reaches the application. Where the model says so, one of
// the requests that were tried does.
func TestModel(t *testing.T) {
	s := newStand(t)
	g := &generator{Rand: rand.New(rand.NewPCG(*modelSeed, 0))}
	open, requests := 0, 0
	for left := *configurations; left > 0; left -= batch {
		all, text := generate(t, g, min(left, batch))
		e := s.start(t, &judged{file: "envoy.json", text: text})
		for _, c := range all {
			requests += len(c.tries)
			if s.agree(t, e, c) {
				open++
			}
		}
		e.Stop()
	}
	t.Logf("%d configurations, %d of them open, %d requests", *configurations, open, requests)
	if open < *configurations/5 || open > *configurations*4/5 {
		t.Error("nearly all are alike, which tells little")
	}
}

// agree compares what was said of a configuration with what a real Envoy does, and
// reports whether it is open.
func (s *stand) agree(t *testing.T, e *envoytest.Envoy, c *made) bool {
	t.Helper()
	passed, verified := map[string]string{}, map[string]bool{} // by application
	for name, address := range e.Listeners {
		if !strings.HasPrefix(name, c.name+" ") {
			continue
		}
		for _, text := range c.tries {
			r := parseTry(text)
			r.claim = "forged"

			a, _ := s.send(address, r)
			if strings.Contains(a.claim, "forged") {
				passed[a.application] = name + ": " + text
			}
			if a.arrived {
				continue // it is not verified
			}
			if strings.Contains(text, "upgrade:") {
				continue // its body is not asked for
			}
			r.sign = true
			if a, _ := s.send(address, r); a.arrived {
				verified[a.application] = true
			}
		}
	}
	open := false
	for application := range passed {
		open = open || verified[application] || len(verified) == 0
	}
	if len(verified) == 0 && len(passed) == 0 {
		return false // where nothing arrives, it may say that nothing is verified
	}
	if said := len(c.open) > 0; said != open {
		t.Errorf("%s: the audit says %q, and a real Envoy lets pass %q, verifies %v\n%v", c.name, c.open, passed, verified, c.parts)
	}
	return open
}
