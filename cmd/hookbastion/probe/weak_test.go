package probe

import (
	"cmp"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy/probe"
)

// weakening switches one protection off.
type weakening struct {
	// of is the key of policies, the setting or the finding of envoy audit.
	of string
	// policy is what probe is told, served what the gateway does; empty: the same.
	policy, served string
	// more are settings of both, weak those of the gateway alone.
	more, weak string
	// edit changes the gateway. It may add findings, so that it is not held to one.
	edit func(*gateway)
	args []string
	tls  bool
	// good changes the gateway where it is not weakened.
	good func(*gateway)
	// away: nobody is there to be asked. twice: there are two services.
	away, twice bool
	// finds is the attack that gets through; empty: valid deliveries are refused.
	finds string
}

// hook writes a policy of one webhook: Stripe's, where the lines name no provider and no
// scheme. Lines end in semicolons.
func hook(lines string) string {
	text := "webhooks:\n  - name: hook\n"
	for _, pair := range [][2]string{
		{"match", "{hosts: [hooks.example.com], path: /webhooks/hook}"}, {"provider", "stripe"}, {"secrets", "[{id: a, file: ../../secrets/stripe}]"},
	} {
		key, value := pair[0], pair[1]
		if !strings.Contains(";"+lines, ";"+key+":") && (key == "match" || !strings.Contains(lines, "unverified:") && !strings.Contains(";"+lines, ";scheme:") && !strings.Contains(lines, "jwt:")) {
			text += "    " + key + ": " + value + "\n"
		}
	}
	for line := range strings.SplitSeq(lines, ";") {
		if strings.HasSuffix(line, ": -") {
			continue // without it
		}
		text += "    " + line + "\n"
	}
	return text
}

const (
	fileOf    = "{value: {file: ../../secrets/token}}"
	anyHost   = "match: {path: /webhooks/hook}"
	twilioURL = "provider: twilio;secrets: [{id: a, file: ../../secrets/github}]"
	jwtOf     = "issuers: [i], audiences: [a], algorithms: [HS256], keys: [{id: a, file: ../../secrets/stripe}]"
	old       = "2020-01-01T00:00:00Z"
	far       = "2099-01-01T00:00:00Z"
)

