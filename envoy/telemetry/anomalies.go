package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const kindKey = attribute.Key("kind")

// observeAnomalies registers what the monitor has seen.
func (m *metrics) observeAnomalies(config Config) error {
	raised, err := counter(config.Meter, metricAnomalies)
	current, err2 := gauge(config.Meter, metricAnomaliesNow)
	if err := errors.Join(err, err2); err != nil || config.Anomalies == nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		all, now := config.Anomalies()
		for kind, n := range all {
			o.ObserveInt64(raised, n, metric.WithAttributes(kindKey.String(kind)))
		}
		for kind, n := range now {
			o.ObserveInt64(current, n, metric.WithAttributes(kindKey.String(kind)))
		}
		return nil
	}, raised, current)
	return err
}
