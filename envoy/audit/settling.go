package audit

import (
	"time"

	"github.com/hookbastion/hookbastion/envoy/wire"
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
		common, ok := logSettings(entry)
		if !a.goesToService(common) { // which takes no OTLP over HTTP
			continue
		}
		if !ok {
			a.report(unreadSettleLog, entry.get("typed_config", "body"))
			continue
		}
		found = true
		a.checkCompression(common.get("grpc_service"))
		a.checkBatches(common)
		needed := everyKind
		if a.OnlyFailures {
			needed = failedKinds
		}
		if filter := entry.get("filter"); filter.ok() && passed(filter, maxDepth)&needed != needed {
			a.report(filteredSettleLog, filter)
		}
	}
	if !found {
		a.report(noSettleLog, log)
	}
}

// logSettings returns where an entry of an access log goes, and how soon: of a kind of logs that
// the service reads, and for OpenTelemetry's whether it has the line that it reads.
func logSettings(entry node) (common node, ok bool) {
	typ, config := entry.get("typed_config").typed()
	switch common = config.get("common_config"); typ {
	case "HttpGrpcAccessLogConfig":
		return common, true
	case "OpenTelemetryAccessLogConfig":
		if !common.ok() {
			common = config
		}
		return common, config.get("body", "string_value").text() == wire.Line
	default:
		return node{}, false
	}
}

// maxFlush is how long entries may wait for others. A copy that comes meanwhile waits
// for them.
const maxFlush = 100 * time.Millisecond

// checkBatches looks how long entries wait in Envoy.
func (a *audit) checkBatches(common node) {
	if common.get("body").ok() { // it is the log itself
		a.report(lateSettleLog, common.get("buffer_flush_interval"), "Envoy 1.40 reads buffer_flush_interval in common_config alone, and waits for 1 s")
		return
	}
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

// goesToService reports whether a log goes to the service.
func (a *audit) goesToService(common node) bool {
	return a.isService(targetOf(common.get("grpc_service")).text())
}

// kinds are kinds of last entries of deliveries, by what a filter can look at.
type kinds uint8

const (
	delivered  kinds = 1 << iota // 2xx, and nothing else of note
	refused                      // 3xx and 4xx
	failed                       // 5xx
	unanswered                   // no status: the sender has left
	flagged                      // 2xx, and a response flag says that something went wrong
	asked                        // whatever became of it, the service asks for the entry

	everyKind   = delivered | refused | failed | unanswered | flagged | asked
	failedKinds = everyKind &^ delivered
)

// passed returns which kinds a filter of the access log lets through, all of each.
func passed(filter node, depth int) kinds {
	if depth == 0 {
		return 0
	}
	if matcher := filter.get("metadata_filter", "matcher"); matcher.ok() {
		ours := matcher.get("filter").text() == "envoy.filters.http.ext_authz" && matcher.get("value", "present_match").truth() && !matcher.get("invert").truth()
		if path := matcher.get("path").items(); ours && len(path) > 0 && path[0].get("key").text() == "log" {
			return asked
		}
		return allIf(ours)
	}
	if types := filter.get("log_type_filter"); types.ok() {
		end := false
		for _, t := range types.get("types").items() {
			end = end || t.text() == "DownstreamEnd"
		}
		return allIf(end != types.get("exclude").truth())
	}
	if code := filter.get("status_code_filter", "comparison"); code.ok() {
		return compared(code.get("op").text(), code.get("value", "default_value"))
	}
	if flags := filter.get("response_flag_filter"); flags.ok() {
		if len(flags.get("flags").items()) > 0 {
			return 0
		}
		return flagged // and those among the others that have one
	}
	if filter.get("not_health_check_filter").ok() {
		return everyKind
	}
	if all := filter.get("and_filter", "filters"); all.ok() {
		through := everyKind
		for _, each := range all.items() {
			through &= passed(each, depth-1)
		}
		return through
	}
	through := kinds(0)
	for _, one := range filter.get("or_filter", "filters").items() {
		through |= passed(one, depth-1)
	}
	return through
}

func allIf(yes bool) kinds {
	if yes {
		return everyKind
	}
	return 0
}

// compared returns the kinds of which all statuses pass a comparison. Entries with a
// flag have any status.
func compared(op string, value node) kinds {
	limit, ok := value.number()
	if !ok && value.ok() || op != "" && op != "EQ" && op != "GE" && op != "LE" && op != "NE" {
		return 0
	}
	through := kinds(0)
	for _, k := range []struct {
		kind        kinds
		first, last uint64
	}{{unanswered, 0, 199}, {delivered, 200, 299}, {refused, 300, 499}, {failed, 500, 599}} {
		if op == "GE" && k.first >= limit || op == "LE" && k.last <= limit || op == "NE" && (limit < k.first || limit > k.last) {
			through |= k.kind
		}
	}
	if through&(delivered|refused|failed|unanswered) == delivered|refused|failed|unanswered {
		through |= asked
	}
	if through&delivered != 0 {
		through |= flagged
	}
	return through
}
