package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// What was read of Contour is its source, version 1.33; it has not been run.

// authorization is where Contour is told to ask a service: by the host of an HTTPProxy, or for all.
type authorization struct {
	node
	owner  object
	global bool
}

// checkContour judges what Contour is told.
func (a *audit) checkContour() {
	var ours, others []authorization
	for _, auth := range a.authorizations() {
		if a.asksExtension(auth) {
			ours = append(ours, auth)
		} else {
			others = append(others, auth)
		}
	}
	if len(ours) == 0 && a.Cluster == "" {
		for _, auth := range others {
			a.report(otherService, auth.get("extensionRef"), auth.get("extensionRef", "name").text())
		}
		ours = others
	}
	for _, o := range a.ofKind("ExtensionService") {
		if a.isExtension(o) {
			a.checkExtension(o)
		}
	}
	proxies := a.ofKind("HTTPProxy")
	if len(ours) == 0 {
		if len(proxies) > 0 {
			a.mend(noFilter, proxies[0].node, "Add virtualhost.authorization with extensionRef to the HTTPProxy of each host that receives webhooks.")
		}
		return
	}
	for _, auth := range ours {
		a.checkAuthorization(auth)
	}
	a.checkHTTPProxies(ours)
	for _, o := range a.ofKind("ContourConfiguration") {
		if listener := o.get("spec", "envoy", "listener"); !listener.get("disableMergeSlashes").truth() {
			a.mend(pathChanged, firstOf(listener, o.get("spec")), "Set envoy: {listener: {disableMergeSlashes: true}} in the ContourConfiguration.", "slashes are merged, which is Contour's default")
		}
	}
	if !a.OnePhase {
		a.mend(noSettleLog, ours[0].node, "Set replay.access_log: false in the settings of the service: Contour cannot say a gRPC access log.")
	}
}

// authorizations are all that there are, for whatever service.
func (a *audit) authorizations() (found []authorization) {
	for _, o := range a.ofKind("HTTPProxy") {
		if auth := o.get("spec", "virtualhost", "authorization"); auth.ok() {
			found = append(found, authorization{auth, o, false})
		}
	}
	for _, o := range a.ofKind("ContourConfiguration") {
		if auth := o.get("spec", "globalExtAuth"); auth.ok() {
			found = append(found, authorization{auth, o, true})
		}
	}
	return found
}

// asksExtension reports whether an authorization asks the service. One without a name of its own
// asks the global one, or nobody.
func (a *audit) asksExtension(auth authorization) bool {
	ref := auth.get("extensionRef")
	if a.named(ref.get("name").text()) {
		return true
	}
	namespace := ref.get("namespace").text()
	if namespace == "" {
		namespace = auth.owner.namespace
	}
	return slices.ContainsFunc(a.ofKind("ExtensionService"), func(o object) bool {
		return o.name == ref.get("name").text() && o.namespace == namespace && a.isExtension(o)
	})
}

// isExtension reports whether an ExtensionService is Hookbastion.
func (a *audit) isExtension(o object) bool {
	return a.named(o.name) || slices.ContainsFunc(o.get("spec", "services").items(), func(s node) bool { return a.named(s.get("name").text()) })
}

// checkExtension judges the way to the service.
func (a *audit) checkExtension(o object) {
	spec := o.get("spec")
	switch protocol := spec.get("protocol"); {
	case protocol.text() == "h2c":
		a.mend(plainText, protocol, "Set protocol: h2 and validation in the ExtensionService, and clientCertificate in the ContourConfiguration.", o.name)
	case !spec.get("validation").ok():
		a.mend(unverifiedServer, spec, "Set validation: {caSecret: …, subjectName: …} in the ExtensionService.", o.name)
	}
}

