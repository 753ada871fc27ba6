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
// alone: an upstream that dies in the middle of its answer is logged with 200.
func result(entry *accesslogv3.HTTPAccessLogEntry) replay.Result {
	code := entry.GetResponse().GetResponseCode().GetValue()
	details := entry.GetResponse().GetResponseCodeDetails()
	switch {
	case details == "internal_redirect":
		return replay.ResultNone // the request goes on
	case strings.HasPrefix(details, "ext_authz_"):
		return replay.ResultFailed // it was not forwarded
	case code == 0:
		return replay.ResultUnknown // the sender left while the upstream worked
	case code >= 500, retryable(code):
		return replay.ResultFailed
	case code >= 300:
		return replay.ResultClientError
	case code < 200:
		return replay.ResultUnknown
	case strings.HasPrefix(details, "upstream_") || upstreamFault(entry.GetCommonProperties().GetResponseFlags()):
		return replay.ResultUnknown // it had accepted, and then it failed
	default:
		return replay.ResultDelivered // a sender who left does not change what the upstream said
	}
}

// retryable are the codes below 500 by which an upstream asks for a retry.
func retryable(code uint32) bool { return code == 408 || code == 425 || code == 429 }

// upstreamFault reports whether the upstream's answer was not whole.
func upstreamFault(f *accesslogv3.ResponseFlags) bool {
	return f.GetUpstreamConnectionFailure() || f.GetUpstreamConnectionTermination() || f.GetUpstreamRemoteReset() ||
		f.GetUpstreamRequestTimeout() || f.GetUpstreamProtocolError() || f.GetLocalReset() ||
		f.GetStreamIdleTimeout() || f.GetDurationTimeout() || f.GetUpstreamMaxStreamDurationReached()
}
