package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/http/httpguts"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// scope is the instrumentation scope of everything that is exported.
const scope = "github.com/hookbastion/hookbastion/envoy/telemetry"

// lastExport is how long a stop waits for the last spans, metrics and records
// to be taken.
const lastExport = 5 * time.Second

// sdk is OpenTelemetry's SDK: metrics for Prometheus always, and what the
// OTEL_… variables and the settings ask for over OTLP. Its queues are bounded;
// what finds no room in them is dropped, and nothing waits for a collector.
type sdk struct {
	metrics http.Handler
	meter   metric.Meter
	tracer  trace.Tracer // nil: none is wanted, as with logger
	sampler telemetry.Sampler
	logger  log.Logger
	// stops end what exports. A provider that has no time left leaves its processor running,
	// so that those are ended themselves.
	stops []func(context.Context) error
}

type sdkOptions struct {
	// getenv reads OTEL_… variables that say whether and how to export; the
	// SDK reads the others itself.
	getenv func(string) string
	// records asks for decision records over OTLP.
	records bool
	replica string
	// spans, if set, takes the spans in place of an exporter.
	spans sdktrace.SpanProcessor
}

// newSDK connects to nothing: exporters connect when they first have something
// to export.
func newSDK(ctx context.Context, o sdkOptions) (s *sdk, err error) {
	s = &sdk{}
	defer func() {
		if err != nil {
			s.stop(nil)
		}
	}()
	attributes, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("hookbastion"), semconv.ServiceVersion(cli.Version), semconv.ServiceInstanceID(o.replica)),
		resource.WithFromEnv()) // the last one wins
	if err != nil {
		return s, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	if err := s.addMetrics(ctx, o, attributes); err != nil {
		return s, err
	}
	if err := s.addTraces(ctx, o, attributes); err != nil {
		return s, err
	}
	return s, s.addRecords(ctx, o, attributes)
}

// collectorShare is the processor time of the program and of its garbage
// collector.
var collectorShare = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/(gc/total|user):cpu-seconds$`)}

func (s *sdk) addMetrics(ctx context.Context, o sdkOptions, attributes *resource.Resource) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectorShare)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{
		sdkmetric.WithReader(reader), sdkmetric.WithResource(attributes), sdkmetric.WithCardinalityLimit(telemetry.MaxSeries),
	}
	wanted, protocol, err := o.wants("METRICS")
	if err != nil {
		return err
	}
	if wanted {
		var metrics sdkmetric.Exporter
		if protocol == grpcProtocol {
			metrics, err = otlpmetricgrpc.New(ctx)
		} else {
			metrics, err = otlpmetrichttp.New(ctx)
		}
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics)))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	s.stops = append(s.stops, provider.Shutdown)
	s.meter = provider.Meter(scope, metric.WithInstrumentationVersion(cli.Version), metric.WithSchemaURL(telemetry.SchemaURL))
	s.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}) // the form that has exemplars
	return nil
}

func (s *sdk) addTraces(ctx context.Context, o sdkOptions, attributes *resource.Resource) error {
	wanted, protocol, err := o.wants("TRACES")
	if err != nil || !wanted && o.spans == nil {
		return err
	}
	if s.sampler, err = telemetry.ParseSampler(o.getenv("OTEL_TRACES_SAMPLER"), o.getenv("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		return err
	}
	spans := o.spans
	if spans == nil {
		var exporter sdktrace.SpanExporter
		if protocol == grpcProtocol {
			exporter, err = otlptracegrpc.New(ctx)
		} else {
			exporter, err = otlptracehttp.New(ctx)
		}
		if err != nil {
			return err
		}
		spans = sdktrace.NewBatchSpanProcessor(exporter)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithResource(attributes),
		sdktrace.WithSampler(sdktrace.AlwaysSample())) // ours has decided before the SDK is asked
	s.stops = append(s.stops, spans.Shutdown)
	s.tracer = provider.Tracer(scope, trace.WithInstrumentationVersion(cli.Version), trace.WithSchemaURL(telemetry.SchemaURL))
	return nil
}

func (s *sdk) addRecords(ctx context.Context, o sdkOptions, attributes *resource.Resource) error {
	if !o.records {
		return nil
	}
	if o.getenv("OTEL_LOGS_EXPORTER") == "" {
		o.getenv = overridden(o.getenv, "OTEL_LOGS_EXPORTER", otlp) // the setting asks for it
	}
	wanted, protocol, err := o.wants("LOGS")
	if err != nil {
		return err
	}
	if !wanted {
		return errors.New("records.otlp is true, but the OTEL_… variables switch the export of logs off")
	}
	var logs sdklog.Exporter
	if protocol == grpcProtocol {
		logs, err = otlploggrpc.New(ctx)
	} else {
		logs, err = otlploghttp.New(ctx)
	}
	if err != nil {
		return err
	}
	records := sdklog.NewBatchProcessor(logs)
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(records), sdklog.WithResource(attributes))
	s.stops = append(s.stops, records.Shutdown)
	s.logger = provider.Logger(scope, log.WithInstrumentationVersion(cli.Version), log.WithSchemaURL(telemetry.SchemaURL))
	return nil
}

// stop exports what is left, until it is in a hurry.
func (s *sdk) stop(hurry <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), lastExport)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, stop := range s.stops {
		_ = stop(ctx) // the error handler has been told
	}
}

// Values of the variables.
const (
	otlp         = "otlp"
	grpcProtocol = "grpc"
	httpProtocol = "http/protobuf"
)

// wants says whether a signal, TRACES, METRICS or LOGS, is exported over OTLP,
// and with which protocol. Without a word about it, it is if an endpoint is
// named: a service must not look for a collector that nobody has.
func (o *sdkOptions) wants(signal string) (wanted bool, protocol string, err error) {
	if strings.EqualFold(o.getenv("OTEL_SDK_DISABLED"), "true") {
		return false, "", nil
	}
	name := "OTEL_" + signal + "_EXPORTER"
	value := o.getenv(name)
	if value == "" {
		wanted = o.getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || o.getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	} else {
		for kind := range strings.SplitSeq(value, ",") {
			switch kind = strings.TrimSpace(kind); {
			case kind == otlp:
				wanted = true
			case kind == "none", kind == "prometheus" && signal == "METRICS": // /metrics is always there
			default:
				return false, "", fmt.Errorf("%s must be otlp or none, not %q", name, kind)
			}
		}
	}
	name = "OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL"
	if protocol = o.getenv(name); protocol == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
		protocol = cmp.Or(o.getenv(name), httpProtocol)
	}
	if wanted && protocol != grpcProtocol && protocol != httpProtocol {
		return false, "", fmt.Errorf("%s must be %s or %s, not %q", name, grpcProtocol, httpProtocol, protocol)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_" + signal + "_HEADERS"} {
		if wanted && !areHeaders(o.getenv(name)) {
			return false, "", fmt.Errorf("%s must be pairs such as name=value with commas between them", name)
		}
	}
	return wanted, protocol, nil
}

// areHeaders reports whether the exporters will understand the text. They log
// what they do not understand, and it may be a key.
func areHeaders(text string) bool {
	if text == "" {
		return true
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(strings.TrimSpace(value)); err != nil || !ok || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

func overridden(getenv func(string) string, name, value string) func(string) string {
	return func(n string) string {
		if n == name {
			return value
		}
		return getenv(n)
	}
}
