package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// option is one way to configure Envoy between the sender and the service.
type option struct {
	name string
	// What differs: the HTTP/2 options of the service's cluster, the cluster, the
	// connection manager, the filter, and the service's own limits.
	http2   object
	cluster func(c object)
	manager func(m object)
	filter  func(f object)
	limits  envoy.Limits
	// How Envoy reaches the service.
	tls, google bool
	// What senders add to their deliveries.
	headers map[string]string
	// turn is what happens in the middle.
	turn func(t *testing.T, p *place)
	// refused: what the senders add is too much, and nothing passes.
	refused bool
}

// object is a part of a configuration.
type object = map[string]any

// protocol changes what a cluster says of HTTP in general.
func protocol(name string, value any) func(object) {
	return func(c object) {
		options := c["typed_extension_protocol_options"].(object)["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].(object)
		options["common_http_protocol_options"] = object{name: value}
	}
}

const (
	smallest = 65535
	largest  = 1 << 30
)

var options = []option{
	{name: "none"},
	{name: "dynamic table 0", http2: object{"hpack_table_size": 0}},
	{name: "dynamic table 1024", http2: object{"hpack_table_size": 1024}},
	{name: "dynamic table 4096", http2: object{"hpack_table_size": 4096}},
	{name: "dynamic table 65536", http2: object{"hpack_table_size": 65536}},
	{name: "dynamic table 0, nghttp2", http2: object{"hpack_table_size": 0, "use_oghttp2_codec": false}},
	{name: "oghttp2", http2: object{"use_oghttp2_codec": true}},
	{name: "one stream at once", http2: object{"max_concurrent_streams": 1}},
	{name: "small windows", http2: object{"initial_stream_window_size": smallest, "initial_connection_window_size": smallest}},
	{name: "large windows", http2: object{"initial_stream_window_size": largest, "initial_connection_window_size": largest}},
	{name: "small windows and one stream", http2: object{
		"initial_stream_window_size": smallest, "initial_connection_window_size": smallest, "max_concurrent_streams": 1,
	}},
	{name: "keepalive", http2: object{"connection_keepalive": object{"interval": "0.01s", "timeout": "5s"}}},
	{name: "one request a connection", cluster: protocol("max_requests_per_connection", 1)},
	{name: "seven requests a connection", cluster: protocol("max_requests_per_connection", 7)},
	{name: "short connections", cluster: protocol("max_connection_duration", "0.05s")},
	{name: "idle connections", cluster: protocol("idle_timeout", "0.01s")},
	{name: "health checks", cluster: func(c object) {
		c["health_checks"] = []any{object{
			"timeout": "5s", "interval": "0.05s", "unhealthy_threshold": 1, "healthy_threshold": 1,
			"grpc_health_check": object{"service_name": "envoy.service.auth.v3.Authorization"},
		}}
	}},
	{name: "our connections age", limits: envoy.Limits{MaxAge: 30 * time.Millisecond, Shutdown: time.Second}},
	{name: "the service restarts", limits: envoy.Limits{Shutdown: time.Second}, turn: func(t *testing.T, p *place) { p.restart(t) }},
	{name: "TLS", tls: true},
	{name: "TLS, our connections age", tls: true, limits: envoy.Limits{MaxAge: 30 * time.Millisecond, Shutdown: time.Second}},
	{name: "google_grpc", google: true},
	{name: "headers as text", filter: func(f object) { f["encode_raw_headers"] = false }},
	{name: "HTTP/2 from senders, small windows", manager: func(m object) {
		m["http2_protocol_options"] = object{
			"initial_stream_window_size": smallest, "initial_connection_window_size": smallest, "max_concurrent_streams": 4, "hpack_table_size": 0,
		}
	}},
	{name: "repeated checks", filter: func(f object) {
		f["grpc_service"].(object)["retry_policy"] = object{
			"num_retries": 2, "retry_on": "unavailable,reset,connect-failure,refused-stream",
			"retry_back_off": object{"base_interval": "0.02s", "max_interval": "5s"},
		}
	}},
	{name: "tracing", manager: traceAll, headers: baggage(8<<10, 8<<10)},
	{name: "google_grpc that compresses", google: true, refused: true, filter: func(f object) {
		f["grpc_service"].(object)["google_grpc"].(object)["channel_args"] = object{"args": object{
			"grpc.default_compression_algorithm": object{"int_value": 2},
		}}
	}},
	{name: "tracing, all of a larger limit", refused: true, headers: baggage(100, 80<<10), manager: func(m object) {
		traceAll(m)
		m["max_request_headers_kb"] = 96
	}},
	{name: "tracing, most of what Envoy takes", manager: traceAll, headers: baggage(100, 57<<10)},
}

// traceAll traces every request.
func traceAll(m object) { m["tracing"] = envoytest.Tracing() }

// baggage is what a sender makes Envoy send with the call: members of a trace
// state, and of a baggage.
func baggage(bag, state int) map[string]string {
	return map[string]string{
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"tracestate":  "v=" + strings.Repeat("t", state),
		"baggage":     "user=" + strings.Repeat("b", bag),
	}
}

// TestEnvoysOptions: whatever Envoy is told of the way to the service, good
// deliveries pass, once, and nothing else does. failure_mode_allow is set, so that
// a call that fails shows as a delivery that passes unverified.
func TestEnvoysOptions(t *testing.T) {
	s := startOptions(t, options)
	for i := range options {
		t.Run(options[i].name, func(t *testing.T) {
			t.Parallel()
			s.places[i].try(t)
		})
	}
}

// TestEnvoyRestarted: a new Envoy finds the service that an old one left.
func TestEnvoyRestarted(t *testing.T) {
	s := startOptions(t, []option{{name: "a restart", turn: func(t *testing.T, p *place) { p.site.restart(t) }}})
	s.places[0].try(t)
}

// try sends deliveries of several sizes over both protocols.
func (p *place) try(t *testing.T) {
	all := p.rounds(t, "before")
	if p.option.turn != nil {
		p.option.turn(t, p)
		for _, d := range all { // what was taken before is remembered
			p.refuses(t, d, "a copy from before", http.StatusConflict)
		}
		p.rounds(t, "after")
	}
	p.noErrors(t)
}

// rounds sends deliveries one by one, and then many at once: each as it is, once
// more, and altered.
func (p *place) rounds(t *testing.T, when string) (all []delivery) {
	t.Helper()
	for _, size := range []int{10, 40 << 10, 200 << 10, 1 << 20} {
		for _, protocol := range []string{"HTTP1", "HTTP2"} {
			all = append(all, p.sign(t, protocol, fmt.Sprintf("%s, %d over %s", when, size, protocol), size))
		}
	}
	for _, d := range all {
		p.judge(t, d)
	}
	var many []delivery
	for i := range 48 {
		many = append(many, p.sign(t, []string{"HTTP1", "HTTP2"}[i%2], fmt.Sprintf("%s, number %d", when, i), i*2000))
	}
	p.atOnce(many, func(d delivery) { p.refuses(t, d.altered(), "altered, at once", http.StatusUnauthorized) })
	p.atOnce(many, func(d delivery) { p.passes(t, d) })
	p.settled(t, len(many))
	p.atOnce(many, func(d delivery) { p.refuses(t, d, "a copy, at once", http.StatusConflict) })
	return append(all, many...)
}

// judge sends one delivery in all ways.
func (p *place) judge(t *testing.T, d delivery) {
	t.Helper()
	p.refuses(t, d.altered(), "altered", http.StatusUnauthorized)
	p.passes(t, d)
	p.settled(t, 1)
	p.refuses(t, d, "a copy", http.StatusConflict)
}
