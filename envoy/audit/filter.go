package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/audit/model"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// What a call of the service may sensibly take. GitHub waits 10 s for an
// answer, Slack 3 s.
const (
	minTimeout = 200 * time.Millisecond
	maxTimeout = 5 * time.Second
)

// checkFilter judges the filter's own settings.
func (a *audit) checkFilter(m *manager, f *filter) {
	b := f.body
	if b.get("http_service").ok() {
		a.report(httpService, b.get("http_service"))
	}
	if b.get("failure_mode_allow").truth() {
		a.report(failureModeAllow, b.get("failure_mode_allow"))
	}
	if b.get("shadow_mode").truth() {
		a.report(shadowMode, b.get("shadow_mode"))
	}
	a.checkWork(b)
	if !b.get("encode_raw_headers").truth() {
		a.report(joinedHeaders, b.get("encode_raw_headers"))
	}
	if !b.get("validate_mutations").truth() {
		a.report(noMutationCheck, b.get("validate_mutations"))
	}
	if v := b.get("enable_dynamic_metadata_ingestion"); v.ok() && !v.truth() {
		a.report(ingestionOff, v)
	}
	if b.get("clear_route_cache").truth() {
		a.report(clearsRoute, b.get("clear_route_cache"))
	}
	a.checkFraction(m, b)
	a.checkStatus(b.get("status_on_error"))
	a.checkBody(m, b.get("with_request_body"))
	a.checkDuration(b.get("grpc_service"))
	a.checkHeaderLists(b)
	a.checkMutationRules(b.get("decoder_header_mutation_rules"))
	a.checkCall(b.get("grpc_service"))
}

// checkFraction looks whether the filter runs for each request. What it lets pass
// otherwise, the model says where routes are known.
func (a *audit) checkFraction(m *manager, b node) {
	denies := a.fractionBool(b.get("deny_at_disable"))
	if m.model != nil && !denies {
		return
	}
	if v := b.get("filter_enabled_metadata"); v.ok() {
		a.report(filterFraction, v)
	}
	enabled := b.get("filter_enabled")
	if !enabled.ok() {
		return
	}
	whole := map[string]uint64{"TEN_THOUSAND": 10_000, "MILLION": 1_000_000}[enabled.get("default_value", "denominator").text()]
	if whole == 0 {
		whole = 100
	}
	if share := enabled.get("default_value", "numerator").numberOr(0); share < whole || a.fraction(enabled) != model.Yes {
		a.report(filterFraction, enabled, fmt.Sprintf("%d of %d", share, whole))
	}
}

// What senders take for a fault of ours, by name and number.
var retryable = []string{
	"InternalServerError", "BadGateway", "ServiceUnavailable", "GatewayTimeout", "500", "502", "503", "504",
}

func (a *audit) checkStatus(status node) {
	code := status.get("code").text()
	switch {
	case code == "":
		a.report(statusOnError, status, "it is missing, which means 403")
	case !slices.Contains(retryable, code):
		a.report(statusOnError, status, "it is "+code)
	}
}

// checkBody judges the filter's with_request_body.
func (a *audit) checkBody(m *manager, body node) {
	if !body.ok() {
		a.report(noBody, body)
		return
	}
	if !body.get("pack_as_bytes").truth() {
		a.report(textBody, body.get("pack_as_bytes"))
	}
	a.checkLimits(m, body)
}

// checkLimits judges what a filter and a route may both say of bodies.
func (a *audit) checkLimits(m *manager, body node) {
	limit := body.get("max_request_bytes")
	bytes, ok := limit.number()
	switch {
	case ok && bytes > a.MaxRequestBytes:
		a.report(limitAbove, limit, fmt.Sprintf("%d and %d", bytes, a.MaxRequestBytes))
	case ok && bytes < a.MaxRequestBytes:
		severity := limitBelow.Severity
		if bytes < smallBody {
			severity = finding.Error
		}
		a.reportAs(severity, limitBelow, limit, fmt.Sprintf("%d and %d", bytes, a.MaxRequestBytes))
	}
	if !body.get("allow_partial_message").truth() {
		return
	}
	a.report(partialBody, body.get("allow_partial_message"))
	buffer := m.listener.get("per_connection_buffer_limit_bytes")
	if m.listener.ok() && buffer.numberOr(1<<20) < bytes {
		a.report(bufferLimit, buffer, fmt.Sprintf("%d and %d", buffer.numberOr(1<<20), bytes))
	}
}

// checkDuration looks whether a way to the service tells it that a request has
// ended, in Envoy's own words.
func (a *audit) checkDuration(grpc node) {
	if !grpc.ok() {
		return
	}
	said := false
	metadata := grpc.get("initial_metadata")
	for _, entry := range metadata.items() {
		if !strings.EqualFold(entry.get("key").text(), envoy.RequestDuration) {
			continue
		}
		said = true
		if entry.get("value").text() != envoy.RequestDurationValue || entry.get("raw_value").ok() {
			a.report(durationForged, entry)
		}
	}
	if !said {
		a.report(noDuration, metadata)
	}
}

