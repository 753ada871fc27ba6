package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// provider finds an extension provider by its name, in the settings of the mesh.
func (a *audit) provider(name string) node {
	for _, mesh := range a.meshes {
		for _, p := range mesh.get("extensionProviders").items() {
			if p.get("name").text() == name {
				return p
			}
		}
	}
	return node{}
}

// ourProvider reports whether an extension provider of that name asks the service.
func (a *audit) ourProvider(name string) bool {
	p := a.provider(name)
	service := p.get("envoyExtAuthzGrpc", "service").text() + p.get("envoyExtAuthzHttp", "service").text()
	return a.named(name) || service != "" && a.named(service)
}

// checkIstio judges what Istio is told: who is asked, for which requests, and how.
func (a *audit) checkIstio() {
	filters, merged, logs := a.envoyFilters()
	var custom []object
	for _, o := range a.ofKind("AuthorizationPolicy") {
		if o.get("spec", "action").text() == "CUSTOM" {
			custom = append(custom, o)
		}
	}
	ours := slices.DeleteFunc(slices.Clone(custom), func(o object) bool { return !a.ourProvider(o.get("spec", "provider", "name").text()) })
	if len(ours) == 0 && len(filters) == 0 && a.Cluster == "" {
		for _, o := range custom {
			name := o.get("spec", "provider", "name")
			a.report(otherService, name, name.text())
		}
		ours = custom
	}
	if len(ours) == 0 && len(filters) == 0 {
		a.mend(noFilter, a.firstOfIstio(), "Add an AuthorizationPolicy with action: CUSTOM, provider: {name: hookbastion} and rules: [{}] for the workload that receives webhooks, and the provider to extensionProviders of MeshConfig.")
		return
	}
	seen := map[string]bool{}
	for _, o := range ours {
		a.checkCustom(o)
		if name := o.get("spec", "provider", "name").text(); !seen[name] {
			seen[name] = true
			a.checkProvider(o, name, merged)
		}
	}
	a.checkIstioLog(logs, firstNode(ours, filters))
}

func (a *audit) firstOfIstio() node {
	for _, o := range a.objects {
		if slices.Contains(istioKinds, o.kind) {
			return o.node
		}
	}
	return a.meshes[0]
}

func firstNode(objects []object, nodes []node) node {
	if len(objects) > 0 {
		return objects[0].node
	}
	return nodes[0]
}

// checkCustom looks for which requests the service is asked. Rules by path and method
// leave others out: //hooks, /Hooks, /hooks;v=1, another method.
func (a *audit) checkCustom(o object) {
	rules := o.get("spec", "rules")
	const fix = "Write rules: [{}] and let the service decide: an AuthorizationPolicy with paths or methods lets all other requests pass unverified, //hooks and PUT among them."
	for _, rule := range rules.items() {
		if rule.val == nil || len(rule.val.Content) == 0 {
			return
		}
	}
	place := firstOf(rules, o.get("spec"))
	if len(rules.items()) == 0 {
		a.mend(filterFraction, place, fix, "rules are missing, and match nothing")
		return
	}
	a.mend(filterFraction, place, fix, "rules name some requests, and all others pass")
}

// checkProvider judges how the service is asked.
func (a *audit) checkProvider(o object, name string, merged []node) {
	p := a.provider(name)
	if !p.ok() {
		if len(a.meshes) > 0 {
			a.mend(noCluster, o.get("spec", "provider", "name"), "Add the provider to extensionProviders of MeshConfig, or mend its name in the AuthorizationPolicy: Istio refuses all that its rules match.", name)
		}
		return
	}
	if p.get("envoyExtAuthzHttp").ok() {
		a.mend(httpService, p.get("envoyExtAuthzHttp"), "Use envoyExtAuthzGrpc in the provider.")
		return
	}
	grpc := p.get("envoyExtAuthzGrpc")
	if v := grpc.get("failOpen"); v.truth() {
		a.mend(failureModeAllow, v, "Remove failOpen from the provider and set statusOnError: \"503\": senders retry.")
	}
	if v := grpc.get("statusOnError"); !slices.Contains(retryable, v.text()) {
		a.mend(statusOnError, v, "Set statusOnError: \"503\" in the provider; without it senders get 403.")
	}
	if v, ok := grpc.get("timeout").duration(); !ok || v < minTimeout || v > maxTimeout {
		a.mend(callTimeout, grpc.get("timeout"), "Set timeout: 1s in the provider; without one Istio waits for 600 s.")
	}
	if v := grpc.get("clearRouteCache"); v.truth() {
		a.report(clearsRoute, v)
	}
	body := grpc.get("includeRequestBodyInCheck")
	const fix = "Set includeRequestBodyInCheck: {maxRequestBytes: 1048576, allowPartialMessage: false, packAsBytes: true} in the provider."
	if !body.ok() {
		a.mend(noBody, grpc, fix)
	} else {
		if !body.get("packAsBytes").truth() {
			a.mend(textBody, body.get("packAsBytes"), fix)
		}
		if v := body.get("allowPartialMessage"); v.truth() {
			a.mend(partialBody, v, fix)
		}
		a.checkMaxBytes(body.get("maxRequestBytes"), "Give maxRequestBytes of the provider the value of the setting envoy.max_request_bytes.")
	}
	has := func(field string) bool {
		return slices.ContainsFunc(merged, func(n node) bool { return n.get(field).truth() })
	}
	const merge = "Add an EnvoyFilter that merges it into envoy.filters.http.ext_authz: applyTo: HTTP_FILTER, operation: MERGE, "
	if !has("encode_raw_headers") {
		a.mend(joinedHeaders, grpc, merge+"encode_raw_headers: true.")
	}
	if !has("validate_mutations") {
		a.mend(noMutationCheck, grpc, merge+"validate_mutations: true.")
	}
}

