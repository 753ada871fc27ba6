package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hookbastion/hookbastion/authz/ranges"
)

const rangesKey = attribute.Key("ranges")

// observeRanges registers what is known of published addresses. Their names are the
// catalogue's, so that there are no more than it has.
func (m *metrics) observeRanges(config Config) error {
	age, err := gauge(config.Meter, metricRangesAge)
	held, err2 := gauge(config.Meter, metricRangesHeld)
	if err := errors.Join(err, err2); err != nil || config.Ranges == nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := time.Now()
		for _, s := range config.Ranges(now) {
			name := metric.WithAttributes(rangesKey.String(s.Name))
			if !s.At.IsZero() {
				o.ObserveInt64(age, int64(s.Age(now).Seconds()), name)
			}
			if s.URL != "" {
				waits := int64(0)
				if s.State == ranges.ChangeHeld {
					waits = 1
				}
				o.ObserveInt64(held, waits, name)
			}
		}
		return nil
	}, age, held)
	return err
}
