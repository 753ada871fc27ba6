package envoy_test

import (
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

// For each entry that Envoy can write: may the application have acted?
func TestResults(t *testing.T) {
	const reset = "upstream_reset_before_response_started"
	none := &accesslogv3.ResponseFlags{}
	for _, c := range []struct {
		code     uint32
		details  string
		flags    *accesslogv3.ResponseFlags
		attempts uint32
		want     replay.Result
	}{
		{200, "via_upstream", none, 1, replay.ResultDelivered},
		{204, "via_upstream", none, 3, replay.ResultDelivered},
		{200, "via_upstream", nil, 0, replay.ResultDelivered}, // an Envoy that does not count
		{200, "downstream_remote_disconnect", &accesslogv3.ResponseFlags{DownstreamConnectionTermination: true}, 1, replay.ResultDelivered},
		{200, "upstream_reset_after_response_started{protocol_error}", &accesslogv3.ResponseFlags{UpstreamProtocolError: true}, 1, replay.ResultUnknown},
		{200, "via_upstream", &accesslogv3.ResponseFlags{StreamIdleTimeout: true}, 1, replay.ResultUnknown},
		{101, "via_upstream", none, 1, replay.ResultUnknown},
		{0, "downstream_remote_disconnect", &accesslogv3.ResponseFlags{DownstreamConnectionTermination: true}, 1, replay.ResultUnknown},
		{0, "http2.remote_reset", &accesslogv3.ResponseFlags{DownstreamRemoteReset: true}, 1, replay.ResultUnknown},
		{302, "internal_redirect", none, 1, replay.ResultNone},
		{302, "via_upstream", none, 1, replay.ResultClientError},
		{404, "via_upstream", none, 1, replay.ResultClientError},
		{404, "via_upstream", none, 2, replay.ResultClientErrorLate},
		{404, "downstream_remote_disconnect", &accesslogv3.ResponseFlags{DownstreamConnectionTermination: true}, 1, replay.ResultClientError},
		{500, "via_upstream", none, 1, replay.ResultFailed},
		{429, "via_upstream", none, 1, replay.ResultFailed},
		{500, "via_upstream", &accesslogv3.ResponseFlags{UpstreamRetryLimitExceeded: true}, 3, replay.ResultInterrupted},
		{500, "http2.remote_reset", &accesslogv3.ResponseFlags{DownstreamRemoteReset: true}, 1, replay.ResultFailed},
		{504, "downstream_remote_disconnect", &accesslogv3.ResponseFlags{DownstreamConnectionTermination: true, UpstreamRequestTimeout: true}, 1, replay.ResultInterrupted},
		{504, "response_timeout", &accesslogv3.ResponseFlags{UpstreamRequestTimeout: true}, 1, replay.ResultInterrupted},
		{504, "upstream_per_try_timeout", &accesslogv3.ResponseFlags{UpstreamRequestTimeout: true}, 2, replay.ResultInterrupted},
		{504, "response_timeout", nil, 0, replay.ResultInterrupted},
		{503, reset + "{connection_termination}", &accesslogv3.ResponseFlags{UpstreamConnectionTermination: true}, 1, replay.ResultInterrupted},
		{503, reset + "{remote_reset}", &accesslogv3.ResponseFlags{UpstreamRemoteReset: true}, 1, replay.ResultInterrupted},
		{502, reset + "{protocol_error}", &accesslogv3.ResponseFlags{UpstreamProtocolError: true}, 1, replay.ResultInterrupted},
		{503, reset + "{remote_connection_failure|delayed_connect_error:_Connection_refused}", &accesslogv3.ResponseFlags{UpstreamConnectionFailure: true}, 1, replay.ResultFailed},
		{503, reset + "{remote_connection_failure}", &accesslogv3.ResponseFlags{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true}, 2, replay.ResultInterrupted},
		{503, reset + "{overflow}", &accesslogv3.ResponseFlags{UpstreamOverflow: true}, 1, replay.ResultFailed},
		{503, "downstream_remote_disconnect", &accesslogv3.ResponseFlags{DownstreamConnectionTermination: true, UpstreamConnectionFailure: true}, 1, replay.ResultFailed},
		{503, "no_healthy_upstream", &accesslogv3.ResponseFlags{NoHealthyUpstream: true}, 1, replay.ResultFailed},
		{503, "cluster_not_found", &accesslogv3.ResponseFlags{NoClusterFound: true}, 0, replay.ResultFailed},
		{404, "route_not_found", &accesslogv3.ResponseFlags{NoRouteFound: true}, 0, replay.ResultFailed},
		{429, "request_rate_limited", &accesslogv3.ResponseFlags{RateLimited: true}, 0, replay.ResultFailed},
		{403, "direct_response", none, 0, replay.ResultFailed},
		{408, "stream_idle_timeout", &accesslogv3.ResponseFlags{StreamIdleTimeout: true}, 1, replay.ResultInterrupted},
		{408, "request_overall_timeout", none, 1, replay.ResultInterrupted},
		{504, "max_duration_timeout", &accesslogv3.ResponseFlags{DurationTimeout: true}, 1, replay.ResultInterrupted},
		{503, "overload", &accesslogv3.ResponseFlags{OverloadManager: true}, 1, replay.ResultInterrupted},
		{400, "http1.codec_error", none, 1, replay.ResultInterrupted},
		{500, "ext_authz_error", none, 0, replay.ResultInterrupted},
		{500, "ext_authz_invalid", none, 0, replay.ResultInterrupted},
		{403, "ext_authz_denied", none, 1, replay.ResultInterrupted},
		{200, "ext_authz_denied", none, 0, replay.ResultInterrupted},
		{200, "direct_response", none, 0, replay.ResultUnknown},
		{200, "lua_response", none, 0, replay.ResultUnknown},
		{500, "a_filter_of_somebody", none, 1, replay.ResultInterrupted},
	} {
		entry := &accesslogv3.HTTPAccessLogEntry{
			CommonProperties: &accesslogv3.AccessLogCommon{ResponseFlags: c.flags, UpstreamRequestAttemptCount: c.attempts},
			Response:         &accesslogv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(c.code), ResponseCodeDetails: c.details},
		}
		if c.code == 0 {
			entry.Response.ResponseCode = nil
		}
		if got := envoy.Result(readEntry(t, entry)); got != c.want {
			t.Errorf("%d %s, %d attempts, %v: %d, want %d", c.code, c.details, c.attempts, c.flags, got, c.want)
		}
	}
}

// readEntry is an entry as the service reads it.
func readEntry(t *testing.T, entry *accesslogv3.HTTPAccessLogEntry) *wire.Entry {
	t.Helper()
	encoded, err := proto.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var e wire.Entry
	if !e.Read(encoded, wire.SealPlace{}) {
		t.Fatal("unreadable")
	}
	return &e
}
