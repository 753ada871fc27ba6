package audit

import (
	"strings"
	"time"
)

// checkSettling looks whether the service learns what became of deliveries, and
// in time.
func (a *audit) checkSettling(m *manager) {
	if a.OnePhase || !m.whole {
		return
	}
	log := m.body.get("access_log")
	found := false
	for _, entry := range log.items() {
		typ, config := entry.get("typed_config").typed()
		common := config.get("common_config")
		if typ != "HttpGrpcAccessLogConfig" || !a.isService(m, common) {
			continue
		}
		found = true
		a.checkCompression(common.get("grpc_service"))
		a.checkBatches(common)
		if filter := entry.get("filter"); filter.ok() && !passes(filter, maxDepth) {
			a.report(filteredSettleLog, filter)
		}
	}
	if !found {
		a.report(noSettleLog, log)
	}
}

// maxFlush is how long entries may wait for others. A copy that comes meanwhile waits
// for them.
const maxFlush = 100 * time.Millisecond

// checkBatches looks how long entries wait in Envoy.
func (a *audit) checkBatches(common node) {
	if bytes, ok := common.get("buffer_size_bytes").number(); ok && bytes <= 1 { // 1 is as good as 0, as was measured
		return
	}
	interval := common.get("buffer_flush_interval")
	switch length, ok := interval.duration(); {
	case !ok:
		a.report(lateSettleLog, interval, "buffer_flush_interval is missing, which means 1 s")
	case length > maxFlush:
		a.report(lateSettleLog, interval)
	}
}

// isService reports whether a log goes where the filters of the manager ask.
func (a *audit) isService(m *manager, common node) bool {
	to := target(common).text()
	if a.Cluster == "" && strings.Contains(strings.ToLower(to), "hookbastion") {
		return true
	}
	for i := range m.filters {
		if m.filters[i].ours && target(m.filters[i].body).text() == to {
			return true
		}
	}
	return false
}

// passes reports whether a filter of the access log lets all last entries of
// deliveries through.
func passes(filter node, depth int) bool {
	if depth == 0 {
		return false
	}
	if matcher := filter.get("metadata_filter", "matcher"); matcher.ok() {
		return matcher.get("filter").text() == "envoy.filters.http.ext_authz" && matcher.get("value", "present_match").truth() && !matcher.get("invert").truth()
	}
	if types := filter.get("log_type_filter"); types.ok() {
		end := false
		for _, t := range types.get("types").items() {
			end = end || t.text() == "DownstreamEnd"
		}
		return end != types.get("exclude").truth()
	}
	if filter.get("not_health_check_filter").ok() {
		return true
	}
	for _, all := range filter.get("and_filter", "filters").items() {
		if !passes(all, depth-1) {
			return false
		}
	}
	for _, one := range filter.get("or_filter", "filters").items() {
		if passes(one, depth-1) {
			return true
		}
	}
	return filter.get("and_filter").ok()
}
