package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const stateKey = attribute.Key("state")

// observeSecrets registers what is known of secrets.
func (m *metrics) observeSecrets(config Config) error {
	secrets, err := gauge(config.Meter, metricSecrets)
	held, err2 := gauge(config.Meter, metricTenants)
	loads, err3 := counter(config.Meter, metricTenantLoads)
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if config.Secrets != nil {
			n := config.Secrets()
			o.ObserveInt64(secrets, int64(n.Current), metric.WithAttributes(stateKey.String("current")))
			o.ObserveInt64(secrets, int64(n.LastGood), metric.WithAttributes(stateKey.String("last_good")))
		}
		if config.Tenants != nil {
			n := config.Tenants()
			o.ObserveInt64(held, n.Held, metric.WithAttributes(stateKey.String("known")))
			o.ObserveInt64(held, n.Missed, metric.WithAttributes(stateKey.String("unknown")))
			for result, count := range map[string]int64{"loaded": n.Loaded, "unknown": n.Unknown, "failed": n.Failed, "refused": n.Refused} {
				o.ObserveInt64(loads, count, metric.WithAttributes(resultKey.String(result)))
			}
		}
		return nil
	}, secrets, held, loads)
	return err
}
