package envoy_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// traced is telemetry that sends spans to a collector of its own.
type traced struct {
	collector *envoytest.Collector
	provider  *sdktrace.TracerProvider
	config    telemetry.Config
}

func startTraced(t *testing.T, sampler string) *traced {
	t.Helper()
	collector, err := envoytest.StartCollector(envoytest.Watched)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(collector.Stop)
	exporter, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(collector.Addr().String()), otlptracegrpc.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	x := &traced{collector: collector}
	x.provider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithBatcher(exporter))
	t.Cleanup(func() { _ = x.provider.Shutdown(context.Background()) })
	x.config = telemetry.Config{Tracer: x.provider.Tracer("test")}
	if x.config.Sampler, err = telemetry.ParseSampler(sampler, ""); err != nil {
		t.Fatal(err)
	}
	return x
}

// own returns our spans, all of which have arrived: what is exported is flushed.
func (x *traced) own(t *testing.T) []envoytest.Span {
	t.Helper()
	if err := x.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, _ := x.collector.AwaitSpans(t.Context(), "", func([]envoytest.Span) bool { return true })
	var own []envoytest.Span
	for _, s := range all {
		if s.GetName() == telemetry.SpanName {
			own = append(own, s)
		}
	}
	return own
}

// one returns our only span.
func (x *traced) one(t *testing.T) envoytest.Span {
	t.Helper()
	own := x.own(t)
	if len(own) != 1 {
		t.Fatalf("%d spans of ours", len(own))
	}
	return own[0]
}

// tree awaits n spans of a trace and returns them by name.
func (x *traced) tree(t *testing.T, trace string, n int) map[string]envoytest.Span {
	t.Helper()
	if err := x.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	spans, ok := x.collector.AwaitSpans(ctx, trace, func(spans []envoytest.Span) bool { return len(spans) >= n })
	byName := map[string]envoytest.Span{}
	for _, s := range spans {
		byName[s.GetName()] = s
	}
	if !ok || len(byName) != n || len(spans) != n {
		t.Fatalf("spans of trace %s: %v", trace, spans)
	}
	return byName
}

const (
	envoySpan  = "ingress"
	authzSpan  = "async envoy.service.auth.v3.Authorization.Check egress"
	routerSpan = "router application egress"
)

// checkTree checks kinds and parents. root is the parent of Envoy's span.
func checkTree(t *testing.T, spans map[string]envoytest.Span, root string) {
	t.Helper()
	for name, want := range map[string]struct {
		kind   tracepb.Span_SpanKind
		parent string
	}{
		envoySpan:          {tracepb.Span_SPAN_KIND_SERVER, root},
		authzSpan:          {tracepb.Span_SPAN_KIND_CLIENT, hex.EncodeToString(spans[envoySpan].GetSpanId())},
		telemetry.SpanName: {tracepb.Span_SPAN_KIND_SERVER, hex.EncodeToString(spans[authzSpan].GetSpanId())},
		routerSpan:         {tracepb.Span_SPAN_KIND_CLIENT, hex.EncodeToString(spans[envoySpan].GetSpanId())},
	} {
		s, ok := spans[name]
		if !ok && name == routerSpan {
			continue // of a denial
		}
		if !ok || s.GetKind() != want.kind || hex.EncodeToString(s.GetParentSpanId()) != want.parent {
			t.Errorf("%s: kind %s, parent %x, want %s", name, s.GetKind(), s.GetParentSpanId(), want.parent)
		}
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() || s.GetStartTimeUnixNano() == 0 {
			t.Errorf("%s: from %d to %d", name, s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano())
		}
	}
}

// values writes attributes as text.
func values(attributes []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			all[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[a.GetKey()] = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_DoubleValue:
			all[a.GetKey()] = fmt.Sprint(v.DoubleValue)
		}
	}
	return all
}

