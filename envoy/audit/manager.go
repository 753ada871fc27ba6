package audit

import (
	"fmt"
	"net/netip"
	"slices"
)

// Filters by what they do to a request.
var (
	bodyChangers = map[string]bool{
		"grpc_json_transcoder": true, "grpc_json_reverse_transcoder": true,
		"grpc_http1_reverse_bridge": true, "grpc_web": true,
	}
	requestChangers = map[string]bool{
		"lua": true, "wasm": true, "ext_proc": true, "golang": true, "dynamic_modules": true, "composite": true,
		"header_mutation": true, "jwt_authn": true, "oauth2": true, "aws_request_signing": true,
		"credential_injector": true, "basic_auth": true, "ext_authz": true, "ExtensionWithMatcher": true,
	}
)

// alsoAsks reports whether filter i runs for a request for which an earlier one has
// asked the service. Where no routes are known, it may.
func (a *audit) alsoAsks(m *manager, i int) bool {
	ways := a.ways(m)
	for _, w := range ways {
		if on, _ := w.verified(&m.filters[i]); on && w.asks(m.filters[:i]) {
			return true
		}
	}
	return len(ways) == 0
}

// checkOrder looks at what runs before the service is asked.
func (a *audit) checkOrder(m *manager) {
	asked := false
	for i := range m.filters {
		f := &m.filters[i]
		if f.ours {
			if asked && a.alsoAsks(m, i) {
				a.report(askedTwice, f.entry)
			}
			asked = true
			continue
		}
		if asked || f.entry.get("disabled").truth() && !a.enabledOnRoute(m, f) {
			continue
		}
		switch {
		case inflates(f):
			m.decompressed = true
			if !a.Decompressed {
				a.report(decompressed, f.entry)
			}
		case bodyChangers[f.kind], f.kind == "compressor" && f.body.get("request_direction_config").ok():
			a.report(bodyChanged, f.entry, f.kind)
		case f.kind == "buffer":
			a.report(bufferBefore, f.entry)
		case requestChangers[f.kind]:
			a.report(mayChange, f.entry, f.kind)
		}
	}
}

// enabledOnRoute reports whether a route has settings for a filter, which switch
// it on where it is disabled.
func (a *audit) enabledOnRoute(m *manager, f *filter) bool {
	return slices.ContainsFunc(a.levels(m), func(l level) bool {
		entry := l.get("typed_per_filter_config").key(f.name)
		return entry.ok() && !entry.get("disabled").truth()
	})
}

// inflates reports whether a filter decompresses requests.
func inflates(f *filter) bool {
	enabled := f.body.get("request_direction_config", "common_config", "enabled", "default_value")
	return f.kind == "decompressor" && (!enabled.ok() || enabled.truth())
}

// checkDecompressed is for a setting that says what no listener does.
func (a *audit) checkDecompressed() {
	if !a.Decompressed {
		return
	}
	place := node{}
	for _, m := range a.managers {
		if !m.asks() {
			continue
		}
		if m.decompressed || !m.whole {
			return // a piece does not tell what runs before it
		}
		if !place.ok() {
			place = m.body.get("http_filters")
		}
	}
	if place.ok() {
		a.report(noDecompressor, place)
	}
}

// checkManager judges the connection manager's own settings.
func (a *audit) checkManager(m *manager) {
	b := m.body
	if !m.whole {
		return // nothing is known of it
	}
	a.checkAddresses(b)
	for _, name := range []string{"normalize_path", "merge_slashes"} {
		if b.get(name).truth() {
			a.report(pathChanged, b.get(name), name)
		}
	}
	switch action := b.get("path_with_escaped_slashes_action"); action.text() {
	case "UNESCAPE_AND_REDIRECT":
		a.report(pathRedirect, action)
	case "UNESCAPE_AND_FORWARD":
		a.report(pathChanged, action, "path_with_escaped_slashes_action")
	}
	if v := b.get("preserve_external_request_id"); v.truth() {
		a.report(requestID, v)
	}
	if v := b.get("generate_request_id"); v.ok() && !v.truth() {
		a.report(requestID, v)
	}
	if reply := b.get("local_reply_config"); reply.get("body_format").ok() || len(reply.get("mappers").items()) > 0 {
		a.report(localReply, reply)
	}
	if len(b.get("access_log").items()) == 0 {
		a.report(noAccessLog, b.get("access_log"))
	}
	if tracing := b.get("tracing"); tracing.ok() {
		if v := tracing.get("client_sampling"); !v.ok() || v.get("value").ok() && v.get("value").text() != "0" {
			a.report(forcedTracing, v)
		}
	}
}

// checkAddresses compares how Envoy and the service find the sender.
func (a *audit) checkAddresses(b node) {
	if b.get("original_ip_detection_extensions").ok() {
		return // excludes use_remote_address; what it appends is its own affair
	}
	remote := b.get("use_remote_address")
	if !remote.truth() {
		a.report(notEdge, remote)
	}
	counts := a.TrustedHops > 0 || a.TrustedCIDRs
	switch {
	case counts && !remote.truth():
		a.report(hopsNotAppended, remote)
	case counts && b.get("skip_xff_append").truth():
		a.report(hopsNotAppended, b.get("skip_xff_append"))
	}
	if hops := b.get("xff_num_trusted_hops"); !a.TrustedCIDRs && hops.numberOr(0) != a.TrustedHops {
		a.report(hopsDiffer, hops, fmt.Sprintf("%d and %d", hops.numberOr(0), a.TrustedHops))
	}
}

// checkListener judges the TLS of senders.
func (a *audit) checkListener(m *manager) {
	_, tls := m.chain.get("transport_socket", "typed_config").typed()
	common := tls.get("common_tls_context")
	if tls.get("require_client_certificate").truth() && !validates(common) {
		a.report(unverifiedClient, tls.get("require_client_certificate"))
	}
}

// validates reports whether a peer's certificate is verified. What comes from
// a secret elsewhere is trusted to be right.
func validates(common node) bool {
	if common.get("validation_context_sds_secret_config").ok() || common.get("combined_validation_context", "validation_context_sds_secret_config").ok() {
		return true
	}
	context := common.get("validation_context")
	if !context.ok() {
		context = common.get("combined_validation_context", "default_validation_context")
	}
	if context.get("trust_chain_verification").text() == "ACCEPT_UNTRUSTED" {
		return false
	}
	for _, field := range []string{
		"trusted_ca", "ca_certificate_provider_instance", "system_root_certs", "custom_validator_config",
		"verify_certificate_spki", "verify_certificate_hash",
	} {
		if context.get(field).ok() {
			return true
		}
	}
	return common.get("validation_context_certificate_provider_instance").ok()
}

// checkAdmin is for the admin interface of a bootstrap.
func (a *audit) checkAdmin(admin node) {
	address := admin.get("address", "socket_address", "address")
	if address.ok() && !onThisMachine(address.text()) {
		a.report(openAdmin, address, address.text())
	}
}

func onThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