// ofPolicies switch off keys of policies.
var ofPolicies = []weakening{
	{of: "Webhook.unverified", policy: hook(""), served: hook(`unverified: {reason: "a test of it"}`), finds: "no-proof"},
	{of: "Webhook.mode", policy: hook(""), served: hook("mode: SHADOW"), finds: "no-proof"},
	{of: "Webhook.scheme", policy: hook(""), served: hook("provider: github"), finds: ""},
	{of: "Webhook.secrets", policy: hook(""), served: hook("secrets: [{id: a, file: ../../secrets/github}]"), finds: ""},
	{of: "Webhook.public_url", policy: hook(twilioURL + ";" + anyHost + ";public_url: https://hooks.example.com"), served: hook(twilioURL + ";" + anyHost), finds: "other-url", args: []string{"--host", "hooks.example.com"}},
	{of: "Match.hosts", policy: hook(""), served: hook(anyHost), finds: "signed-host"},
	{of: "Match.path", policy: hook(""), served: hook("match: {hosts: [hooks.example.com], path: /webhooks/**}"), finds: "signed-path"},
	{of: "Match.methods", policy: hook(""), served: hook("match: {hosts: [hooks.example.com], path: /webhooks/hook, methods: [POST, PUT]}"), finds: "signed-method"},
	{of: "Secret.file", policy: hook("match: {path: '/{tenant}/hook'};secrets: [{id: a, file: '../../secrets/tenant/{tenant}'}]"),
		served: hook("match: {path: '/{tenant}/hook'};secrets: [{id: a, file: ../../secrets/tenant/acme}]"), finds: "other-tenant", args: []string{"--path", "hook=/acme/hook"}},
	{of: "Secret.not_before", policy: hook("secrets: [{id: a, file: ../../secrets/stripe}, {id: b, file: ../../secrets/rotated, not_before: '" + far + "'}]"),
		served: hook("secrets: [{id: a, file: ../../secrets/stripe}, {id: b, file: ../../secrets/rotated}]"), finds: "expired-key"},
	{of: "Secret.not_after", policy: hook("secrets: [{id: a, file: ../../secrets/stripe}, {id: b, file: ../../secrets/rotated, not_after: '" + old + "'}]"),
		served: hook("secrets: [{id: a, file: ../../secrets/stripe}, {id: b, file: ../../secrets/rotated}]"), finds: "expired-key"},
	{of: "Transport.require_tls", policy: hook("transport: {require_tls: true}"), served: hook(""), finds: "delivery"},
	{of: "Transport.min_version", policy: hook("transport: {min_version: TLSV1_3}"), served: hook(""), more: "envoy: {tls_version_header: x-tls-version}", finds: "old-tls", tls: true},
	{of: "ClientCertificate.sans", policy: hook(`transport: {client_certificate: {sans: ["spiffe://senders/one"]}}`), served: hook(""), finds: "no-certificate", tls: true},
	{of: "ClientCertificate.fingerprints", policy: hook("transport: {client_certificate: {fingerprints: ['sha256:" + strings.Repeat("0", 64) + "']}}"), served: hook(""), finds: "delivery", tls: true},
	{of: "ClientCertificate.ca", policy: hook("transport: {client_certificate: {ca: {file: ../../senders.pem}}}"),
		served: hook(`transport: {client_certificate: {sans: ["spiffe://senders/one"]}}`), finds: "own-certificate", tls: true, edit: untrusted},
	{of: "SourceIP.allow", policy: hook("source_ip: {allow: [203.0.113.0/24]}"), served: hook(""), finds: "delivery"},
	{of: "SourceIP.deny", policy: hook("source_ip: {deny: [127.0.0.0/8]}"), served: hook(""), finds: "delivery"},
	{of: "SourceIP.ranges", policy: hook("source_ip: {ranges: [github]}"), served: hook(""), finds: "delivery"},
	{of: "Token.any_of", policy: hook("token: {any_of: [{bearer: " + fileOf + "}]}"), served: hook(""), finds: "wrong-token"},
	{of: "TokenRule.bearer", policy: hook("token: {any_of: [{bearer: " + fileOf + "}]}"), served: hook(""), finds: "without-header"},
	{of: "TokenRule.header", policy: hook("token: {any_of: [{header: {name: x-token, value: {file: ../../secrets/token}}}]}"), served: hook(""), finds: "without-header"},
	{of: "TokenRule.basic", policy: hook("token: {any_of: [{basic: {value: {file: ../../secrets/basic}}}]}"), served: hook(""), finds: "wrong-token"},
	{of: "TokenRule.query", policy: hook("token: {any_of: [{query: {name: t, value: {file: ../../secrets/token}}}]}"), served: hook(""), finds: "wrong-token"},
	{of: "TokenRule.json", policy: hook("token: {any_of: [{json: {path: a.t, value: {file: ../../secrets/token}}}]}"), served: hook(""), finds: "wrong-token"},
	{of: "TokenRule.not_before", policy: hook("token: {any_of: [{id: a, bearer: " + fileOf + "}, {id: b, not_before: '" + far + "', bearer: {value: {file: ../../secrets/rotated}}}]};provider: -;secrets: -"),
		served: hook("token: {any_of: [{id: a, bearer: " + fileOf + "}, {id: b, bearer: {value: {file: ../../secrets/rotated}}}]};provider: -;secrets: -"), finds: "expired-key"},
	{of: "TokenRule.not_after", policy: hook("token: {any_of: [{id: a, bearer: " + fileOf + "}, {id: b, not_after: '" + old + "', bearer: {value: {file: ../../secrets/rotated}}}]};provider: -;secrets: -"),
		served: hook("token: {any_of: [{id: a, bearer: " + fileOf + "}, {id: b, bearer: {value: {file: ../../secrets/rotated}}}]};provider: -;secrets: -"), finds: "expired-key"},
	{of: "Token.jwt", policy: hook("token: {jwt: {" + jwtOf + "}};provider: stripe;secrets: [{id: a, file: ../../secrets/github}]"), served: hook("secrets: [{id: a, file: ../../secrets/github}]"), finds: "alg-none"},
	{of: "TokenJwt.claims", policy: hook("token: {jwt: {" + jwtOf + ", claims: [{claim: email, equals: a@example.com}]}}"), served: hook("token: {jwt: {" + jwtOf + "}}"), finds: "other-claims"},
	{of: "TokenJwt.body_hash", policy: hook("token: {jwt: {" + jwtOf + ", body_hash: {claim: body, encoding: HEX}}}"), served: hook("token: {jwt: {" + jwtOf + "}}"), finds: "changed-body"},
	{of: "TokenJwt.leeway", policy: hook("token: {jwt: {" + jwtOf + "}}"), served: hook("token: {jwt: {" + jwtOf + ", leeway: 300s}}"), finds: "stale"},
	{of: "Freshness.tolerance", policy: hook("freshness: {tolerance: 60s}"), served: hook("freshness: {tolerance: 300s}"), finds: "stale"},
	{of: "Freshness.future", policy: hook("freshness: {future: 10s}"), served: hook("freshness: {future: 600s}"), finds: "future"},
	{of: "Replay.on_replay", policy: hook("replay: {on_replay: DENY}"), served: hook("replay: {on_replay: MARK}"), finds: "copy"},
	{of: "Limits.max_body_bytes", policy: hook("limits: {max_body_bytes: 2000}"), served: hook(""), finds: "oversized"},
	{of: "Limits.max_header_bytes", policy: hook("limits: {max_header_bytes: 8192}"), served: hook(""), finds: "long-headers"},
	{of: "Limits.max_signatures", policy: hook("limits: {max_signatures: 3}"), served: hook("limits: {max_signatures: 100}"), finds: "many-signatures"},
	{of: "Limits.content_types", policy: hook("limits: {content_types: [application/json]}"), served: hook(""), finds: "content-type"},
	{of: "Webhook.conditions", policy: hook("conditions: ['body.ok == true']"), served: hook(""), finds: "condition", args: []string{"--body", "BODY"}},
	{of: "WebhookHandshake.mode", policy: hook("provider: microsoft-graph;handshake: {mode: OFF}"), served: hook("provider: microsoft-graph"), finds: "handshake"},
}

