package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const nodeKey = attribute.Key("node")

// observeAccessLog registers what is known of each Envoy's access log.
func (m *metrics) observeAccessLog(config Config) error {
	up, err := gauge(config.Meter, metricLogUp)
	streams, err2 := gauge(config.Meter, metricLogStreams)
	expected, err3 := counter(config.Meter, metricLogExpected)
	entries, err4 := counter(config.Meter, metricLogEntries)
	missing, err5 := counter(config.Meter, metricLogMissing)
	if err := errors.Join(err, err2, err3, err4, err5); err != nil || config.AccessLog == nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, n := range config.AccessLog() {
			node := metric.WithAttributes(nodeKey.String(n.Address))
			if n.Judged {
				value := int64(1)
				if n.Lost {
					value = 0
				}
				o.ObserveInt64(up, value, node)
			}
			o.ObserveInt64(streams, int64(n.Streams), node)
			o.ObserveInt64(expected, n.Expected, node)
			o.ObserveInt64(entries, n.Entries, node)
			o.ObserveInt64(missing, n.Missing, node)
		}
		return nil
	}, up, streams, expected, entries, missing)
	return err
}