// envoyFilters reads EnvoyFilters: filters that they insert, which are judged like any
// other; what they merge into the external authorization filter; and access logs.
func (a *audit) envoyFilters() (inserted, merged, logs []node) {
	for _, o := range a.ofKind("EnvoyFilter") {
		for _, p := range o.get("spec", "configPatches").items() {
			value, operation := p.get("patch", "value"), p.get("patch", "operation").text()
			typ, config := value.get("typed_config").typed()
			switch to := p.get("applyTo").text(); {
			case to == "HTTP_FILTER" && typ == "ExtAuthz" && operation == "MERGE":
				merged = append(merged, config)
			case to == "HTTP_FILTER" && typ == "ExtAuthz" && operation != "REMOVE":
				if f := a.newFilter(value, 0); a.isOurs(&f) || a.named(target(f.body).text()) {
					inserted = append(inserted, value)
				}
			case to == "NETWORK_FILTER" && typ == "HttpConnectionManager":
				for _, entry := range config.get("access_log").items() {
					if common, ok := logSettings(entry); ok {
						logs = append(logs, common)
					}
				}
			}
		}
	}
	return inserted, merged, logs
}

// insertedFilters makes managers of filters that EnvoyFilters insert.
func (a *audit) insertedFilters() {
	for _, o := range a.ofKind("EnvoyFilter") {
		for _, p := range o.get("spec", "configPatches").items() {
			operation := p.get("patch", "operation").text()
			if p.get("applyTo").text() == "HTTP_FILTER" && strings.HasPrefix(operation, "INSERT") || operation == "ADD" || operation == "REPLACE" {
				if value := p.get("patch", "value"); isFilter(value) {
					a.managers = append(a.managers, &manager{entries: []node{value}})
				}
			}
		}
	}
}

// checkIstioLog looks whether the service learns what became of deliveries.
func (a *audit) checkIstioLog(logs []node, place node) {
	if a.OnePhase {
		return
	}
	for _, common := range logs {
		if a.named(target(common).text()) || a.named(common.get("log_name").text()) {
			a.checkBatches(common)
			return
		}
	}
	const fix = "Add envoy.access_loggers.http_grpc with buffer_size_bytes: 16384 and buffer_flush_interval: 0.05s by an EnvoyFilter on the NETWORK_FILTER, or set replay.access_log: false."
	for _, o := range a.ofKind("Telemetry") {
		for _, entry := range o.get("spec", "accessLogging").items() {
			for _, p := range entry.get("providers").items() {
				als := a.provider(p.get("name").text()).get("envoyHttpAls")
				if a.named(p.get("name").text()) || als.ok() && a.named(als.get("service").text()) {
					a.mend(lateSettleLog, p, fix, "envoyHttpAls has neither setting, and waits for 1 s")
					return
				}
			}
		}
	}
	a.mend(noSettleLog, place, fix)
}

// objectSeverity is that of what is not read: beside what is, it tells nothing.
func (a *audit) objectSeverity(beside bool) finding.Severity {
	if beside && (len(a.managers) > 0 || a.listeners > 0 || a.objectsJudged()) {
		return finding.Info
	}
	return notRead.Severity
}