func disabled() string {
	return `{envoy.filters.http.ext_authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}`
}

// edge makes Envoy believe what senders write about their connection.
func believing(g *gateway) { g.manager()["use_remote_address"] = false }

// untrusted takes any client certificate.
func untrusted(g *gateway) {
	context := at[map[string]any](g.chain(), "transport_socket", "typed_config")
	context["require_client_certificate"] = true
	common := at[map[string]any](context, "common_tls_context")
	common["validation_context"] = g.yaml(`{trust_chain_verification: ACCEPT_UNTRUSTED}`)
	g.authz()["include_peer_certificate"] = true
}

// exactRoute names the webhook on one path.
func exactRoute(g *gateway) {
	g.routeFirst(`{path: /webhooks/hook}`, `{envoy.filters.http.ext_authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {hookbastion.webhook: hook}}}}`)
}

// ofSettings switch off settings of the service.
var ofSettings = []weakening{
	{of: "envoy.string_body", policy: hook(""), weak: "envoy: {string_body: TRUST}", finds: "replaced-bytes", edit: func(g *gateway) {
		at[map[string]any](g.authz(), "with_request_body")["pack_as_bytes"] = false
	}},
	{of: "envoy.edge", policy: hook("transport: {require_tls: true}"), weak: "envoy: {edge: true}", finds: "plain", edit: believing},
	{of: "envoy.tls_version_header", policy: hook("transport: {min_version: TLSV1_3}"), more: "envoy: {tls_version_header: x-tls-version}", finds: "old-tls", tls: true, edit: func(g *gateway) {
		g.authz()["include_tls_session"] = true
		// It writes the header, unless the sender has.
		g.manager()["early_header_mutation_extensions"] = g.yaml(`[{name: early, typed_config: {"@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation,
			mutations: [{append: {header: {key: x-tls-version, value: "%DOWNSTREAM_TLS_VERSION%"}, append_action: ADD_IF_ABSENT}}]}}]`)
	}},
	{of: "source.trusted_hops", policy: hook("source_ip: {allow: [127.0.0.0/8]}"), weak: "source: {trusted_hops: 1}", finds: "forged-address"},
	{of: "source.trusted_cidrs", policy: hook("source_ip: {allow: [203.0.113.0/24]}"), weak: "source: {trusted_cidrs: [0.0.0.0/0]}", finds: "forged-address"},
	{of: "replay.store", policy: hook(""), finds: "copy", twice: true},
}

