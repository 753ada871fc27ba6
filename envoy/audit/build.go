package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// build makes the model of a manager, or returns nil if its routes are not known.
func (a *audit) build(m *manager) *model.Manager {
	routes := a.buildRoutes(m)
	if routes == nil {
		return nil
	}
	b := &builder{audit: a, levels: a.levels(m)}
	built := &model.Manager{
		Filters: b.filters(m.top), Routes: routes, Upgrades: map[string]*model.Upgrade{},
		Headers: earlyChanges(m.body),
	}
	for _, u := range m.upgrades {
		upgrade := &model.Upgrade{Allowed: u.allowed, Place: u.place}
		if len(u.top) > 0 {
			upgrade.Filters = b.filters(u.top)
		}
		built.Upgrades[u.kind] = upgrade
	}
	return built
}

// earlyChanges are those of the claim before the first filter runs.
func earlyChanges(body node) (changes []model.HeaderChange) {
	for _, extension := range body.get("early_header_mutation_extensions").items() {
		_, mutation := extension.get("typed_config").typed()
		changes = append(changes, mutations(mutation.get("mutations"))...)
	}
	if body.get("use_remote_address").truth() {
		for _, name := range body.get("route_config", "internal_only_headers").items() {
			if strings.EqualFold(name.text(), envoy.HeaderVerified) {
				changes = append(changes, model.HeaderChange{Remove: true, Place: name})
			}
		}
	}
	return changes
}

// mutations are the changes of the claim in a list of header mutations.
func mutations(list node) (changes []model.HeaderChange) {
	for _, m := range list.items() {
		switch add := m.get("append"); {
		case m.get("remove").ok():
			if strings.EqualFold(m.get("remove").text(), envoy.HeaderVerified) {
				changes = append(changes, model.HeaderChange{Remove: true, Place: m})
			}
		case m.get("remove_on_match").ok():
			if matchesOne(m.get("remove_on_match", "key_matcher"), envoy.HeaderVerified) {
				changes = append(changes, model.HeaderChange{Remove: true, Place: m})
			}
		case add.ok():
			changes = append(changes, addition(add)...)
		}
	}
	return changes
}

// addition is what a HeaderValueOption makes of the claim.
func addition(add node) []model.HeaderChange {
	header := add.get("header")
	value := header.get("value").text()
	if !strings.EqualFold(header.get("key").text(), envoy.HeaderVerified) || value == "" {
		return nil
	}
	action := add.get("append_action").text()
	over := strings.HasPrefix(action, "OVERWRITE") || add.get("append").ok() && !add.get("append").truth()
	return []model.HeaderChange{{
		Value: value, Add: !over, Place: add,
		Open: strings.Contains(value, "%REQ(") || strings.Contains(value, "%REQUEST_HEADER("),
	}}
}

// builder makes filters of the model.
type builder struct {
	*audit
	levels []level // of the manager's routes
}

func (b *builder) filters(chain []filter) []*model.Filter {
	built := []*model.Filter{} // a chain that is empty is one, too
	for i := range chain {
		built = append(built, b.filter(&chain[i]))
	}
	return built
}

// inner makes the filters within another.
func (b *builder) inner(chain []filter) []*model.Filter {
	built := b.filters(chain)
	for _, f := range built {
		f.Inner = true
	}
	return built
}

// filter makes one of the model. Kinds that it does not name look at a request, answer it
// or change what routes do not look at.
func (b *builder) filter(f *filter) *model.Filter {
	built := &model.Filter{Name: f.name, Disabled: f.entry.get("disabled").truth(), Place: f.entry, Spec: *f}
	body := f.body
	switch f.kind {
	case "router":
		built.Router = true
	case "ext_authz":
		built.Check = b.check(f)
	case "rbac":
		built.RBAC = b.rbac(body)
	case "filter_chain":
		built.Chain = b.inner(f.inner)
	case "ExtensionWithMatcher", "composite":
		built.Choice = b.choice(f)
	case "basic_auth", "api_key_auth", "oauth2":
		built.Stops = true
	default:
		built.Change = b.change(f)
	}
	return built
}

func (b *builder) check(f *filter) *model.Check {
	body := f.body
	on := model.Always(model.Yes)
	if enabled := body.get("filter_enabled"); enabled.ok() {
		on = model.Always(b.fraction(enabled))
	}
	if m := body.get("filter_enabled_metadata"); m.ok() {
		on = model.All(on, metadataMatcher(m))
	}
	return &model.Check{
		Ours: f.ours, On: on, DenyElse: b.fractionBool(body.get("deny_at_disable")),
		Shadow: body.get("shadow_mode").truth(), Clears: body.get("clear_route_cache").truth(),
	}
}

