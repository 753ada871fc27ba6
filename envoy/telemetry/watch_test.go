package telemetry_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// TestAnomalyOnSpan: an alarm is an event of the next span of its webhook, and of no other.
func TestAnomalyOnSpan(t *testing.T) {
	kept := tracetest.NewSpanRecorder()
	sampler, err := telemetry.ParseSampler("", "")
	if err != nil {
		t.Fatal(err)
	}
	m := monitor.New(monitor.Config{Networks: 1 << 10})
	r, err := telemetry.New(telemetry.Config{
		Tracer:  sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(kept)).Tracer("test"),
		Sampler: sampler, Monitor: m,
	})
	if err != nil {
		t.Fatal(err)
	}
	decide := func(at time.Time, webhook string, reason authz.Reason, traced bool) {
		d := &authz.Decision{Reason: reason, Webhook: &authz.Webhook{Name: webhook}}
		if reason.Allows() {
			d.Verdict = authz.Allow
		}
		e := &telemetry.Event{Time: at, Arrived: at, Request: &authz.Request{Source: netip.AddrFrom4([4]byte{192, 0, 2, 1})}, Decision: d}
		if traced {
			e.Trace = r.Trace(incoming{"traceparent", traceparent})
		}
		r.Record(e)
		m.Tick(at)
	}
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for range 48 * 60 {
		at = at.Add(time.Minute)
		decide(at, "a", authz.OK, false)
	}
	for range 20 {
		at = at.Add(time.Minute)
		decide(at, "a", authz.SignatureInvalid, false)
	}
	for _, webhook := range []string{"b", "a", "a"} {
		decide(at, webhook, authz.OK, true)
	}
	var events []string
	for _, span := range kept.Ended() {
		got := ""
		for _, e := range span.Events() {
			if e.Name == "hookbastion.anomaly" {
				for _, a := range e.Attributes {
					got += string(a.Key) + "=" + a.Value.String() + " "
				}
			}
		}
		events = append(events, got)
	}
	if len(events) != 3 || events[0] != "" || events[2] != "" || !strings.Contains(events[1], "hookbastion.anomaly.kind=signature_failures ") ||
		!strings.Contains(events[1], "hookbastion.anomaly.message=") || !strings.Contains(events[1], "hookbastion.anomaly.samples=") {
		t.Errorf("events %q", events)
	}
}
