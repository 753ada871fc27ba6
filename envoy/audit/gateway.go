package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// refersTo reports whether a policy's targets have an object among them.
func refersTo(policy object, kind, name string) bool {
	refs := append(policy.get("spec", "targetRefs").items(), policy.get("spec", "targetRef"))
	return slices.ContainsFunc(refs, func(r node) bool {
		return r.ok() && r.get("kind").text() == kind && r.get("name").text() == name
	})
}

// covers reports whether a policy counts for a route, by its own name or its Gateway's.
func covers(policy, route object) bool {
	if policy.namespace != route.namespace {
		return false
	}
	return refersTo(policy, "HTTPRoute", route.name) || slices.ContainsFunc(route.get("spec", "parentRefs").items(), func(p node) bool {
		return refersTo(policy, "Gateway", p.get("name").text())
	})
}

// checkGateway judges what Envoy Gateway is told.
func (a *audit) checkGateway() {
	var ours, others []object
	for _, o := range a.ofKind("SecurityPolicy") {
		if ext := o.get("spec", "extAuth"); ext.ok() {
			if a.asksUs(ext) {
				ours = append(ours, o)
			} else {
				others = append(others, o)
			}
		}
	}
	if len(ours) == 0 && a.Cluster == "" {
		for _, o := range others {
			a.report(otherService, o.get("spec", "extAuth"), o.name)
		}
		ours = others
	}
	if len(ours) == 0 {
		const fix = "Add a SecurityPolicy with extAuth for the Gateway or the HTTPRoute that receives webhooks."
		switch {
		case a.hasKind([]string{"SecurityPolicy"}):
			a.mend(noFilter, a.ofKind("SecurityPolicy")[0].node, fix)
		case a.hasKind([]string{"HTTPRoute"}): // the policies may well stand elsewhere
			r := notRead
			r.Severity = finding.Warning
			a.mend(r, a.ofKind("HTTPRoute")[0].node, fix, "there is no SecurityPolicy among what was given")
		}
		for _, o := range a.ofKind("Backend") {
			if a.named(o.name) {
				a.checkBackend(o)
			}
		}
		return
	}
	for _, o := range ours {
		a.checkExtAuth(o.get("spec", "extAuth"))
		a.checkTargets(o)
	}
	early := a.checkClientPolicies(ours[0].node)
	a.checkHTTPRoutes(ours, early)
	a.checkGatewayLog(ours[0].node)
	for _, o := range a.ofKind("Backend") {
		if a.named(o.name) {
			a.checkBackend(o)
		}
	}
	for _, o := range a.ofKind("BackendTrafficPolicy") {
		if v := o.get("spec", "retry"); v.ok() {
			a.report(routerRetry, v)
		}
	}
}

// asksUs reports whether a backend of extAuth is called as the service is.
func (a *audit) asksUs(ext node) bool {
	var refs []node
	for _, way := range []string{"grpc", "http"} {
		refs = append(append(refs, ext.get(way, "backendRefs").items()...), ext.get(way, "backendRef"))
	}
	return slices.ContainsFunc(refs, func(r node) bool { return r.ok() && a.named(r.get("name").text()) })
}

