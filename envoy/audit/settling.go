package audit

import "strings"

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
		size := common.get("buffer_size_bytes")
		switch bytes, ok := size.number(); {
		case !ok:
			a.report(lateSettleLog, size, "buffer_size_bytes is missing, which means 16 KiB")
		case bytes > 1: // 1 is as good as 0, as was measured
			a.report(lateSettleLog, size)
		}
		if filter := entry.get("filter"); filter.ok() && !passes(filter, maxDepth) {
			a.report(filteredSettleLog, filter)
		}
	}
	if !found {
		a.report(noSettleLog, log)
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
