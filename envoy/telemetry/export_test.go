package telemetry

import (
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Parent reads one traceparent.
func Parent(text string) (trace.TraceID, trace.SpanID, trace.TraceFlags) {
	p := parseTraceparent(text)
	return p.trace, p.span, p.flags
}

// With returns the recorder's configuration with another meter.
func (r *Recorder) With(meter metric.Meter) Config {
	config := r.config
	config.Meter = meter
	return config
}

// Attributes returns the described attributes and where they stand.
func Attributes() map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		all[string(a.key)] = a.on
	}
	return all
}

// Instruments returns the described metrics.
func Instruments() map[string]bool {
	all := map[string]bool{}
	for _, i := range instruments {
		all[i.Name] = true
	}
	return all
}

// RecordFields returns the described fields of a record, in order.
func RecordFields() (names []string) {
	for _, f := range recordFields {
		names = append(names, f.name)
	}
	return names
}

// LeftOutFields returns the described fields of a line of what was left out, in order.
func LeftOutFields() (names []string) {
	for _, f := range leftOutFields {
		names = append(names, f.name)
	}
	return names
}
