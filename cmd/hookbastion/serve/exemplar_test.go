package serve

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// called is the metadata of a call.
type called map[string]string

func (c called) Values(name string) []string {
	if v, ok := c[name]; ok {
		return []string{v}
	}
	return nil
}

// A bucket of /metrics names the trace of a decision in it, if that has a span, and else
// none.
func TestExemplarsNameTraces(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s, err := newSDK(t.Context(), sdkOptions{getenv: environment(), spans: sdktrace.SpanProcessor(spans), replica: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop(nil)
	r, err := telemetry.New(telemetry.Config{Meter: s.meter, Tracer: s.tracer, Sampler: s.sampler})
	if err != nil {
		t.Fatal(err)
	}
	const sampled, not = "4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"
	for parent, duration := range map[string]time.Duration{
		"00-" + sampled + "-00f067aa0ba902b7-01": 42 * time.Microsecond,
		"00-" + not + "-00f067aa0ba902b7-00":     3 * time.Millisecond,
	} {
		r.Record(&telemetry.Event{
			Time: time.Now(), Arrived: time.Now(), Duration: duration, Trace: r.Trace(called{"traceparent": parent}),
			Request: &authz.Request{}, Decision: &authz.Decision{},
		})
	}
	scrape := func(accept string) string {
		request := httptest.NewRequest("GET", "/metrics", nil)
		request.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		s.metrics.ServeHTTP(answer, request)
		return answer.Body.String()
	}
	text := scrape("application/openmetrics-text;version=1.0.0")
	found := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "hookbastion_decision_duration_seconds_bucket") && strings.Contains(line, ` # {`) {
			found += line
		}
	}
	span := spans.Ended()[0].SpanContext()
	if !strings.Contains(found, `trace_id="`+sampled+`"`) || !strings.Contains(found, `span_id="`+span.SpanID().String()+`"`) || strings.Contains(text, not) {
		t.Errorf("exemplars:\n%s", found)
	}
	if plain := scrape("text/plain"); strings.Contains(plain, " # {") || !strings.Contains(plain, "hookbastion_decision_duration_seconds_bucket") {
		t.Error("whoever asks for the older form gets another one")
	}
}
