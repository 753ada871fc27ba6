package envoy

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// metadataNamespace is where Envoy puts what a CheckResponse says.
const metadataNamespace = "envoy.filters.http.ext_authz"

// sealOf returns the seal in an entry; empty if it has none.
func sealOf(metadata *corev3.Metadata) string {
	return metadata.GetFilterMetadata()[metadataNamespace].GetFields()[metadataSettle].GetStringValue()
}

// last reports whether the entry is the last one of its request. Entries before
// would settle too early.
func last(common *accesslogv3.AccessLogCommon) bool {
	switch common.GetAccessLogType() {
	case accesslogv3.AccessLogType_DownstreamEnd:
		return true
	case accesslogv3.AccessLogType_NotSet:
		return !common.GetIntermediateLogEntry() //nolint:staticcheck // what an Envoy before access_log_type sends
	default:
		return false
	}
}

// result says what became of a request. The whole entry decides, not the code
// alone: an upstream that dies in the middle of its answer is logged with 200, and
// a 5xx of Envoy's own does not say that the upstream has done nothing.
func result(entry *accesslogv3.HTTPAccessLogEntry) replay.Result {
	code := entry.GetResponse().GetResponseCode().GetValue()
	details := entry.GetResponse().GetResponseCodeDetails()
	common := entry.GetCommonProperties()
	flags := common.GetResponseFlags()
	once := common.GetUpstreamRequestAttemptCount() <= 1 // or an earlier attempt may have acted
	switch {
	case details == "internal_redirect":
		return replay.ResultNone // the request goes on
	case strings.HasPrefix(details, "ext_authz_"):
		return replay.ResultInterrupted // refused, but after we had allowed it
	case code < 200: // 0: the sender left while the upstream worked
		return replay.ResultUnknown
	case code < 300:
		// A sender who left does not change what the upstream said.
		if answered(details, flags) && !upstreamFault(flags) {
			return replay.ResultDelivered
		}
		return replay.ResultUnknown
	case !answered(details, flags):
		if once && unsent(details, flags) {
			return replay.ResultFailed
		}
		return replay.ResultInterrupted
	case code >= 500, retryable(code):
		if once {
			return replay.ResultFailed
		}
		return replay.ResultInterrupted
	case once:
		return replay.ResultClientError
	default:
		return replay.ResultClientErrorLate
	}
}

// answered reports whether the code is the upstream's own, also where the sender
// did not wait for all of the answer.
func answered(details string, f *accesslogv3.ResponseFlags) bool {
	left := f.GetDownstreamConnectionTermination() || f.GetDownstreamRemoteReset()
	return details == "via_upstream" || left && !upstreamFault(f) && !unsent(details, f)
}

// unsent reports whether Envoy has answered by itself, before anything could have
// been sent to the upstream. What is not known to be so is not.
func unsent(details string, f *accesslogv3.ResponseFlags) bool {
	if details == "direct_response" {
		return true
	}
	before := f.GetNoHealthyUpstream() || f.GetUpstreamConnectionFailure() || f.GetUpstreamOverflow() || f.GetNoRouteFound() ||
		f.GetNoClusterFound() || f.GetDnsResolutionFailure() || f.GetRateLimited() || f.GetRateLimitServiceError() || f.GetFaultInjected()
	after := f.GetUpstreamConnectionTermination() || f.GetUpstreamRemoteReset() || f.GetUpstreamRequestTimeout() || f.GetUpstreamProtocolError() ||
		f.GetLocalReset() || f.GetStreamIdleTimeout() || f.GetDurationTimeout() || f.GetUpstreamMaxStreamDurationReached() || f.GetUpstreamRetryLimitExceeded()
	return before && !after
}

// retryable are the codes below 500 by which an upstream asks for a retry.
func retryable(code uint32) bool { return code == 408 || code == 425 || code == 429 }

// upstreamFault reports whether the upstream's answer was not whole.
func upstreamFault(f *accesslogv3.ResponseFlags) bool {
	return f.GetUpstreamConnectionFailure() || f.GetUpstreamConnectionTermination() || f.GetUpstreamRemoteReset() ||
		f.GetUpstreamRequestTimeout() || f.GetUpstreamProtocolError() || f.GetLocalReset() ||
		f.GetStreamIdleTimeout() || f.GetDurationTimeout() || f.GetUpstreamMaxStreamDurationReached()
}
