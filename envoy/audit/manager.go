package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// Filters by what they do to a request.
var (
	bodyChangers = map[string]bool{
		"grpc_json_transcoder": true, "grpc_json_reverse_transcoder": true,
		"grpc_http1_reverse_bridge": true, "grpc_web": true,
	}
	requestChangers = map[string]bool{
		"lua": true, "wasm": true, "ext_proc": true, "golang": true, "dynamic_modules": true,
		"jwt_authn": true, "oauth2": true, "aws_request_signing": true,
		"credential_injector": true, "basic_auth": true, "ext_authz": true,
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

// checkOrder looks at what runs before the service is asked: by the model, or by its place
// in the chain where no routes are known.
func (a *audit) checkOrder(m *manager) {
	asked := false
	for i := range m.filters {
		f := &m.filters[i]
		switch {
		case f.ours && asked && a.alsoAsks(m, i):
			a.report(askedTwice, f.entry)
		case !f.ours && !asked && m.model == nil && !f.entry.get("disabled").truth():
			a.checkBefore(m, f)
		}
		asked = asked || f.ours
	}
	for _, before := range m.signed.Before {
		if f, ok := before.Spec.(filter); ok && !f.ours {
			a.checkBefore(m, &f)
		}
	}
}

// checkBefore judges a filter that runs before the service is asked.
func (a *audit) checkBefore(m *manager, f *filter) {
	switch {
	case inflates(f):
		m.decompressed = true
		if !a.Decompressed {
			a.report(decompressed, f.entry)
		}
	case changesBody(f):
		a.report(bodyChanged, f.entry, f.kind)
	case f.kind == "buffer":
		a.checkBuffer(f)
	case f.kind == "header_mutation":
		a.checkCut(f.body.get("mutations", "request_mutations"))
	case f.kind == "transform":
		a.checkCut(f.body.get("request_transformation", "headers_mutations"))
	case requestChangers[f.kind]:
		a.report(mayChange, f.entry, f.kind)
	}
}

// changesBody reports whether a filter changes the bodies of requests.
func changesBody(f *filter) bool {
	return bodyChangers[f.kind] || f.kind == "compressor" && f.body.get("request_direction_config").ok() ||
		f.kind == "transform" && f.body.get("request_transformation", "body_transformation").ok()
}

// smallBody is a limit that many deliveries do not keep.
const smallBody = 64 << 10

// checkBuffer judges a buffer filter, which has a limit of its own.
func (a *audit) checkBuffer(f *filter) {
	limit := f.body.get("max_request_bytes")
	severity := bufferBefore.Severity
	if n, ok := limit.number(); ok && n < min(smallBody, a.MaxRequestBytes) {
		severity = finding.Error
	}
	a.reportAs(severity, bufferBefore, f.entry)
}

// checkCut looks in a list of header mutations for those that keep signatures from the
// service.
func (a *audit) checkCut(list node) {
	var names []string
	for _, headers := range a.SignatureHeaders {
		for _, name := range headers {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	names = append(slices.Compact(names), a.neededHeaders()...)
	for _, m := range list.items() {
		for _, name := range names {
			matcher, set := m.get("remove_on_match", "key_matcher"), m.get("append")
			over := strings.HasPrefix(set.get("append_action").text(), "OVERWRITE") && strings.EqualFold(set.get("header", "key").text(), name)
			if strings.EqualFold(m.get("remove").text(), name) || matcher.ok() && matchesOne(matcher, name) || over {
				a.report(signatureCut, m, name)
				break
			}
		}
	}
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
	a.checkCarried(m)
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

// checkCarried looks at what keeps parts of a delivery from the service.
func (a *audit) checkCarried(m *manager) {
	b := m.body
	for _, extension := range b.get("early_header_mutation_extensions").items() {
		_, mutation := extension.get("typed_config").typed()
		a.checkCut(mutation.get("mutations"))
	}
	if v := b.get("proxy_100_continue"); v.truth() {
		a.report(continueAway, v)
	}
	for _, field := range []string{"strip_any_host_port", "strip_matching_host_port"} {
		if v := b.get(field); v.truth() && (field == "strip_any_host_port" || !usualPort(m.listener)) {
			a.report(portCut, v, field)
		}
	}
	if v := b.get("common_http_protocol_options", "headers_with_underscores_action"); v.text() == "REJECT_REQUEST" || v.text() == "DROP_HEADER" {
		a.report(underscores, v, v.text())
	}
}

// usualPort reports whether senders leave the listener's port out of their URLs.
func usualPort(listener node) bool {
	port := listener.get("address", "socket_address", "port_value").text()
	return port == "443" || port == "80"
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
	switch required, anybody := tls.get("require_client_certificate"), anybodys(common); {
	case required.truth() && !validates(common):
		a.report(unverifiedClient, required)
	case anybody.ok(): // Envoy asks all the same, and tells the names of whatever it is shown
		a.report(unverifiedClient, anybody)
	}
}

// anybodys is the line by which every certificate is accepted, if there is one.
func anybodys(common node) node {
	for _, path := range [][]string{{"validation_context"}, {"combined_validation_context", "default_validation_context"}} {
		if how := common.get(append(path, "trust_chain_verification")...); how.text() == "ACCEPT_UNTRUSTED" || how.text() == "1" {
			return how
		}
	}
	return node{}
}

// validates reports whether a peer's certificate is verified. What comes from
// a secret elsewhere is trusted to be right.
func validates(common node) bool {
	if anybodys(common).ok() {
		return false
	}
	if common.get("validation_context_sds_secret_config").ok() || common.get("combined_validation_context", "validation_context_sds_secret_config").ok() {
		return true
	}
	context := common.get("validation_context")
	if !context.ok() {
		context = common.get("combined_validation_context", "default_validation_context")
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