// ofEnvoy are the errors of envoy audit.
var ofEnvoy = []weakening{
	{of: "HE001", finds: "no-proof", edit: func(g *gateway) {
		g.manager()["http_filters"] = at[[]any](g.manager(), "http_filters")[1:]
	}},
	{of: "HE002", finds: "", edit: func(g *gateway) {
		delete(g.authz(), "grpc_service")
		g.authz()["http_service"] = g.yaml(`{server_uri: {uri: "http://h", cluster: hookbastion, timeout: 1s}}`)
	}},
	{of: "HE003", finds: "no-proof", away: true, edit: func(g *gateway) { g.authz()["failure_mode_allow"] = true }},
	{of: "HE004", finds: "no-proof", edit: func(g *gateway) { g.authz()["shadow_mode"] = true }},
	{of: "HE005", finds: "again", edit: func(g *gateway) {
		g.authz()["filter_enabled"] = g.yaml(`{default_value: {numerator: 50, denominator: HUNDRED}}`)
	}},
	{of: "HE006", finds: "no-proof", edit: func(g *gateway) { g.filter()["disabled"] = true }},
	{of: "HE010", finds: "no-proof", edit: func(g *gateway) { // beside a listener that has the filter
		g.manager()["http_filters"] = at[[]any](g.manager(), "http_filters")[1:]
	}},
	{of: "HE011", finds: "path", edit: func(g *gateway) { g.routeFirst(`{path: /webhooks/hook/}`, disabled()) }},
	{of: "HE014", finds: "path", edit: func(g *gateway) {
		routes := at[[]any](g.host(), "routes")
		routes[0].(map[string]any)["match"] = g.yaml(`{prefix: /webhooks/}`)
		g.host()["routes"] = routes[:1]
		g.filterAt(1, `{name: late, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string:
			"function envoy_on_request(h) if h:headers():get(':path') == '/WEBHOOKS/HOOK' then h:headers():replace(':path', '/webhooks/hook') h:clearRouteCache() end end"}}}`)
	}},
	{of: "HE015", finds: "path", edit: func(g *gateway) {
		g.routeFirst(`{path: /webhooks/hook.json}`, disabled())
		at[map[string]any](g.host(), "routes", 0)["request_headers_to_remove"] = []any{"x-hookbastion-verified"}
		g.filterAt(1, `{name: late, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string:
			"function envoy_on_request(h) if h:headers():get(':path') == '/webhooks/hook.json' then h:headers():replace(':path', '/webhooks/hook') h:clearRouteCache() end end"}}}`)
	}},
	{of: "HE016", finds: "upgrade", edit: func(g *gateway) {
		g.plainApplication()
		g.manager()["upgrade_configs"] = g.yaml(`[{upgrade_type: websocket, filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}]`)
	}},
	{of: "HE017", finds: "method", edit: func(g *gateway) {
		g.routeFirst(`{prefix: /, headers: [{name: ":method", string_match: {exact: PUT}}]}`,
			`{envoy.filters.http.ext_authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {grpc_service: {envoy_grpc: {cluster_name: another}}}}}`)
	}},
	{of: "HE018", finds: "method", edit: func(g *gateway) {
		inner := copied[map[string]any](g.t, g.filter())
		g.filter()["typed_config"] = map[string]any{
			"@type":            "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
			"extension_config": inner,
			"xds_matcher": g.yaml(`{matcher_tree: {input: {name: method, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: ":method"}},
				exact_match_map: {map: {PATCH: {action: {name: skip, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter}}}}}}}`),
		}
	}},
	{of: "HE019", finds: "no-proof", edit: func(g *gateway) {
		g.chain()["filters"] = g.yaml(`[{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: raw, cluster: application}}]`)
		g.plainApplication()
	}},
	{of: "HE020", finds: "", edit: func(g *gateway) { delete(g.authz(), "with_request_body") }},
	{of: "HE021", finds: "", edit: func(g *gateway) {
		at[map[string]any](g.authz(), "with_request_body")["pack_as_bytes"] = false
	}, args: []string{"--body", "BANG"}},
	{of: "HE023", finds: "behind-limit", edit: func(g *gateway) {
		body := at[map[string]any](g.authz(), "with_request_body")
		body["allow_partial_message"], body["max_request_bytes"] = true, 5000
	}},
	{of: "HE027", finds: "", edit: func(g *gateway) {
		g.route()["typed_per_filter_config"] = g.yaml(`{envoy.filters.http.ext_authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {disable_request_body_buffering: true}}}`)
	}},
	{of: "HE029", policy: hook("provider: github;secrets: [{id: a, file: ../../secrets/github}]"), finds: "hidden-body", edit: func(g *gateway) {
		at[[]any](g.authz(), "grpc_service", "initial_metadata")[0].(map[string]any)["value"] = "%REQ(x-hookbastion-request-duration)%"
		delete(g.authz(), "with_request_body")
	}},
	{of: "HE031", finds: "", edit: func(g *gateway) { g.authz()["allowed_headers"] = g.yaml(`{patterns: [{prefix: content-}]}`) }},
	{of: "HE033", finds: "forged-headers", edit: func(g *gateway) {
		g.authz()["decoder_header_mutation_rules"] = g.yaml(`{disallow_all: true}`)
	}},
	{of: "HE045", finds: "", edit: func(g *gateway) {
		at[map[string]any](g.authz(), "grpc_service")["envoy_grpc"] = g.yaml(`{cluster_name: hookbastion-gone}`)
	}},
	{of: "HE050", policy: hook("source_ip: {allow: [127.0.0.0/8]}"), weak: "source: {trusted_hops: 1}", finds: "forged-address", edit: func(g *gateway) {
		g.manager()["use_remote_address"], g.manager()["skip_xff_append"] = false, true
	}},
	{of: "HE053", policy: hook(`transport: {client_certificate: {sans: ["spiffe://senders/one"]}}`), finds: "own-certificate", tls: true, edit: untrusted},
	{of: "HE077", policy: hook("transport: {require_tls: true}"), more: "envoy: {edge: true}", finds: "plain", edit: believing},
	{of: "HE081", good: exactRoute, policy: hook("match: {extension_only: true}"), finds: "signed-path", args: []string{"--path", "hook=/webhooks/hook", "--host", "hooks.example.com"}, edit: func(g *gateway) {
		g.route()["typed_per_filter_config"] = g.yaml(`{envoy.filters.http.ext_authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {hookbastion.webhook: hook}}}}`)
	}},
	{of: "HE082", finds: "forged-trailers", edit: func(g *gateway) {
		filters := at[[]any](g.manager(), "http_filters")
		g.manager()["http_filters"] = append(filters[:1:1], filters[2:]...)
	}},
	{of: "HE088", finds: "", policy: hook("provider: twilio;" + anyHost), args: []string{"--host", "hooks.example.com:8443"}, edit: func(g *gateway) {
		g.manager()["strip_any_host_port"] = true
	}},
}

