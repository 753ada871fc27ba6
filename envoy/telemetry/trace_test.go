package telemetry_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// spans is a recorder that keeps its spans.
func spans(t *testing.T, sampler string) (*telemetry.Recorder, *tracetest.SpanRecorder) {
	t.Helper()
	kept := tracetest.NewSpanRecorder()
	s, err := telemetry.ParseSampler(sampler, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := telemetry.New(telemetry.Config{
		Tracer:  sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(kept), sdktrace.WithSampler(sdktrace.AlwaysSample())).Tracer("test"),
		Sampler: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, kept
}

// incoming is the metadata of a call.
type incoming []string

func (m incoming) Values(name string) (values []string) {
	for i := 0; i < len(m); i += 2 {
		if m[i] == name {
			values = append(values, m[i+1])
		}
	}
	return values
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// FuzzTraceparent: what OpenTelemetry's own propagator takes for a parent is
// ours, and nothing else.
func FuzzTraceparent(f *testing.F) {
	f.Add(traceparent)
	f.Add("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more")
	for i := range len(traceparent) {
		f.Add(traceparent[:i])
		f.Add(traceparent[:i] + "G" + traceparent[i+1:])
		f.Add(traceparent[:i] + "A" + traceparent[i+1:])
		f.Add(traceparent[:i] + "0" + traceparent[i+1:])
	}
	f.Add("ff" + traceparent[2:])
	f.Add(traceparent + "-")
	f.Add("cc" + traceparent[2:] + "-what the future will be like")
	f.Add("cc" + traceparent[2:] + ".what")
	f.Add("00-00000000000000000000000000000000-b7ad6b7169203331-01")
	f.Add("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")
	f.Fuzz(func(t *testing.T, text string) {
		if text == strings.TrimSuffix(text, "-")+"-" && strings.HasPrefix(text, "00-") {
			text = strings.TrimSuffix(text, "-") // which OpenTelemetry lets pass, and W3C does not
		}
		want := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": text}))
		id, span, flags := telemetry.Parent(text)
		if want.IsValid() != id.IsValid() {
			t.Fatalf("%q: %v, want %v", text, id, want.TraceID())
		}
		if want.IsValid() && (id != want.TraceID() || span != want.SpanID() || flags.IsSampled() != want.IsSampled()) {
			t.Fatalf("%q: %v %v %v, want %v", text, id, span, flags, want)
		}
	})
}

// Ours decides as OpenTelemetry's samplers do.
func TestSamplers(t *testing.T) {
	ratio := sdktrace.TraceIDRatioBased(0.25)
	for name, want := range map[string]sdktrace.Sampler{
		"": sdktrace.ParentBased(sdktrace.AlwaysSample()), "parentbased_always_on": sdktrace.ParentBased(sdktrace.AlwaysSample()),
		"parentbased_always_off": sdktrace.ParentBased(sdktrace.NeverSample()), "parentbased_traceidratio": sdktrace.ParentBased(ratio),
		"always_on": sdktrace.AlwaysSample(), "always_off": sdktrace.NeverSample(), "traceidratio": ratio,
	} {
		ours, err := telemetry.ParseSampler(name, "0.25")
		if err != nil {
			t.Fatal(err)
		}
		r, err := telemetry.New(telemetry.Config{Tracer: sdktrace.NewTracerProvider().Tracer(""), Sampler: ours})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2000 {
			var id trace.TraceID
			binary.BigEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // a test
			id[0] = 1
			sampled := i%2 == 0
			flags := trace.TraceFlags(0).WithSampled(sampled)
			parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true})
			decision := want.ShouldSample(sdktrace.SamplingParameters{
				ParentContext: trace.ContextWithRemoteSpanContext(context.Background(), parent), TraceID: id,
			}).Decision
			place := r.Trace(incoming{"traceparent", fmt.Sprintf("00-%s-%s-%s", id, parent.SpanID(), flags)})
			if place.Sampled() != (decision == sdktrace.RecordAndSample) {
				t.Fatalf("%q with trace %s, sampled %v: %v", name, id, sampled, place.Sampled())
			}
		}
		taken := 0
		for range 2000 {
			if place := r.Trace(nil); place.Sampled() {
				taken++
			}
		}
		least, most := 350, 650
		switch {
		case strings.HasSuffix(name, "always_off"):
			least, most = 0, 0
		case !strings.HasSuffix(name, "ratio"):
			least, most = 2000, 2000
		}
		if taken < least || taken > most {
			t.Errorf("%q takes %d of 2000 without a parent", name, taken)
		}
	}
	for _, c := range []struct{ name, argument string }{
		{"xray", ""}, {"traceidratio", "2"}, {"traceidratio", "-1"}, {"traceidratio", "NaN"}, {"parentbased_traceidratio", "all"},
	} {
		if _, err := telemetry.ParseSampler(c.name, c.argument); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}

// Each attribute that a span or an event has is described, and each that is
// described there is.
func TestEveryAttributeIsDescribed(t *testing.T) {
	r, kept := spans(t, "always_on")
	logs := &logBook{}
	logger, err := telemetry.New(telemetry.Config{
		DenialsPerSecond: 100, LeaveOut: []authz.Reason{authz.Replayed}, Logger: sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(logs))).Logger("test"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []authz.Reason{authz.OK, authz.SignatureInvalid, authz.StoreUnavailable} {
		for _, method := range []string{"POST", "BREW"} {
			e := event(reason)
			e.Request.Method, e.PolicyDigest = authz.View(method), "d1gest"
			e.Decision.Handshake, e.Decision.Answer = "confirmation", &authz.Answer{Told: "https://example.com/confirm"}
			e.Trace = r.Trace(nil)
			e.Arrived = now
			r.Record(e)
			e.Trace, e.Redeliver = telemetry.Trace{}, "ticket"
			logger.Record(e)
		}
	}
	seen := map[string]bool{}
	for _, s := range kept.Ended() {
		for _, a := range s.Attributes() {
			seen["s "+string(a.Key)] = true
		}
		for _, e := range s.Events() {
			for _, a := range e.Attributes {
				seen["e "+string(a.Key)] = true
			}
		}
	}
	logger.Record(event(authz.Replayed)) // it is left out
	logger.Close()
	for _, l := range logs.records {
		place := "l "
		if l.EventName() == "hookbastion.records.left_out" {
			place = "o "
		}
		l.WalkAttributes(func(a attribute.KeyValue) bool { seen[place+string(a.Key)] = true; return true })
	}
	described := map[string]bool{}
	for key, on := range telemetry.Attributes() {
		for _, place := range on {
			described[string(place)+" "+key] = true
		}
	}
	for key := range seen {
		if !described[key] {
			t.Errorf("%s is not described", key)
		}
	}
	for key := range described {
		if !seen[key] {
			t.Errorf("%s is described and does not occur", key)
		}
	}
}

// logBook keeps log records.
type logBook struct{ records []sdklog.Record }

// Export keeps the records.
func (l *logBook) Export(_ context.Context, records []sdklog.Record) error {
	for _, r := range records {
		l.records = append(l.records, r.Clone())
	}
	return nil
}

// Shutdown does nothing.
func (*logBook) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (*logBook) ForceFlush(context.Context) error { return nil }

func TestSpansAndLogRecordsHoldCopiesOfSafeText(t *testing.T) {
	r, kept := spans(t, "always_on")
	e := event(authz.OK)
	e.Trace, e.Arrived = r.Trace(nil), now
	r.Record(e)
	logs := &logBook{}
	logger, err := telemetry.New(telemetry.Config{Logger: sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(logs))).Logger("test")})
	if err != nil {
		t.Fatal(err)
	}
	e.Trace = telemetry.Trace{}
	logger.Record(e)
	for _, view := range []authz.View{e.Request.Path, e.Request.Host, e.Request.Method, e.Request.RequestID} {
		for i := range view {
			view[i] = 0xdb // the buffer is used again
		}
	}
	all := kept.Ended()[0].Attributes()
	logs.records[0].WalkAttributes(func(a attribute.KeyValue) bool { all = append(all, a); return true })
	paths := 0
	for _, a := range all {
		text := a.Value.String()
		if !utf8.ValidString(text) || strings.Contains(text, "s3cret") || strings.ContainsAny(text, "\x1b\r\n\u2028") || len(text) > 1024 {
			t.Errorf("%s: %q", a.Key, text)
		}
		if a.Key == "url.path" {
			paths++
			if text != `/acme/a\"b<script>é\u2028\xff` {
				t.Errorf("path %s", text)
			}
		}
	}
	if paths != 2 {
		t.Errorf("%d paths", paths)
	}
}

func TestALogRecordBelongsToItsTrace(t *testing.T) {
	logs := &logBook{}
	r, err := telemetry.New(telemetry.Config{Logger: sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(logs))).Logger("test"), DenialsPerSecond: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []authz.Reason{authz.OK, authz.SignatureInvalid, authz.SignatureInvalid} { // the last one is too many
		e := event(reason)
		e.Trace = r.Trace(incoming{"traceparent", traceparent})
		r.Record(e)
	}
	if len(logs.records) != 2 {
		t.Fatalf("%d records", len(logs.records))
	}
	for i, want := range []struct{ severity, body string }{{"INFO", "allow: ok"}, {"WARN", "deny: signature_invalid"}} {
		l := logs.records[i]
		if l.TraceID().String() != traceparent[3:35] || l.SpanID().String() != traceparent[36:52] || l.EventName() != "hookbastion.decision" ||
			l.SeverityText() != want.severity || l.Body().String() != want.body || !l.Timestamp().Equal(now) {
			t.Errorf("%v %v %q %s %q %s", l.TraceID(), l.SpanID(), l.EventName(), l.SeverityText(), l.Body().String(), l.Timestamp())
		}
	}
}

func TestASpanEndsWithItsCall(t *testing.T) {
	r, kept := spans(t, "")
	e := event(authz.OK)
	e.Trace, e.Arrived, e.Duration = r.Trace(incoming{"traceparent", traceparent}), now, 3*time.Millisecond
	r.Record(e)
	s := kept.Ended()[0]
	if !s.StartTime().Equal(now) || s.EndTime().Sub(s.StartTime()) != 3*time.Millisecond || s.Parent().SpanID().String() != traceparent[36:52] {
		t.Errorf("from %s to %s, parent %s", s.StartTime(), s.EndTime(), s.Parent().SpanID())
	}
}

// A call that is not sampled costs the copy of one metadata value and no more:
// no span, no attribute, no event.
func TestAnUnsampledCallCostsNothing(t *testing.T) {
	r, kept := spans(t, "")
	e := event(authz.OK)
	ctx := telemetry.Metadata(incoming{"traceparent", traceparent[:53] + "00", "tracestate", "a=1"})
	allocations := testing.AllocsPerRun(100, func() {
		e.Trace = r.Trace(ctx)
		r.Record(e)
	})
	if allocations > 1 || len(kept.Started()) != 0 {
		t.Errorf("%g allocations, %d spans", allocations, len(kept.Started()))
	}
}
