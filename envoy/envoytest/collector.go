package envoytest

import (
	"context"
	"encoding/hex"
	"net"

	logscollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Collector receives traces, metrics and logs over OTLP/gRPC and keeps them. It
// is safe for concurrent use.
type Collector struct {
	listener net.Listener
	server   *grpc.Server
	watch    *Watch

	arrivals
	spans   []Span
	logs    []LogRecord
	metrics []*metricspb.Metric
}

// Span is a span and the name of the service that it came from.
type Span struct {
	*tracepb.Span
	Service string
}

// LogRecord is a log record and the attributes of its resource.
type LogRecord struct {
	*logspb.LogRecord
	Resource map[string]string
}

// StartCollector listens on a free loopback port. What arrives is shown to the
// watch, if there is one. Stop ends it.
func StartCollector(watch *Watch) (*Collector, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Collector{listener: l, server: grpc.NewServer(), watch: watch}
	tracecollector.RegisterTraceServiceServer(c.server, traces{c: c})
	metricscollector.RegisterMetricsServiceServer(c.server, metrics{c: c})
	logscollector.RegisterLogsServiceServer(c.server, logs{c: c})
	go func() { _ = c.server.Serve(l) }() // ends with Stop
	return c, nil
}

// Addr is where the collector listens.
func (c *Collector) Addr() net.Addr { return c.listener.Addr() }

// Stop ends the collector.
func (c *Collector) Stop() { c.server.Stop() }

// AwaitSpans waits for spans with which done is content, and returns those of
// one trace, or of all if trace is empty. ok is false if the context ends
// first.
func (c *Collector) AwaitSpans(ctx context.Context, trace string, done func([]Span) bool) (spans []Span, ok bool) {
	ok = c.await(ctx, func() bool {
		spans = nil
		for _, s := range c.spans {
			if trace == "" || hex.EncodeToString(s.GetTraceId()) == trace {
				spans = append(spans, s)
			}
		}
		return done(spans)
	})
	return spans, ok
}

// AwaitLog waits for a log record that done accepts; ok is false if the context
// ends first.
func (c *Collector) AwaitLog(ctx context.Context, done func(LogRecord) bool) (record LogRecord, ok bool) {
	ok = c.await(ctx, func() bool {
		for _, r := range c.logs {
			if done(r) {
				record = r
				return true
			}
		}
		return false
	})
	return record, ok
}

// AwaitMetric waits for a metric of this name; nil if the context ends first.
func (c *Collector) AwaitMetric(ctx context.Context, name string) (metric *metricspb.Metric) {
	c.await(ctx, func() bool {
		for _, m := range c.metrics {
			if m.GetName() == name {
				metric = m
			}
		}
		return metric != nil
	})
	return metric
}

// took keeps what a message holds and wakes who waits.
func (c *Collector) took(kind string, message proto.Message, keep func()) {
	if c.watch != nil {
		text, err := protojson.Marshal(message)
		if err != nil {
			text = []byte(err.Error())
		}
		c.watch.Saw(kind, text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	keep()
	c.wake()
}

type traces struct {
	tracecollector.UnimplementedTraceServiceServer
	c *Collector
}

// Export takes spans.
func (t traces) Export(_ context.Context, in *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	t.c.took("span", in, func() {
		for _, r := range in.GetResourceSpans() {
			service := Text(r.GetResource().GetAttributes(), "service.name")
			for _, s := range r.GetScopeSpans() {
				for _, span := range s.GetSpans() {
					t.c.spans = append(t.c.spans, Span{span, service})
				}
			}
		}
	})
	return &tracecollector.ExportTraceServiceResponse{}, nil
}

type metrics struct {
	metricscollector.UnimplementedMetricsServiceServer
	c *Collector
}

// Export takes metrics.
func (m metrics) Export(_ context.Context, in *metricscollector.ExportMetricsServiceRequest) (*metricscollector.ExportMetricsServiceResponse, error) {
	m.c.took("metric", in, func() {
		for _, r := range in.GetResourceMetrics() {
			for _, s := range r.GetScopeMetrics() {
				m.c.metrics = append(m.c.metrics, s.GetMetrics()...)
			}
		}
	})
	return &metricscollector.ExportMetricsServiceResponse{}, nil
}

type logs struct {
	logscollector.UnimplementedLogsServiceServer
	c *Collector
}

// Export takes log records.
func (l logs) Export(_ context.Context, in *logscollector.ExportLogsServiceRequest) (*logscollector.ExportLogsServiceResponse, error) {
	l.c.took("log", in, func() {
		for _, r := range in.GetResourceLogs() {
			resource := map[string]string{}
			for _, a := range r.GetResource().GetAttributes() {
				resource[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, s := range r.GetScopeLogs() {
				for _, record := range s.GetLogRecords() {
					l.c.logs = append(l.c.logs, LogRecord{record, resource})
				}
			}
		}
	})
	return &logscollector.ExportLogsServiceResponse{}, nil
}

// Value returns an attribute's value, or nil.
func Value(attributes []*commonpb.KeyValue, key string) *commonpb.AnyValue {
	for _, a := range attributes {
		if a.GetKey() == key {
			return a.GetValue()
		}
	}
	return nil
}

// Text returns the text of an attribute, or "".
func Text(attributes []*commonpb.KeyValue, key string) string {
	return Value(attributes, key).GetStringValue()
}

// Tracing is how an HTTP connection manager traces every request, by its own
// decision alone, to the collector of SetTracing.
func Tracing() map[string]any {
	return map[string]any{
		"client_sampling": map[string]any{"value": 0}, // no sender can ask for it
		"random_sampling": map[string]any{"value": 100},
		// A span of each attempt to reach the upstream.
		"spawn_upstream_span": true,
		"provider": map[string]any{
			"name": "envoy.tracers.opentelemetry",
			"typed_config": map[string]any{
				"@type":        "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
				"service_name": "envoy",
				"grpc_service": map[string]any{"envoy_grpc": map[string]any{"cluster_name": "otlp"}, "timeout": "1s"},
			},
		},
	}
}

// SetTracing lets Envoy trace every request, by its own decision alone, and send
// its spans to a collector at this address.
func (c Config) SetTracing(collector net.Addr) {
	c.Manager()["tracing"] = Tracing()
	clusters, _ := c.At("static_resources", "clusters").([]any)
	c.Map("static_resources")["clusters"] = append(clusters, map[string]any{
		"name": "otlp", "type": "STATIC", "connect_timeout": "0.5s",
		"typed_extension_protocol_options": map[string]any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}},
			},
		},
		"load_assignment": map[string]any{"cluster_name": "otlp", "endpoints": []any{
			map[string]any{"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{}}}},
		}},
	})
	c.SetCluster("otlp", collector)
	c["layered_runtime"] = map[string]any{"layers": []any{map[string]any{"name": "tracing", "static_layer": map[string]any{
		"tracing.opentelemetry.flush_interval_ms": 50, "tracing.opentelemetry.min_flush_spans": 1,
	}}}}
}