func TestTheTreeOfADelivery(t *testing.T) {
	x := startTraced(t, "")
	g := start(t, envoytest.Options{Collector: x.collector, Telemetry: x.config})
	a := g.send(t, g.HTTP1, g.signed(t, "stripe", []byte(`{"id":"evt_1"}`)))
	trace, _ := a.record["trace_id"].(string)
	if a.status != 200 || len(trace) != 32 {
		t.Fatalf("status %d, trace %q", a.status, trace)
	}
	spans := x.tree(t, trace, 4)
	checkTree(t, spans, "")

	s := spans[telemetry.SpanName]
	followConventions(t, s)
	got := values(s.GetAttributes())
	want := map[string]string{
		string(semconv.RPCSystemNameKey): "grpc", string(semconv.RPCMethodKey): "envoy.service.auth.v3.Authorization/Check",
		string(semconv.RPCResponseStatusCodeKey): "OK",
		string(semconv.HTTPRequestMethodKey):     "POST", string(semconv.URLPathKey): "/stripe",
		string(semconv.ServerAddressKey): "127.0.0.1", string(semconv.ClientAddressKey): "127.0.0.1",
		"hookbastion.webhook": "stripe", "hookbastion.provider": "stripe", "hookbastion.mode": "ENFORCE",
		"hookbastion.verdict": "allow", "hookbastion.reason": "ok", "hookbastion.key_id": a.record["key_id"].(string),
		"hookbastion.decision_id": a.record["decision_id"].(string), "hookbastion.request_id": a.record["request_id"].(string),
		"hookbastion.body.size": "14", "hookbastion.policy_digest": a.record["policy_digest"].(string),
	}
	if got["hookbastion.clock.skew"] == "" {
		t.Error("no clock skew")
	}
	delete(got, "hookbastion.clock.skew")
	if !maps.Equal(got, want) {
		t.Errorf("attributes\n%v\nwant\n%v", got, want)
	}
	if s.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("status %v", s.GetStatus())
	}
	var names []string
	last := s.GetStartTimeUnixNano()
	for _, e := range s.GetEvents() {
		names = append(names, strings.TrimPrefix(e.GetName(), telemetry.SpanName+"."))
		took := envoytest.Value(e.GetAttributes(), "hookbastion.check.duration").GetDoubleValue()
		if e.GetTimeUnixNano() < last || e.GetTimeUnixNano()+uint64(took*1e9) > s.GetEndTimeUnixNano()+1000 || took < 0 {
			t.Errorf("%s at %d for %g s in a span from %d to %d", e.GetName(), e.GetTimeUnixNano(), took, s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano())
		}
		last = e.GetTimeUnixNano()
		if reason := envoytest.Text(e.GetAttributes(), "hookbastion.check.reason"); reason != "ok" {
			t.Errorf("%s: %s", e.GetName(), reason)
		}
	}
	if got := strings.Join(names, " "); got != "limits signature freshness replay" {
		t.Errorf("events: %s", got)
	}
}

func TestTheTreeOfDenialsAndFaults(t *testing.T) {
	x := startTraced(t, "")
	table := policies(t)
	table.Add(&authz.Webhook{Name: "broken", Chain: authz.NewChain(misbehaving(func(*authz.Call) authz.Reason { panic("a fault") }))},
		authz.Match{Path: "/broken", Methods: []string{"POST"}})
	g := start(t, envoytest.Options{Source: fixed{table}, Collector: x.collector, Telemetry: x.config})
	g.table = table
	post := func(path string) *http.Request {
		req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+path, strings.NewReader("{}"))
		return req
	}
	replayed := g.signed(t, "github", []byte("once"))
	if a := g.send(t, g.HTTP1, replayed); a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	again := g.signed(t, "github", []byte("once"))
	again.Header = replayed.Header
	for _, c := range []struct {
		req            *http.Request
		reason, status string
		fault          bool
		checks         int
	}{
		{post("/github"), "signature_missing", "401", false, 2},
		{post("/nowhere"), "no_webhook", "404", false, 0},
		{again, "replayed", "409", false, 3},
		{post("/broken"), "internal", "503", true, 0},
	} {
		t.Run(c.reason, func(t *testing.T) {
			a := g.send(t, g.HTTP1, c.req)
			trace, _ := a.record["trace_id"].(string)
			spans := x.tree(t, trace, 3)
			checkTree(t, spans, "")
			s := spans[telemetry.SpanName]
			followConventions(t, s)
			got := values(s.GetAttributes())
			if got["hookbastion.reason"] != c.reason || got["hookbastion.verdict"] != "deny" || got[string(semconv.HTTPResponseStatusCodeKey)] != c.status || len(s.GetEvents()) != c.checks {
				t.Errorf("%v, %d checks", got, len(s.GetEvents()))
			}
			wantType, wantCode := "", tracepb.Status_STATUS_CODE_UNSET
			if c.fault {
				wantType, wantCode = c.reason, tracepb.Status_STATUS_CODE_ERROR
			}
			if got[string(semconv.ErrorTypeKey)] != wantType || s.GetStatus().GetCode() != wantCode {
				t.Errorf("error.type %q, status %v", got[string(semconv.ErrorTypeKey)], s.GetStatus())
			}
		})
	}
}

