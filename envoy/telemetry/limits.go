package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const limitKey = attribute.Key("limit")

// Limits are the bounds that are counted by their names. Where one of the first five is
// met, a decision is denied as overloaded, too; where another is, no other metric counts it.
var Limits = []struct{ Name, About string }{
	{"in_flight", "a check was refused as `overloaded`: there were as many as `limits.in_flight`, or its connection had more than sixteen times what was free"},
	{"bytes_in_flight", "a check was refused as `overloaded`: within half of its time there was no room for its message in `limits.bytes_in_flight`"},
	{"slow", "a check was refused as `overloaded`: its message did not come within its time or a minute, or came slowly while others needed its place"},
	{"late", "a check was refused as `overloaded`: for a quarter of a second all on its connection had waited for a tenth of their time, or 100 ms, and it for more than 5 ms; for less where more connections wait than there are processors"},
	{"webhook_calls", "a delivery was refused as `overloaded`: its webhook had more than eight times as many calls of Redis under way as were free, or the last one"},
	{"streams", "a stream of the access log, or a question about the health, was refused: there were 1,024, or as many as `limits.in_flight` if that is more, or its connection had more than four, more than an even share and more than a quarter of what was free"},
	{"log_streams", "a stream of the access log was refused: there were 512, or its connection had more than four, more than an even share and more than a quarter of what was free"},
	{"stream_message", "a message of the access log was thrown away: more than 1 MiB, or no room in a quarter of `limits.bytes_in_flight`"},
	{"calls", "a call was reset: its connection had more than the `limits.in_flight` and four that it was told. Envoy does not do that"},
	{"unread", "a connection was ended: its peer left 4 MiB of answers unread, or read nothing for 20 s"},
	{"protocol", "a connection was ended: its peer broke HTTP/2, or had not begun with it after 20 s"},
	{"silent", "a connection was ended: its peer was silent for a minute and did not answer within 20 s whether it is there"},
	{"headers", "headers of a call were not kept: those of its connection were 2 MiB. Its span has no parent, and an empty body that nobody announced counts as hidden"},
	{"method", "a call was refused: nobody serves its method"},
	{"accept", "a connection had to wait, and may have been lost: the system had no descriptor (`ulimit -n`) or memory for it"},
	{"handshakes", "a client of the service, or of the admin listener, was refused: its certificate, its handshake of more than 5 s, or 128 others that had not finished theirs"},
	{"waiting_copies", "a copy of what is on its way was answered at once, with 503: 64 others waited for its outcome"},
	{"later", "an outcome, or what was to be given back, was not remembered for the time after an outage of Redis: there were 4,096. It ends with its lease"},
	{"key_ids", "a key id that a request named had no place among the 64 of its webhook that wait to be fetched"},
	{"webhook_labels", "a decision was counted under `other`: 500 webhooks have a label of their own"},
}

// observeLimits registers the bounds that were met.
func (m *metrics) observeLimits(config Config) error {
	met, err := counter(config.Meter, metricLimitsMet)
	if err != nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for name, n := range m.limits(config) {
			o.ObserveInt64(met, n, metric.WithAttributes(limitKey.String(name)))
		}
		return nil
	}, met)
	return err
}

// limits is how often each was met. What has no name there is not counted.
func (m *metrics) limits(config Config) map[string]int64 {
	known := map[string]int64{}
	if config.Limits != nil {
		known = config.Limits()
	}
	all := make(map[string]int64, len(Limits))
	for _, l := range Limits {
		all[l.Name] = known[l.Name]
	}
	all["webhook_labels"] += m.unlabelled.Load()
	return all
}

// Limits returns how often each of [Limits] was met.
func (r *Recorder) Limits() map[string]int64 {
	if r == nil {
		return nil
	}
	return r.metrics.limits(r.config)
}