// change is what filters of other kinds make of a request.
func (b *builder) change(f *filter) *model.Change {
	body := f.body
	switch f.kind {
	case "lua":
		byRoute := !body.get("default_source_code").ok() && body.get("inline_code").text() == ""
		return &model.Change{Anything: true, Clears: true, ByRoute: byRoute, Word: "may make of it"}
	case "wasm", "golang", "dynamic_modules", "unknown":
		return &model.Change{Anything: true, Clears: true, Word: "may make of it"}
	case "ext_proc":
		return extProc(body)
	case "jwt_authn":
		return b.claims(body)
	case "grpc_json_transcoder", "mcp_json_rest_bridge":
		return transcoder(f.kind, body)
	case "grpc_http1_reverse_bridge":
		content := body.get("content_type").text()
		return &model.Change{Clears: true, Wants: []model.Condition{model.GRPC()}, Word: "changes content-type", Edit: edits(func(r *model.Request) bool {
			was := strings.HasPrefix(r.Header["content-type"], "application/grpc")
			r.Header["content-type"] = content
			return was
		})}
	case "connect_grpc_bridge":
		return &model.Change{Clears: true, Word: "makes a call of gRPC of it", Maybe: true, Edit: edits(func(r *model.Request) bool {
			r.Header["content-type"] = "application/grpc"
			return true
		})}
	case "header_mutation":
		return mutation(body.get("mutations"))
	case "transform":
		return transform(body)
	case "ratelimit":
		if len(body.get("rate_limits").items()) == 0 && !b.onRoutes("rate_limits") {
			return nil // without actions it asks nobody
		}
		return &model.Change{Anything: true, Clears: true, Word: "may add headers of its service and make of it"}
	case "ip_tagging":
		return tagging(body)
	case "set_filter_state":
		return &model.Change{Clears: body.get("clear_route_cache").truth(), State: true, Word: "clears the route"}
	case "mcp":
		return &model.Change{Clears: body.get("clear_route_cache").truth(), Metadata: true, Word: "clears the route"}
	case "json_to_metadata":
		return &model.Change{Clears: true, Metadata: true, Word: "clears the route"}
	case "header_to_metadata", "set_metadata", "grpc_field_extraction", "proto_message_extraction", "geoip", "credential_injector":
		return &model.Change{Metadata: true}
	}
	return nil
}

// edits tries an edit on a request and on all others that are known, and keeps those
// that are edited versions of the first: nothing but headers differs.
func edits(edit func(*model.Request) bool) func(*model.Request, []*model.Request) []*model.Request {
	return func(r *model.Request, _ []*model.Request) []*model.Request {
		changed := cloneRequest(r)
		if !edit(changed) {
			return nil
		}
		return []*model.Request{changed}
	}
}

func cloneRequest(r *model.Request) *model.Request {
	c := *r
	c.Header = map[string]string{}
	for k, v := range r.Header {
		c.Header[k] = v
	}
	return &c
}

// onRoutes reports whether a route or virtual host has a field in its action or itself.
func (b *builder) onRoutes(field string) bool {
	return slices.ContainsFunc(b.levels, func(l level) bool {
		return l.get(field).ok() || l.get("route", field).ok()
	})
}

func extProc(body node) *model.Change {
	mode := body.get("processing_mode")
	blind := mode.get("request_header_mode").text() == "SKIP" && (mode.get("request_body_mode").text() == "" || mode.get("request_body_mode").text() == "NONE")
	kept := body.get("disable_clear_route_cache").truth() || body.get("route_cache_action").text() == "RETAIN"
	if body.get("observability_mode").truth() || kept || blind && !body.get("allow_mode_override").truth() {
		return nil
	}
	return &model.Change{Anything: true, Clears: true, Word: "may make of it"}
}

// mutation is a header_mutation: it changes headers and keeps the route.
func mutation(m node) *model.Change {
	list := m.get("request_mutations")
	return &model.Change{Headers: mutations(list), Edit: sets(list)}
}

// transform changes headers by the body, and clears the route if it is told to.
func transform(body node) *model.Change {
	list := body.get("request_transformation", "headers_mutations")
	if len(list.items()) == 0 {
		return nil
	}
	return &model.Change{Headers: mutations(list), Edit: sets(list), Clears: body.get("clear_route_cache").truth(), Word: "changes headers"}
}

// sets is the edit of a list of header mutations. A value that the sender chooses becomes
// each that a route asks for.
func sets(list node) func(*model.Request, []*model.Request) []*model.Request {
	return func(r *model.Request, all []*model.Request) []*model.Request {
		made := []*model.Request{cloneRequest(r)}
		for _, m := range list.items() {
			if name := m.get("remove").text(); name != "" {
				for _, changed := range made {
					delete(changed.Header, strings.ToLower(name))
				}
			}
			header := m.get("append", "header")
			if !header.ok() {
				continue
			}
			name, value := strings.ToLower(header.get("key").text()), header.get("value").text()
			values := []string{value}
			if strings.Contains(value, "%") {
				for _, other := range all {
					if v, ok := other.Header[name]; ok && !slices.Contains(values, v) {
						values = append(values, v)
					}
				}
			}
			var more []*model.Request
			if strings.Contains(value, "%") {
				more = append(more, made...) // an empty value is not written
			}
			for _, changed := range made {
				for _, v := range values {
					set := cloneRequest(changed)
					set.Set(name, v)
					more = append(more, set)
				}
			}
			made = more[:min(len(more), maxMade)]
		}
		return made
	}
}

// maxMade bounds what becomes of one request.
const maxMade = 100

func tagging(body node) *model.Change {
	name := "x-envoy-ip-tags"
	if header := body.get("ip_tag_header", "header").text(); header != "" {
		name = strings.ToLower(header)
	}
	var tags []string
	for _, tag := range body.get("ip_tags").items() {
		tags = append(tags, tag.get("ip_tag_name").text())
	}
	return &model.Change{Clears: true, Word: "adds tags of the address", Maybe: true, Edit: func(r *model.Request, _ []*model.Request) (made []*model.Request) {
		for _, tag := range tags {
			changed := cloneRequest(r)
			changed.Header[name] = tag
			made = append(made, changed)
		}
		return made
	}}
}
