package audit

import (
	"slices"

	"github.com/hookbastion/hookbastion/envoy"
)

// checkTrailers looks for applications that get the trailers of a request, which
// the service is never shown and which no filter cleans.
func (a *audit) checkTrailers(m *manager) {
	if m.body.get("codec_type").text() == "HTTP1" && !m.body.get("http_protocol_options", "enable_trailers").truth() || m.dropsTrailers() {
		return
	}
	seen := map[string]bool{}
	for _, w := range a.ways(m) {
		name := w.cluster.text()
		if seen[name] || !slices.ContainsFunc(m.filters, func(f filter) bool {
			verified, _ := w.verified(&f)
			return f.ours && verified
		}) {
			continue
		}
		seen[name] = true
		for _, c := range a.clusters {
			if c.get("name").text() == name && carriesTrailers(c) {
				a.report(trailersPass, w.cluster, name)
			}
		}
	}
}

// carriesTrailers reports whether Envoy sends trailers of requests to a cluster:
// over HTTP/2 and HTTP/3 always.
func carriesTrailers(c node) bool {
	_, options := c.get("typed_extension_protocol_options").key(protocolOptions).typed()
	return speaksHTTP2(c) || c.get("http_protocol_options", "enable_trailers").truth() ||
		options.get("use_downstream_protocol_config").ok() ||
		options.get("explicit_http_config", "http3_protocol_options").ok() ||
		options.get("explicit_http_config", "http_protocol_options", "enable_trailers").truth()
}

// dropsTrailers reports whether a filter removes trailers that are called like
// the service's headers.
func (m *manager) dropsTrailers() bool {
	return slices.ContainsFunc(m.filters, func(f filter) bool {
		if f.kind != "header_mutation" || f.entry.get("disabled").truth() {
			return false
		}
		mutations := f.body.get("mutations", "request_trailers_mutations").items()
		removed := func(name string) bool {
			return slices.ContainsFunc(mutations, func(mutation node) bool {
				return mutation.get("remove").text() == name || matchesOne(mutation.get("remove_on_match", "key_matcher"), name)
			})
		}
		return removed(envoy.HeaderVerified) && !slices.ContainsFunc(ownHeaders, func(name string) bool { return !removed(name) })
	})
}
