package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// claims are what a token may put into headers: whoever has a token has one with the
// claims that routes look at.
func (b *builder) claims(body node) *model.Change {
	c := &model.Change{Metadata: true, Maybe: true, Word: "adds headers of the token"}
	var names []string
	body.get("providers").each(func(_ string, p node) {
		for _, h := range p.get("claim_to_headers").items() {
			names = append(names, strings.ToLower(h.get("header_name").text()))
		}
		if h := p.get("forward_payload_header").text(); h != "" {
			names = append(names, strings.ToLower(h))
		}
		if p.get("clear_route_cache").truth() && (len(p.get("claim_to_headers").items()) > 0 || p.get("payload_in_metadata").ok() || p.get("header_in_metadata").ok() || p.get("forward_payload_header").ok()) {
			c.Clears = true
		}
	})
	wanted := remembered(func(all []*model.Request) []map[string]string { return valuesOf(names, all) })
	c.Edit = func(r *model.Request, all []*model.Request) (made []*model.Request) {
		for _, values := range wanted(all) {
			changed := cloneRequest(r)
			maps.Copy(changed.Header, values)
			made = append(made, changed)
		}
		plain := cloneRequest(r)
		for _, name := range names {
			if _, ok := plain.Header[name]; !ok {
				plain.Header[name] = "1"
			}
		}
		return append(made, plain)
	}
	return c
}

// valuesOf are the values that requests have in some headers, each set of them once.
func valuesOf(names []string, all []*model.Request) (found []map[string]string) {
	seen := map[string]bool{}
	for _, r := range all {
		values, key := map[string]string{}, ""
		for _, name := range names {
			if value, ok := r.Header[name]; ok {
				values[name] = value
				key += fmt.Sprintf("%q %q ", name, value)
			}
		}
		if len(values) > 0 && !seen[key] {
			seen[key] = true
			found = append(found, values)
		}
	}
	return found
}

// remembered keeps what was made of a list of requests: a walk passes the same one for each
// request, and there may be a hundred thousand.
func remembered[T any](of func([]*model.Request) T) func([]*model.Request) T {
	var last []*model.Request
	var made T
	known := false
	return func(all []*model.Request) T {
		if !known || len(all) != len(last) || len(all) > 0 && &all[0] != &last[0] {
			last, made, known = all, of(all), true
		}
		return made
	}
}

// transcoder makes calls of gRPC of other requests. Which those are, a descriptor says
// that is not read here: any may be.
func transcoder(kind string, body node) *model.Change {
	if kind == "mcp_json_rest_bridge" {
		return &model.Change{Anything: true, Clears: !body.get("disable_clear_route_cache").truth(), Word: "may make of it"}
	}
	if body.get("match_incoming_request_route").truth() {
		return nil
	}
	var services []string
	for _, s := range body.get("services").items() {
		services = append(services, "/"+s.text()+"/")
	}
	paths := remembered(func(all []*model.Request) []string {
		found := map[string]bool{}
		for _, service := range services {
			found[service+"Method"] = true
		}
		for _, other := range all {
			if slices.ContainsFunc(services, func(s string) bool { return strings.HasPrefix(other.Path, s) }) {
				found[other.BarePath()] = true
			}
		}
		return slices.Sorted(maps.Keys(found))
	})
	return &model.Change{Clears: true, Word: "makes a call of gRPC of it", Maybe: true, Edit: func(r *model.Request, all []*model.Request) (made []*model.Request) {
		if strings.HasPrefix(r.Header["content-type"], "application/grpc") {
			return nil
		}
		for _, path := range paths(all) {
			changed := cloneRequest(r)
			changed.Method, changed.Path, changed.Header["content-type"] = "POST", path, "application/grpc"
			made = append(made, changed)
		}
		return made
	}}
}