func (a *audit) checkExtAuth(ext node) {
	if ext.get("http").ok() {
		a.mend(httpService, ext.get("http"), "Use grpc with backendRefs in extAuth of the SecurityPolicy.")
	}
	if v := ext.get("failOpen"); v.truth() {
		a.mend(failureModeAllow, v, "Remove failOpen from the SecurityPolicy and set statusOnError: 503: senders retry.")
	}
	if v := ext.get("statusOnError"); !slices.Contains(retryable, v.text()) {
		a.mend(statusOnError, v, "Set statusOnError: 503 in the SecurityPolicy; without it senders get 403.")
	}
	if v, ok := ext.get("timeout").duration(); !ok || v < minTimeout || v > maxTimeout {
		a.mend(callTimeout, ext.get("timeout"), "Set timeout: 1s in the SecurityPolicy; without one Envoy Gateway waits for 10 s.")
	}
	if v := ext.get("recomputeRoute"); v.truth() {
		a.report(clearsRoute, v)
	}
	if list := ext.get("headersToExtAuth"); list.ok() {
		a.mend(headersChosen, list, "Remove headersToExtAuth: without it all headers go to the service.")
	}
	body := ext.get("bodyToExtAuth")
	if !body.ok() {
		a.mend(noBody, ext, "Set bodyToExtAuth: {maxRequestBytes: 1048576} in the SecurityPolicy.")
		return
	}
	a.checkMaxBytes(body.get("maxRequestBytes"), "Give maxRequestBytes of the SecurityPolicy the value of the setting envoy.max_request_bytes.")
	const patch = "Add an EnvoyPatchPolicy with op: add, jsonPath: \"..http_filters[?(@.typed_config.with_request_body)].typed_config\", path: "
	if !a.patched("pack_as_bytes") {
		a.mend(textBody, body, patch+"/with_request_body/pack_as_bytes, value: true: a SecurityPolicy cannot say it.")
	}
	if !a.patched("encode_raw_headers") {
		a.mend(joinedHeaders, ext, patch+"/encode_raw_headers, value: true.")
	}
	if !a.patched("validate_mutations") {
		a.mend(noMutationCheck, ext, patch+"/validate_mutations, value: true.")
	}
}

// patched reports whether an EnvoyPatchPolicy sets a field to true.
func (a *audit) patched(field string) bool {
	return a.patch(func(path string, value node) bool {
		return strings.HasSuffix(path, "/"+field) && value.truth() || value.get(field).truth() || value.get("with_request_body", field).truth()
	})
}

// patch reports whether a patch that adds or replaces is such.
func (a *audit) patch(is func(path string, value node) bool) bool {
	for _, o := range a.ofKind("EnvoyPatchPolicy") {
		for _, p := range o.get("spec", "jsonPatches").items() {
			operation := p.get("operation")
			if op := operation.get("op").text(); op == "add" || op == "replace" {
				if is(operation.get("path").text(), operation.get("value")) {
					return true
				}
			}
		}
	}
	return false
}

// checkTargets looks whether what a policy is for is among the routes that were given.
func (a *audit) checkTargets(policy object) {
	routes := a.ofKind("HTTPRoute")
	if len(routes) == 0 || slices.ContainsFunc(routes, func(r object) bool { return covers(policy, r) }) {
		return
	}
	if slices.ContainsFunc(a.ofKind("Gateway"), func(g object) bool { return refersTo(policy, "Gateway", g.name) }) {
		return
	}
	a.mend(noFilter, firstOf(policy.get("spec", "targetRefs"), policy.get("spec", "targetRef"), policy.node),
		"Name the HTTPRoute, or its Gateway, of the same namespace in targetRefs of the SecurityPolicy.", "the policy is for none of the routes")
}

// checkClientPolicies judges what happens to requests before the filter, and reports
// whether the service's headers are removed early.
func (a *audit) checkClientPolicies(place node) (early bool) {
	slashes, underscored := false, false
	for _, o := range a.ofKind("ClientTrafficPolicy") {
		spec := o.get("spec")
		if v := spec.get("path", "escapedSlashesAction"); v.ok() {
			slashes = v.text() != "UnescapeAndRedirect"
		}
		if v := spec.get("headers", "withUnderscoresAction"); v.ok() {
			underscored = v.text() == "Allow"
		}
		for _, field := range []string{"earlyRequestHeaders", "lateRequestHeaders"} {
			for _, name := range spec.get("headers", field, "remove").items() {
				if field == "earlyRequestHeaders" && strings.EqualFold(name.text(), envoy.HeaderVerified) {
					early = true
				}
			}
		}
	}
	if !slashes {
		a.mend(pathRedirect, place, "Set path: {escapedSlashesAction: KeepUnchanged} in a ClientTrafficPolicy for the Gateway.", "which is Envoy Gateway's default")
	}
	if !underscored {
		a.mend(underscores, place, "Set headers: {withUnderscoresAction: Allow} in a ClientTrafficPolicy for the Gateway.", "which is Envoy Gateway's default")
	}
	if !early {
		a.report(unattached, place)
	}
	return early
}