// prepare makes what rows name.
func (b *bench) prepare() {
	b.write("secrets/basic", "user:5365637265745365-5365637265745365\n")
	b.write("body.json", `{"ok":true}`)
	b.write("bang.json", `{"ok":"!"}`)
	if _, _, err := b.authority.IssueFiles(b.dir, "sender", envoytest.Issue{Name: "sender", URIs: []string{"spiffe://senders/one"}}); err != nil {
		b.t.Fatal(err)
	}
}

// flags are the row's flags of probe.
func (w *weakening) flags(b *bench) []string {
	args := slices.Clone(w.args)
	for i := range args {
		args[i] = strings.NewReplacer("BODY", filepath.Join(b.dir, "body.json"), "BANG", filepath.Join(b.dir, "bang.json")).Replace(args[i])
	}
	if w.tls {
		args = append(args, "--cert", filepath.Join(b.dir, "sender.crt"), "--cert-key", filepath.Join(b.dir, "sender.key"))
	}
	return args
}

func listenerName(of string) string { return "weak-" + strings.ReplaceAll(of, ".", "-") }

// TestWeakened switches off one protection after the other, and each is found.
func TestWeakened(t *testing.T) {
	b := newBench(t)
	b.prepare()
	rows := slices.Concat(ofPolicies, ofSettings, ofEnvoy)
	for i := range rows {
		w := &rows[i]
		w.policy = cmp.Or(w.policy, hook(""))
		w.served = cmp.Or(w.served, w.policy)
		service := b.service(w.served, w.more+"\n"+w.weak)
		if w.away {
			service = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
		}
		b.add(listenerName(w.of), service, w.tls, true, func(g *gateway) {
			if w.twice {
				g.twin = b.service(w.served+"# another", w.more)
			}
			if w.of == "HE017" {
				g.another = b.service(hook(`match: {path: /**, methods: [PUT, POST]};unverified: {reason: "it takes anything"}`), "")
			}
			if w.edit != nil {
				w.edit(g)
			}
		})
	}
	b.start()
	for i := range rows {
		w := &rows[i]
		t.Run(w.of, func(t *testing.T) {
			t.Parallel()
			r, exit := b.run(t, listenerName(w.of), w.policy, w.more, w.tls, w.flags(b)...)
			passed := map[string]int{}
			for _, result := range r.Results {
				if result.Verdict == probe.Passed {
					passed[result.Attack]++
				}
			}
			switch {
			case len(r.Unsigned) > 0:
				t.Errorf("not probed: %v", r.Unsigned)
			case w.finds == "" && (exit != cli.CaseFailed || r.Refused == 0 || r.Passed > 0):
				t.Errorf("exit %d, %d refused, passed %v", exit, r.Refused, passed)
			case w.finds != "" && (exit != cli.AttackPassed || passed[w.finds] == 0):
				t.Errorf("exit %d, passed %v, want %s", exit, passed, w.finds)
				for _, result := range r.Results {
					if result.Attack == w.finds || result.Verdict == probe.Refused {
						t.Logf("%+v", result)
					}
				}
			}
		})
	}
}

