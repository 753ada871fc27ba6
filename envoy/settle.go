package envoy

import (
	"bytes"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

// metadataNamespace is where Envoy puts what a CheckResponse says.
const metadataNamespace = "envoy.filters.http.ext_authz"

// sealPlace is where the seal is in an entry of the access log.
var sealPlace = wire.SealPlace{Namespace: metadataNamespace, Key: metadataSettle}

// last reports whether the entry is the last one of its request. Entries before
// would settle too early.
func last(entry *wire.Entry) bool {
	switch accesslogv3.AccessLogType(entry.Type) {
	case accesslogv3.AccessLogType_DownstreamEnd:
		return true
	case accesslogv3.AccessLogType_NotSet:
		return !entry.Intermediate // what an Envoy before access_log_type sends
	default:
		return false
	}
}

// result says what became of a request. The whole entry decides, not the code
// alone: an upstream that dies in the middle of its answer is logged with 200, and
// a 5xx of Envoy's own does not say that the upstream has done nothing.
func result(entry *wire.Entry) replay.Result {
	code, details, flags := entry.Code, entry.Details, entry.Flags
	once := entry.Attempts <= 1 // or an earlier attempt may have acted
	switch {
	case string(details) == "internal_redirect":
		return replay.ResultNone // the request goes on
	case bytes.HasPrefix(details, []byte("ext_authz_")):
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
func answered(details []byte, f wire.Flags) bool {
	left := f.Any(wire.DownstreamTermination | wire.DownstreamRemoteReset)
	return string(details) == "via_upstream" || left && !upstreamFault(f) && !unsent(details, f)
}

// unsent reports whether Envoy has answered by itself, before anything could have
// been sent to the upstream. What is not known to be so is not.
func unsent(details []byte, f wire.Flags) bool {
	if string(details) == "direct_response" {
		return true
	}
	before := f.Any(wire.NoHealthyUpstream | wire.UpstreamConnectionFailure | wire.UpstreamOverflow | wire.NoRouteFound |
		wire.NoClusterFound | wire.DNSResolutionFailure | wire.RateLimited | wire.RateLimitServiceError | wire.FaultInjected)
	after := f.Any(wire.UpstreamConnectionTermination | wire.UpstreamRemoteReset | wire.UpstreamRequestTimeout | wire.UpstreamProtocolError |
		wire.LocalReset | wire.StreamIdleTimeout | wire.DurationTimeout | wire.UpstreamMaxDuration | wire.UpstreamRetryLimitExceeded)
	return before && !after
}

// retryable are the codes below 500 by which an upstream asks for a retry.
func retryable(code uint32) bool { return code == 408 || code == 425 || code == 429 }

// upstreamFault reports whether the upstream's answer was not whole.
func upstreamFault(f wire.Flags) bool {
	return f.Any(wire.UpstreamConnectionFailure | wire.UpstreamConnectionTermination | wire.UpstreamRemoteReset |
		wire.UpstreamRequestTimeout | wire.UpstreamProtocolError | wire.LocalReset |
		wire.StreamIdleTimeout | wire.DurationTimeout | wire.UpstreamMaxDuration)
}