// backendsOf are the backends that a route leads to.
func backendsOf(route object) (found []string) {
	for _, rule := range route.get("spec", "rules").items() {
		for _, ref := range rule.get("backendRefs").items() {
			namespace := ref.get("namespace").text()
			if namespace == "" {
				namespace = route.namespace
			}
			found = append(found, ref.get("kind").text()+"/"+namespace+"/"+ref.get("name").text())
		}
	}
	return found
}

// removesClaim reports whether all rules of a route remove the service's header.
func removesClaim(route object) bool {
	for _, rule := range route.get("spec", "rules").items() {
		removed := false
		for _, filter := range rule.get("filters").items() {
			for _, name := range filter.get("requestHeaderModifier", "remove").items() {
				removed = removed || strings.EqualFold(name.text(), envoy.HeaderVerified)
			}
		}
		if !removed {
			return false
		}
	}
	return true
}

// checkHTTPRoutes looks for routes without a policy to a backend that verified requests
// reach.
func (a *audit) checkHTTPRoutes(policies []object, early bool) {
	covered := func(route object) bool {
		return slices.ContainsFunc(policies, func(p object) bool { return covers(p, route) })
	}
	var verified []string
	for _, route := range a.ofKind("HTTPRoute") {
		if covered(route) {
			verified = append(verified, backendsOf(route)...)
		}
	}
	for _, route := range a.ofKind("HTTPRoute") {
		if covered(route) || early || removesClaim(route) {
			continue
		}
		for _, backend := range backendsOf(route) {
			if slices.Contains(verified, backend) {
				a.mend(unverifiedRoute, route.node, "Name this HTTPRoute, or its Gateway, in targetRefs of the SecurityPolicy, or remove x-hookbastion-verified in earlyRequestHeaders of a ClientTrafficPolicy.",
					"HTTPRoute "+route.name+" has no SecurityPolicy, and leads to "+backend)
				break
			}
		}
	}
}

// checkGatewayLog looks whether the service learns what became of deliveries.
func (a *audit) checkGatewayLog(place node) {
	if a.OnePhase {
		return
	}
	for _, o := range a.ofKind("EnvoyProxy") {
		for _, setting := range o.get("spec", "telemetry", "accessLog", "settings").items() {
			for _, sink := range setting.get("sinks").items() {
				als := sink.get("als")
				ours := a.named(als.get("logName").text()) || slices.ContainsFunc(als.get("backendRefs").items(), func(r node) bool { return a.named(r.get("name").text()) })
				if !als.ok() || !ours {
					continue
				}
				quick := a.patch(func(path string, value node) bool {
					bytes, ok := value.number()
					flush, timed := value.duration()
					return strings.HasSuffix(path, "/buffer_size_bytes") && ok && bytes <= 1 || strings.HasSuffix(path, "/buffer_flush_interval") && timed && flush <= maxFlush
				})
				if !quick {
					a.mend(lateSettleLog, als, "Add an EnvoyPatchPolicy with op: add, jsonPath: \"..access_log[?(@.typed_config.common_config.log_name=='hookbastion')].typed_config.common_config\", path: /buffer_flush_interval, value: 0.05s.", "an ALS sink waits for 1 s")
				}
				return
			}
		}
	}
	a.mend(noSettleLog, place, "Add a sink of type ALS with backendRefs to the service to telemetry.accessLog of the EnvoyProxy, or set replay.access_log: false.")
}

// checkBackend judges the way to the service.
func (a *audit) checkBackend(o object) {
	tls := o.get("spec", "tls")
	if v := tls.get("insecureSkipVerify"); v.truth() {
		a.mend(unverifiedServer, v, "Remove insecureSkipVerify from the Backend and set caCertificateRefs and sni.", o.name)
	}
	if tls.ok() || slices.ContainsFunc(a.ofKind("BackendTLSPolicy"), func(p object) bool { return refersTo(p, "Backend", o.name) }) {
		return
	}
	for _, endpoint := range o.get("spec", "endpoints").items() {
		host := firstOf(endpoint.get("ip", "address"), endpoint.get("fqdn", "hostname"))
		if host.ok() && !onThisMachine(host.text()) {
			a.mend(plainText, host, "Set tls in the Backend, with caCertificateRefs, sni and clientCertificateRef.", host.text())
		}
	}
}