// TestOurs: nothing gets through a gateway that is not weakened, whatever the policy.
func TestOurs(t *testing.T) {
	b := newBench(t)
	b.prepare()
	var rows []weakening
	for _, w := range slices.Concat(ofPolicies, ofSettings, ofEnvoy) {
		w.policy = cmp.Or(w.policy, hook(""))
		if slices.ContainsFunc(rows, func(o weakening) bool {
			return o.policy == w.policy && o.more == w.more && o.tls == w.tls && slices.Equal(o.args, w.args)
		}) {
			continue
		}
		rows = append(rows, w)
		b.add(listenerName(w.of), b.service(w.policy, w.more), w.tls, true, w.good)
	}
	b.start()
	for i := range rows {
		w := &rows[i]
		t.Run(w.of, func(t *testing.T) {
			t.Parallel()
			r, exit := b.run(t, listenerName(w.of), w.policy, w.more, w.tls, w.flags(b)...)
			if exit != cli.Good || r.Held < 40 {
				t.Errorf("exit %d, %d held", exit, r.Held)
			}
			for _, result := range r.Results {
				if slices.Contains([]probe.Verdict{probe.Passed, probe.Unclear, probe.Refused}, result.Verdict) {
					t.Errorf("%+v", result)
				}
			}
		})
	}
}

// TestQuiet: of an application that repeats nothing, nobody says that it was not deceived.
func TestQuiet(t *testing.T) {
	b := newBench(t)
	b.add("good", b.service(hook(""), ""), false, false, nil)
	b.add("deceived", b.service(hook(""), ""), false, false, func(g *gateway) {
		g.authz()["decoder_header_mutation_rules"] = g.yaml(`{disallow_all: true}`)
	})
	b.add("shown", b.service(hook(""), ""), false, false, func(g *gateway) {
		g.host()["response_headers_to_add"] = g.yaml(`[{header: {key: x-was-verified, value: "%REQ(x-hookbastion-verified)%"}}]`)
	})
	b.start()
	for listener, want := range map[string]int{"good": 5, "deceived": 5, "shown": 3} {
		r, exit := b.run(t, listener, hook(""), "", false)
		if exit != cli.Good || r.Unseen != want {
			t.Errorf("%s: exit %d, %d unseen", listener, exit, r.Unseen)
		}
	}
}
