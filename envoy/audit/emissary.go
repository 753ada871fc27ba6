package audit

import (
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/envoy"
)

// What was read of Emissary is its source, version 3.9; it has not been run.

// checkEmissary judges what Emissary is told.
func (a *audit) checkEmissary() {
	var ours, others []object
	for _, o := range a.ofKind("AuthService") {
		if a.named(o.get("spec", "auth_service").text()) || a.named(o.name) {
			ours = append(ours, o)
		} else {
			others = append(others, o)
		}
	}
	if len(ours) == 0 && a.Cluster == "" {
		for _, o := range others {
			a.report(otherService, o.get("spec", "auth_service"), o.name)
		}
		ours = others
	}
	mappings := a.ofKind("Mapping")
	if len(ours) == 0 {
		if len(mappings) > 0 {
			a.mend(noFilter, mappings[0].node, "Add an AuthService with auth_service, proto: grpc and protocol_version: v3.")
		}
		return
	}
	for _, o := range ours {
		a.checkAuthService(o.get("spec"))
	}
	a.checkMappings(mappings)
	a.checkEmissaryLog(ours[0])
}

func (a *audit) checkAuthService(spec node) {
	if proto := spec.get("proto"); proto.text() != "grpc" {
		a.mend(httpService, firstOf(proto, spec), "Set proto: grpc and protocol_version: v3 in the AuthService; without it Emissary speaks HTTP.")
		return
	}
	if v := spec.get("failure_mode_allow"); v.truth() {
		a.mend(failureModeAllow, v, "Remove failure_mode_allow from the AuthService and set status_on_error: {code: 503}: senders retry.")
	}
	if v := spec.get("status_on_error", "code"); !slices.Contains(retryable, v.text()) {
		a.mend(statusOnError, firstOf(v, spec), "Set status_on_error: {code: 503} in the AuthService; without it senders get 403.")
	}
	wait, ok := spec.get("timeout_ms").number()
	if v := time.Duration(min(wait, 1<<30)) * time.Millisecond; !ok || v < minTimeout || v > maxTimeout {
		a.mend(callTimeout, firstOf(spec.get("timeout_ms"), spec), "Set timeout_ms: 1000 in the AuthService; without it Emissary waits for 5 s.")
	}
	body := spec.get("include_body")
	if !body.ok() {
		a.mend(noBody, spec, "Set include_body: {max_bytes: 1048576, allow_partial: false} in the AuthService.")
	} else {
		if v := body.get("allow_partial"); v.truth() {
			a.mend(partialBody, v, "Set allow_partial: false in include_body of the AuthService.")
		}
		a.checkMaxBytes(firstOf(body.get("max_bytes"), body), "Give max_bytes of the AuthService the value of the setting envoy.max_request_bytes.")
		a.mend(textBody, body, "Emissary cannot say it: deliveries with such bytes need another Envoy in front.")
	}
	a.unsaid(joinedHeaders, spec, "Emissary cannot say it.")
	at := spec.get("auth_service")
	address := at.text()
	if host, _, _ := strings.Cut(address, ":"); !strings.HasPrefix(address, "https://") && !spec.get("tls").ok() && !onThisMachine(host) {
		a.mend(plainText, at, "Set tls in the AuthService to a TLSContext that has the service's authority and a certificate to show.", address)
	}
}

// checkMappings looks for those that leave the check out and lead to what verified requests reach.
func (a *audit) checkMappings(mappings []object) {
	verified := map[string]bool{}
	for _, m := range mappings {
		if !m.get("spec", "bypass_auth").truth() {
			verified[m.get("spec", "service").text()] = true
		}
	}
	for _, m := range mappings {
		bypass, service := m.get("spec", "bypass_auth"), m.get("spec", "service").text()
		removed := slices.ContainsFunc(m.get("spec", "remove_request_headers").items(), func(n node) bool { return strings.EqualFold(n.text(), envoy.HeaderVerified) })
		if bypass.truth() && verified[service] && !removed {
			a.mend(unverifiedRoute, bypass, "Remove bypass_auth from the Mapping, or add remove_request_headers: [x-hookbastion-verified].", "Mapping "+m.name+" leads to "+service)
		}
	}
}

// checkEmissaryLog looks whether the service learns what became of deliveries.
func (a *audit) checkEmissaryLog(place object) {
	if a.OnePhase {
		return
	}
	const fix = "Set replay.access_log: false in the settings of the service: a LogService waits for a second at least."
	for _, o := range a.ofKind("LogService") {
		if service := o.get("spec", "service"); a.named(service.text()) {
			a.mend(lateSettleLog, service, fix)
			return
		}
	}
	a.mend(noSettleLog, place.node, fix)
}
