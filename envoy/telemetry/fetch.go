package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hookbastion/hookbastion/authz/fetch"
)

const sourceKey = attribute.Key("source")

// maxSources is how many documents have a label of their own; the others share
// otherWebhooks.
const maxSources = 500

// observeFetches registers what is known of what providers publish.
func (m *metrics) observeFetches(config Config) error {
	fetches, err := counter(config.Meter, metricFetches)
	age, err2 := gauge(config.Meter, metricFetchedAge)
	missing, err3 := gauge(config.Meter, metricFetchedMissing)
	if err := errors.Join(err, err2, err3); err != nil || config.Fetched == nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := time.Now()
		stats := config.Fetched(now)
		for name, results := range stats.Results {
			for result, n := range results {
				if result == "" {
					result = "ok"
				}
				o.ObserveInt64(fetches, n, metric.WithAttributes(sourceKey.String(name), resultKey.String(result)))
			}
		}
		for name, s := range fetchedBy(stats.Sources, now) {
			if s.known {
				o.ObserveInt64(age, s.age, metric.WithAttributes(sourceKey.String(name)))
			}
			o.ObserveInt64(missing, s.missing, metric.WithAttributes(sourceKey.String(name)))
		}
		return nil
	}, fetches, age, missing)
	return err
}

// fetched sums up the documents of one name.
type fetched struct {
	known        bool
	age, missing int64
}

func fetchedBy(sources []fetch.Status, now time.Time) map[string]fetched {
	by := map[string]fetched{}
	for i := range sources {
		s := &sources[i]
		name := s.Name
		if _, known := by[name]; !known && len(by) >= maxSources {
			name = otherWebhooks
		}
		sum := by[name]
		if !s.Counts {
			sum.missing++
		}
		if !s.Confirmed.IsZero() {
			sum.known, sum.age = true, max(sum.age, int64(s.Age(now).Seconds()))
		}
		by[name] = sum
	}
	return by
}
