package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

// watch gives a decision to the monitor. It gets each one, whatever has a record.
func watch(m *monitor.Monitor, e *Event) {
	d, req := e.Decision, e.Request
	seen := monitor.Event{
		Time: e.Time, Source: req.Source, Allowed: d.Verdict == authz.Allow, Reason: d.Reason, Mark: d.Mark, KeyID: d.KeyID,
		Path: req.PathOnly(), BodyBytes: int64(req.Body.Len()),
	}
	seen.Webhook, _, _ = webhookOf(d)
	if seen.HasSkew = !d.SignedTime.IsZero(); seen.HasSkew {
		seen.Skew = e.Time.Sub(d.SignedTime)
	}
	m.Observe(&seen)
}

// anomalyEvent is the name of the event of an alarm, on the next span of its webhook.
const anomalyEvent = "hookbastion.anomaly"

// tell adds the alarms of the webhook that are on no span yet.
func (r *Recorder) tell(span trace.Span, e *Event) {
	if r.config.Monitor == nil {
		return
	}
	name, _, _ := webhookOf(e.Decision)
	for _, a := range r.config.Monitor.Untold(name) {
		span.AddEvent(anomalyEvent, trace.WithTimestamp(e.Arrived), trace.WithAttributes(
			keyAnomalyKind.String(a.Kind.String()), keyAnomalyBaseline.Float64(a.Baseline), keyAnomalyValue.Float64(a.Value),
			keyAnomalyUnit.String(a.Unit), keyAnomalySamples.Int64(a.Samples), keyAnomalyMessage.String(plain(a.Message))))
	}
}

// Attribute keys of that event.
const (
	keyAnomalyKind     = attribute.Key("hookbastion.anomaly.kind")
	keyAnomalyBaseline = attribute.Key("hookbastion.anomaly.baseline")
	keyAnomalyValue    = attribute.Key("hookbastion.anomaly.value")
	keyAnomalyUnit     = attribute.Key("hookbastion.anomaly.unit")
	keyAnomalySamples  = attribute.Key("hookbastion.anomaly.samples")
	keyAnomalyMessage  = attribute.Key("hookbastion.anomaly.message")
)
