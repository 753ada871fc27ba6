package telemetry

import "go.opentelemetry.io/otel/trace"

// Parent reads one traceparent.
func Parent(text string) (trace.TraceID, trace.SpanID, trace.TraceFlags) {
	p := parseTraceparent(text)
	return p.trace, p.span, p.flags
}

// Attributes returns the described attributes and where they stand.
func Attributes() map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		all[string(a.key)] = a.on
	}
	return all
}