func (a *audit) checkAuthorization(auth authorization) {
	if v := auth.get("failOpen"); v.truth() {
		a.mend(failureModeAllow, v, "Remove failOpen from authorization of the HTTPProxy.")
	}
	timeout := auth.get("responseTimeout")
	for _, o := range a.ofKind("ExtensionService") {
		if !timeout.ok() && o.name == auth.get("extensionRef", "name").text() {
			timeout = o.get("spec", "timeoutPolicy", "response")
		}
	}
	if v, ok := timeout.duration(); !ok || v < minTimeout || v > maxTimeout {
		a.mend(callTimeout, firstOf(timeout, auth.node), "Set responseTimeout: 1s in authorization of the HTTPProxy.")
	}
	const fix = "Set withRequestBody: {maxRequestBytes: 1048576, allowPartialMessage: false, packAsBytes: true} in authorization of the HTTPProxy."
	body := auth.get("withRequestBody")
	if !body.ok() {
		a.mend(noBody, auth.node, fix)
	} else {
		if !body.get("packAsBytes").truth() {
			a.mend(textBody, firstOf(body.get("packAsBytes"), body), fix)
		}
		if v := body.get("allowPartialMessage"); v.truth() {
			a.mend(partialBody, v, fix)
		}
		a.checkMaxBytes(firstOf(body.get("maxRequestBytes"), body), "Give maxRequestBytes of the HTTPProxy the value of the setting envoy.max_request_bytes.")
	}
	// What Contour cannot say, so that there is nothing to mend.
	a.unsaid(statusOnError, auth.node, "Contour cannot say it, and senders get 403.")
	a.unsaid(joinedHeaders, auth.node, "Contour cannot say it.")
}

// unsaid notes what a control plane has no words for.
func (a *audit) unsaid(r finding.Rule, n node, fix string) {
	r.Fix, r.Severity = fix, finding.Info
	a.report(r, n)
}

// proxyRoute is a route of an HTTPProxy, or one that it includes.
type proxyRoute struct {
	node
	owner    object
	disabled node // authPolicy that leaves it out
}

// checkHTTPProxies looks for routes that nobody asks about, to a Service that verified requests
// reach.
func (a *audit) checkHTTPProxies(ours []authorization) {
	verified := map[string]bool{}
	var open []proxyRoute
	for _, root := range a.ofKind("HTTPProxy") {
		if !root.get("spec", "virtualhost").ok() {
			continue // only what a root includes is served
		}
		asked, off := a.askedBy(root, ours)
		for _, route := range a.proxyRoutes(root, off, 0) {
			switch {
			case asked && !route.disabled.ok():
				for _, service := range route.services() {
					verified[service] = true
				}
			default:
				open = append(open, route)
			}
		}
	}
	for _, route := range open {
		for _, service := range route.services() {
			if !verified[service] || route.removesClaim() {
				continue
			}
			place, words := route.node, "HTTPProxy "+route.owner.name+" has no authorization, and leads to "+service
			if route.disabled.ok() {
				place, words = route.disabled, "authPolicy of HTTPProxy "+route.owner.name+" leaves the check out, and the route leads to "+service
			}
			a.mend(unverifiedRoute, place, "Add virtualhost.authorization to the HTTPProxy of the host, or requestHeadersPolicy: {remove: [x-hookbastion-verified]} to the route.", words)
			break
		}
	}
}

// askedBy reports whether the service is asked for a root's host, and what there says that routes
// are left out unless they say otherwise.
func (a *audit) askedBy(root object, ours []authorization) (asked bool, off node) {
	for _, auth := range ours {
		if auth.global && !root.get("spec", "virtualhost", "authorization", "extensionRef").ok() || auth.owner.node.val == root.val {
			asked = true
			off = auth.get("authPolicy", "disabled")
			if own := root.get("spec", "virtualhost", "authorization", "authPolicy", "disabled"); own.ok() {
				off = own
			}
		}
	}
	return asked, off
}

// maxIncluded is how deep HTTPProxies are followed that include each other.
const maxIncluded = 20

// proxyRoutes are the routes of an HTTPProxy and of those that it includes.
func (a *audit) proxyRoutes(o object, off node, depth int) (found []proxyRoute) {
	for _, route := range o.get("spec", "routes").items() {
		disabled := off
		if own := route.get("authPolicy", "disabled"); own.ok() {
			disabled = own
		}
		if !disabled.truth() {
			disabled = node{}
		}
		found = append(found, proxyRoute{route, o, disabled})
	}
	if depth == maxIncluded {
		return found
	}
	for _, include := range o.get("spec", "includes").items() {
		namespace := include.get("namespace").text()
		if namespace == "" {
			namespace = o.namespace
		}
		for _, child := range a.ofKind("HTTPProxy") {
			if child.name == include.get("name").text() && child.namespace == namespace {
				found = append(found, a.proxyRoutes(child, off, depth+1)...)
			}
		}
	}
	return found
}

func (r proxyRoute) services() (found []string) {
	for _, s := range r.get("services").items() {
		found = append(found, "Service "+r.owner.namespace+"/"+s.get("name").text())
	}
	return found
}

func (r proxyRoute) removesClaim() bool {
	return slices.ContainsFunc(r.get("requestHeadersPolicy", "remove").items(), func(n node) bool { return strings.EqualFold(n.text(), envoy.HeaderVerified) })
}
