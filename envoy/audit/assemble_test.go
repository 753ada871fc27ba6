package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"go.yaml.in/yaml/v3"
)

// What the pieces of a configuration are made of. $CHECK_WITH FIELD: VALUE is the check
// with one field changed.
const (
	onT    = "type.googleapis.com"
	onHTTP = onT + "/envoy.extensions.filters.http"

	checkFields = `"@type": $HTTP.ext_authz.v3.ExtAuthz, transport_api_version: V3, ` +
		`status_on_error: {code: ServiceUnavailable}, validate_mutations: true, encode_raw_headers: true`
	checkAsks  = `, grpc_service: {envoy_grpc: {cluster_name: hookbastion}, timeout: 5s}`
	checkBody  = `, with_request_body: {max_request_bytes: 1048576, pack_as_bytes: true}`
	checkName  = "envoy.filters.http.ext_authz"
	luaProgram = `function envoy_on_request(h) local m = h:headers() for _, p in ipairs({{"x-goto-path", ":path"}, {"x-goto-host", ":authority"}, {"x-goto-scope", "x-scope"}, {"x-goto-method", ":method"}, {"x-goto-role", "x-role"}, {"x-goto-content-type", "content-type"}}) do ` +
		`local v = m:get(p[1]) if v == "none" then m:remove(p[2]) elseif v then m:replace(p[2], v) end end end`
)

// macros are tried in this order.
var macros = [][2]string{
	{"$CHECK_CONFIG", "{" + checkFields + checkAsks + checkBody + "}"},
	{"$CHECK_DISABLED", "{name: " + checkName + ", disabled: true, typed_config: $_CHECK}"},
	{"$CHECK", "{name: " + checkName + ", typed_config: $_CHECK}"},
	{"$MISSPELT", "{name: " + checkName + ", typed_config: {" + checkFields + checkBody + ", grpc_service: {envoy_grpc: {cluster_name: hookbastoin}, timeout: 5s}}}"},
	{"$FOREIGN", "{name: other, typed_config: {" + checkFields + checkBody + ", grpc_service: {envoy_grpc: {cluster_name: allowall}, timeout: 5s}}}"},
	{"$GOOGLE_LOCAL", "{name: " + checkName + ", typed_config: {" + checkFields + checkBody + `, grpc_service: {google_grpc: {target_uri: "$SERVICE", stat_prefix: g}, timeout: 5s}}}`},
	{"$_CHECK", "{" + checkFields + checkAsks + checkBody + "}"},
	{"$LUA_DISABLED", "{name: lua, disabled: true, typed_config: $_LUA}"},
	{"$LUA", "{name: lua, typed_config: $_LUA}"},
	{"$_LUA", `{"@type": $HTTP.lua.v3.Lua, default_source_code: {inline_string: '` + luaProgram + `'}}`},
	{"$ROUTER", `{name: router, typed_config: {"@type": $HTTP.router.v3.Router}}`},
	{"$OFF", "typed_per_filter_config: {" + checkName + `: {"@type": $HTTP.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}`},
	{"$ON", "typed_per_filter_config: {" + checkName + `: {"@type": $HTTP.ext_authz.v3.ExtAuthzPerRoute, check_settings: {}}}`},
	{"$EARLY_REMOVE", `{name: e, typed_config: {"@type": $T/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, mutations: [{remove: x-hookbastion-verified}]}}`},
	{"$DECOMPRESSOR", `{"@type": $HTTP.decompressor.v3.Decompressor, decompressor_library: {name: gzip, typed_config: {"@type": $T/envoy.extensions.compression.gzip.decompressor.v3.Gzip}}}`},
	{"$JWKS", `{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\", \"alg\": \"HS256\", \"kid\": \"k\"}]}`},
	{"$H2", `typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": $T/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}`},
	{"$HTTP", onHTTP}, {"$T", onT},
}

// expand writes the macros out.
func expand(text string) string {
	for _, m := range macros {
		text = strings.ReplaceAll(text, m[0], m[1])
	}
	return text
}