// checkWork looks for what Envoy does for each check in vain.
func (a *audit) checkWork(b node) {
	if grpc := b.get("grpc_service", "envoy_grpc"); grpc.ok() && !grpc.get("skip_envoy_headers").truth() {
		a.report(uselessWork, grpc, "skip_envoy_headers is not true")
	}
	if charge := b.get("charge_cluster_response_stats"); !charge.ok() || charge.truth() {
		a.report(uselessWork, charge, "charge_cluster_response_stats is not false")
	}
}

// checkCall judges how the service is called, by the filter or by a route.
func (a *audit) checkCall(grpc node) {
	if !grpc.ok() {
		return
	}
	if google := grpc.get("google_grpc"); google.ok() {
		a.report(googleGRPC, google)
		a.checkGoogle(google)
	}
	a.checkCompression(grpc)
	timeout, given := grpc.get("timeout").duration()
	switch {
	case !given:
		a.report(callTimeout, grpc.get("timeout"), "it is missing, which means 200 ms")
	case timeout < minTimeout || timeout > maxTimeout:
		a.report(callTimeout, grpc.get("timeout"), "it is "+grpc.get("timeout").text())
	}
	retry := grpc.get("retry_policy")
	if !retry.ok() {
		return
	}
	if retry.get("retry_on").text() == "" {
		a.report(retryNothing, retry)
	}
	interval := retry.get("retry_back_off", "max_interval")
	if longest, ok := interval.duration(); ok && longest < timeout {
		a.report(retryCut, interval, fmt.Sprintf("%s, and the timeout is %s", interval.text(), grpc.get("timeout").text()))
	}
}

// checkHeaderLists tells whose signature headers reach the service.
func (a *audit) checkHeaderLists(b node) {
	allowed, disallowed := b.get("allowed_headers"), b.get("disallowed_headers")
	passes := func(name string) bool {
		return !matches(disallowed, name) && (!allowed.ok() || matches(allowed, name))
	}
	place := allowed
	if !place.ok() {
		place = disallowed
	}
	if !place.ok() {
		return
	}
	var cut []string
	for _, name := range a.neededHeaders() {
		if !passes(name) {
			cut = append(cut, name)
		}
	}
	var pass, fail []string
	for provider, names := range a.SignatureHeaders {
		if slices.ContainsFunc(names, func(name string) bool { return !passes(strings.ToLower(name)) }) {
			fail = append(fail, provider)
		} else {
			pass = append(pass, provider)
		}
	}
	slices.Sort(pass)
	slices.Sort(fail)
	switch {
	case len(cut) > 0:
		a.report(headersCut, place, "cut are "+shorten(cut))
	case len(fail) > 0 && !allowed.ok():
		a.report(headersCut, place, "cut are headers of "+shorten(fail))
	case len(fail) > 0 && len(pass) == 0:
		a.report(headersCut, place, "no provider's signature passes")
	case len(fail) > 0:
		a.report(headersChosen, place, "whole pass those of "+shorten(pass))
	}
}

// neededHeaders are those that every webhook may need.
func (a *audit) neededHeaders() []string {
	names := []string{"content-length", "content-type"}
	if a.TrustedHops > 0 || a.TrustedCIDRs {
		names = append(names, "x-forwarded-for")
	}
	return names
}

// shorten lists at most five names.
func shorten(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + fmt.Sprintf(" and %d others", len(names)-5)
	}
	return strings.Join(names, ", ")
}

// matches reports whether a ListStringMatcher has a pattern for the name.
func matches(list node, name string) bool {
	return slices.ContainsFunc(list.get("patterns").items(), func(p node) bool { return matchesOne(p, name) })
}

func matchesOne(p node, name string) bool {
	fold := func(n node) string {
		if p.get("ignore_case").truth() {
			return strings.ToLower(n.text())
		}
		return n.text()
	}
	switch {
	case p.get("exact").ok():
		return name == fold(p.get("exact"))
	case p.get("prefix").ok():
		return strings.HasPrefix(name, fold(p.get("prefix")))
	case p.get("suffix").ok():
		return strings.HasSuffix(name, fold(p.get("suffix")))
	case p.get("contains").ok():
		return strings.Contains(name, fold(p.get("contains")))
	default:
		return matchesRegex(p.get("safe_regex", "regex"), name)
	}
}

// matchesRegex matches the whole name, as Envoy does with the same syntax.
func matchesRegex(regex node, name string) bool {
	if !regex.ok() {
		return false
	}
	expression, err := regexp.Compile(`^(?:` + regex.text() + `)$`)
	return err == nil && expression.MatchString(name)
}

// checkMutationRules applies the rules to the headers that the service sets:
// disallow_expression comes before allow_expression, that before the rest.
func (a *audit) checkMutationRules(r node) {
	if !r.ok() {
		return
	}
	var kept []string
	for _, name := range ownHeaders {
		switch {
		case matchesRegex(r.get("disallow_expression", "regex"), name):
			kept = append(kept, name)
		case matchesRegex(r.get("allow_expression", "regex"), name):
		case r.get("disallow_all").truth():
			kept = append(kept, name)
		}
	}
	if len(kept) > 0 {
		a.report(mutationRules, r, "dropped are "+shorten(kept))
	}
}
