package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
)

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// Nothing is exported that nobody asked for.
func TestWhatIsExported(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, c := range map[string]struct {
		env             []string
		records         bool
		tracing, logger bool
	}{
		"nothing":          {},
		"an endpoint":      {env: []string{endpoint, "http://h"}, tracing: true},
		"for traces":       {env: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h"}, tracing: true},
		"for metrics":      {env: []string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://h"}},
		"asked for":        {env: []string{"OTEL_TRACES_EXPORTER", "otlp", "OTEL_METRICS_EXPORTER", "prometheus, otlp"}, tracing: true},
		"over gRPC":        {env: []string{endpoint, "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, tracing: true},
		"switched off":     {env: []string{endpoint, "http://h", "OTEL_TRACES_EXPORTER", "none"}},
		"all switched off": {env: []string{endpoint, "http://h", "OTEL_SDK_DISABLED", "TRUE"}},
		"records":          {records: true, logger: true},
		"records and more": {env: []string{endpoint, "http://h", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"}, records: true, tracing: true, logger: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newSDK(t.Context(), sdkOptions{getenv: environment(c.env...), records: c.records, replica: "test"})
			if err != nil {
				t.Fatal(err)
			}
			if (s.tracer != nil) != c.tracing || (s.logger != nil) != c.logger {
				t.Errorf("tracing %v, records %v", s.tracer != nil, s.logger != nil)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			for _, stop := range s.stops {
				_ = stop(ended) // without a last export
			}
		})
	}
	for want, env := range map[string][]string{
		"OTEL_TRACES_EXPORTER must be otlp or none":                      {"OTEL_TRACES_EXPORTER", "zipkin"},
		"OTEL_METRICS_EXPORTER must be otlp or none":                     {"OTEL_METRICS_EXPORTER", "otlp,console"},
		"OTEL_EXPORTER_OTLP_PROTOCOL must be grpc or http/protobuf":      {endpoint, "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
		"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL must be grpc or http/protobuf": {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "tcp"},
		"OTEL_TRACES_SAMPLER must be":                                    {"OTEL_TRACES_EXPORTER", "otlp", "OTEL_TRACES_SAMPLER", "some"},
		"OTEL_TRACES_SAMPLER_ARG must be a number":                       {"OTEL_TRACES_EXPORTER", "otlp", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "1%"},
		"OTEL_EXPORTER_OTLP_HEADERS must be pairs":                       {endpoint, "http://h", "OTEL_EXPORTER_OTLP_HEADERS", "s3cret"},
		"OTEL_EXPORTER_OTLP_LOGS_HEADERS must be pairs":                  {endpoint, "http://h", "OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-key=%s3cret"},
		"switch the export of logs off":                                  {"OTEL_LOGS_EXPORTER", "none"},
	} {
		if _, err := newSDK(t.Context(), sdkOptions{getenv: environment(env...), records: true}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: %v", env, err)
		}
	}
}

func TestComplaintsAreRare(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1_795_500_000, 0)
	c := newComplaints(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	var handler otel.ErrorHandler = c
	for range 100 {
		handler.Handle(errors.New("no such host"))
		now = now.Add(time.Second)
	}
	handler.Handle(nil)
	if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(out.String(), "suppressed=59") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