// expandLines is expand for lists of filters, of which some are the check with one field
// of its own.
func expandLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if head, field, ok := strings.Cut(line, "$CHECK_WITH "); ok {
			body := checkBody
			if strings.HasPrefix(field, "with_request_body") {
				body = ""
			}
			lines[i] = head + "{name: " + checkName + ", typed_config: {" + checkFields + checkAsks + body + ", " + field + "}}"
		}
		if head, field, ok := strings.Cut(line, "$GOOGLE "); ok {
			lines[i] = head + "{name: " + checkName + ", typed_config: {" + checkFields + checkBody +
				`, grpc_service: {google_grpc: {target_uri: "hookbastion.example.com:9001", stat_prefix: g, ` + field + "}, timeout: 1s}}}"
		}
	}
	return expand(strings.Join(lines, "\n"))
}

func tree(t testing.TB, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(expandLines(text)), &v); err != nil {
		t.Fatalf("%v\n%s", err, expandLines(text))
	}
	return v
}

func list(t testing.TB, text string) []any {
	l, _ := tree(t, text).([]any)
	return l
}

func add(to map[string]any, more any) {
	m, _ := more.(map[string]any)
	for k, v := range m {
		to[k] = v
	}
}

// assemble makes a configuration of pieces.
func assemble(t testing.TB, parts map[string]string) string {
	t.Helper()
	manager := tree(t, `{"@type": $T/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: hooks, use_remote_address: true}`).(map[string]any)
	manager["http_filters"] = append(list(t, parts["filters"]), tree(t, "$ROUTER"))
	if parts["hosts"] != "" {
		routes := map[string]any{"name": "hooks", "virtual_hosts": list(t, parts["hosts"])}
		add(routes, tree(t, parts["routes"]))
		manager["route_config"] = routes
	}
	add(manager, tree(t, parts["manager"]))
	chains := append([]any{map[string]any{"filters": []any{map[string]any{"name": "hcm", "typed_config": manager}}}}, list(t, parts["chains"])...)
	listener := tree(t, "{name: hooks, address: {socket_address: {address: 127.0.0.1, port_value: 20000}}}").(map[string]any)
	listener["filter_chains"] = chains
	add(listener, tree(t, parts["listener"]))
	cluster := func(name, port, more string) string {
		return "{name: " + name + ", type: STATIC, connect_timeout: 1s, " + more + "load_assignment: {cluster_name: " + name +
			", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " + port + "}}}}]}]}}"
	}
	hookbastion := parts["hookbastion"]
	if hookbastion == "" {
		hookbastion = cluster("hookbastion", "9001", "$H2, ")
	}
	clusters := []any{tree(t, hookbastion)}
	for _, c := range []string{
		cluster("application", "18080", ""), cluster("application-2", "18080", ""), cluster("application-h2", "18080", "$H2, "),
		cluster("site", "18090", ""), cluster("allowall", "19005", "$H2, "),
	} {
		clusters = append(clusters, tree(t, c))
	}
	config := map[string]any{
		"node":  map[string]any{"id": "test", "cluster": "test"},
		"admin": tree(t, "{address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}"),
		"static_resources": map[string]any{
			"listeners": append([]any{listener}, list(t, parts["listeners"])...), "clusters": append(clusters, list(t, parts["clusters"])...),
		},
	}
	if parts["runtime"] != "" {
		config["layered_runtime"] = map[string]any{"layers": []any{map[string]any{"name": "static", "static_layer": tree(t, parts["runtime"])}}}
	}
	add(config, tree(t, parts["bootstrap"]))
	text, err := json.MarshalIndent(config, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// token is one that $JWKS verifies, with the claims that routes ask for.
func token(t testing.TB, key []byte) string {
	t.Helper()
	signed := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "me", "role": "user"})
	signed.Header["kid"] = "k"
	text, err := signed.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer_" + text
}