func TestAnUnsampledParentHasNoSpan(t *testing.T) {
	x := startTraced(t, "parentbased_always_on")
	g := start(t, envoytest.Options{Collector: x.collector, Telemetry: x.config, Edit: func(c envoytest.Config) {
		c.Manager()["tracing"].(map[string]any)["random_sampling"] = map[string]any{"value": 0}
	}})
	a := g.send(t, g.HTTP1, g.signed(t, "github", []byte("one")))
	if trace, _ := a.record["trace_id"].(string); a.status != 200 || len(trace) != 32 {
		t.Errorf("status %d, trace %q", a.status, trace)
	}
	if own := x.own(t); len(own) != 0 {
		t.Errorf("%d spans", len(own))
	}
}

// The headers of the request are a stranger's.
func TestForgedTraceHeadersAreNoParent(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	forge := func(req *http.Request) *http.Request {
		req.Header.Set("traceparent", "00-"+trace+"-"+span+"-01")
		req.Header.Set("b3", trace+"-"+span+"-1")
		req.Header.Set("x-b3-traceid", trace)
		req.Header.Set("x-b3-spanid", span)
		return req
	}
	t.Run("with a tracer in Envoy", func(t *testing.T) {
		x := startTraced(t, "")
		g := start(t, envoytest.Options{Collector: x.collector, Telemetry: x.config})
		a := g.send(t, g.HTTP1, forge(g.signed(t, "github", []byte("one"))))
		// Envoy goes on with the sender's trace; our parent is Envoy's span.
		checkTree(t, x.tree(t, a.record["trace_id"].(string), 4), span)
	})
	t.Run("without", func(t *testing.T) {
		x := startTraced(t, "")
		g := start(t, envoytest.Options{Telemetry: x.config})
		a := g.send(t, g.HTTP1, forge(g.signed(t, "github", []byte("one"))))
		s := x.one(t)
		id := hex.EncodeToString(s.GetTraceId())
		if len(s.GetParentSpanId()) != 0 || id == trace || a.record["trace_id"] != id {
			t.Errorf("trace %s, parent %x, in the record %v", id, s.GetParentSpanId(), a.record["trace_id"])
		}
	})
}

// What exporters keep must not alias the request: its buffers are overwritten
// when the call ends, long before the batch is sent.
func TestSpansOutliveTheirRequests(t *testing.T) {
	x := startTraced(t, "")
	g := start(t, envoytest.Options{Telemetry: x.config})
	const n = 20
	for i := range n {
		req := g.signed(t, "github", fmt.Appendf(nil, "body %d", i))
		req.Header.Set("x-request-id", "ignored by Envoy at the edge")
		if a := g.send(t, g.HTTP2, req); a.status != 200 {
			t.Fatalf("status %d", a.status)
		}
	}
	own := x.own(t)
	for _, s := range own {
		got := values(s.GetAttributes())
		if got[string(semconv.URLPathKey)] != "/github" || got["hookbastion.webhook"] != "github" || bytes.Contains([]byte(got["hookbastion.request_id"]), []byte{0xdb}) ||
			len(got["hookbastion.request_id"]) != 36 || got[string(semconv.HTTPRequestMethodKey)] != "POST" {
			t.Errorf("%q", got)
		}
	}
	if len(own) != n {
		t.Errorf("%d spans", len(own))
	}
}
