package telemetry

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookbastion/hookbastion/authz"
)

// Trace is the place of a call in a trace. The zero value is none.
type Trace struct {
	parent parent
	// id is the parent's trace or, where a sampled call has no parent, a new one.
	id      trace.TraceID
	sampled bool
	// state is W3C tracestate as it came, of a sampled call.
	state []string
}

// Sampled reports whether the call gets a span. Only then are its checks worth
// timing.
func (t *Trace) Sampled() bool { return t.sampled }

// appendID appends 32 hexadecimal digits, or nothing if there is no trace.
func (t *Trace) appendID(b []byte) []byte {
	if !t.id.IsValid() {
		return b
	}
	return hex.AppendEncode(b, t.id[:])
}

// Trace finds the place of a call, of which m is the metadata or nil, and
// decides whether it is sampled. A nil recorder knows no traces.
func (r *Recorder) Trace(m Metadata) Trace {
	if r == nil {
		return Trace{}
	}
	t := Trace{parent: parentOf(m)}
	t.id = t.parent.trace
	if r.config.Tracer == nil {
		return t
	}
	id := t.id
	if !id.IsValid() {
		id = newTraceID()
	}
	if t.sampled = r.config.Sampler.takes(&t.parent, id); t.sampled {
		t.id = id
		if t.parent.w3c {
			t.state = m.Values("tracestate")
		}
	}
	return t
}

// newTraceID returns random bytes. They name a trace and prove nothing.
func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // a name, not a secret
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // a name, not a secret
	}
	return id
}

// context returns a context with the parent. Without one it has the trace's id
// alone, which the SDK gives to the root span that it makes.
func (t *Trace) context() context.Context {
	config := trace.SpanContextConfig{
		TraceID: t.id, SpanID: t.parent.span, TraceFlags: t.parent.flags, Remote: true,
	}
	if state, err := trace.ParseTraceState(strings.Join(t.state, ",")); err == nil {
		config.TraceState = state // W3C: what cannot be read is dropped, and the trace goes on
	}
	return trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(config))
}

// span makes the span of a sampled call, which is over, and returns a context
// with it.
func (r *Recorder) span(e *Event, facts []attribute.KeyValue) context.Context {
	ctx, span := r.config.Tracer.Start(e.Trace.context(), SpanName,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(e.Arrived),
		trace.WithAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(rpcMethod), semconv.RPCResponseStatusCode("OK")),
		trace.WithAttributes(facts...))
	for _, c := range e.Decision.Checks() {
		span.AddEvent(SpanName+"."+c.Stage.String(), trace.WithTimestamp(e.Arrived.Add(c.Start)),
			trace.WithAttributes(keyCheckReason.String(c.Reason.String()), keyCheckDuration.Float64((c.End-c.Start).Seconds())))
	}
	r.tell(span, e)
	if isFault(e.Decision.Reason) {
		span.SetStatus(codes.Error, e.Decision.Reason.String())
	}
	span.End(trace.WithTimestamp(e.Arrived.Add(e.Duration)))
	return ctx
}

// emit writes the decision as a log record of OpenTelemetry.
func (r *Recorder) emit(ctx context.Context, e *Event, facts []attribute.KeyValue) {
	d := e.Decision
	var record log.Record
	record.SetEventName(logEvent)
	record.SetTimestamp(e.Time)
	switch {
	case isFault(d.Reason):
		record.SetSeverity(log.SeverityError)
	case d.Verdict == authz.Allow:
		record.SetSeverity(log.SeverityInfo)
	default:
		record.SetSeverity(log.SeverityWarn)
	}
	record.SetSeverityText(record.Severity().String())
	record.SetBody(attribute.StringValue(d.Verdict.String() + ": " + d.Reason.String()))
	record.AddAttributes(facts...)
	checks := make([]string, 0, len(d.Checks()))
	for _, c := range d.Checks() {
		checks = append(checks, c.Stage.String()+" "+c.Reason.String())
	}
	record.AddAttributes(keyChecks.StringSlice(checks), keyDuration.Float64(e.Duration.Seconds()))
	if e.Redeliver != "" {
		record.AddAttributes(keyRedeliver.String(e.Redeliver))
	}
	r.config.Logger.Emit(ctx, record)
}
