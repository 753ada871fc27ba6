package telemetry

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// settlements counts entries of the access log.
type settlements struct {
	count [len(settlementNames)]atomic.Int64
	lag   metric.Float64Histogram
}

// The results of those that settled come after the settlements themselves.
const firstResult = int(replay.Unsettled) + 1

var settlementNames = [...]string{
	replay.Ignored: "ignored", replay.Settled: "settled", replay.Forged: "forged",
	replay.Late: "late", replay.Repeated: "repeated", replay.Unsettled: "store_failed",
	firstResult + int(replay.ResultNone): "none", firstResult + int(replay.ResultDelivered): "delivered",
	firstResult + int(replay.ResultFailed): "failed", firstResult + int(replay.ResultClientError): "client_error",
	firstResult + int(replay.ResultUnknown): "unknown", firstResult + int(replay.ResultInterrupted): "interrupted",
	firstResult + int(replay.ResultClientErrorLate): "client_error_late",
}

// Settled counts an entry of the access log, and how long after the request's
// end it came; 0 if that is not known.
func (r *Recorder) Settled(what replay.Settlement, result replay.Result, lag time.Duration) {
	if r == nil {
		return
	}
	s := &r.metrics.settlements
	i := int(what)
	if what == replay.Settled {
		i = firstResult + int(result)
	}
	if i < len(s.count) {
		s.count[i].Add(1)
	}
	if lag != 0 {
		s.lag.Record(context.Background(), max(lag, 0).Seconds())
	}
}

// observeReplay registers what is read of settlements and of the store.
func (m *metrics) observeReplay(config Config) error {
	var errs [8]error
	var settled, reservations, ended, evictions, logFailures metric.Int64ObservableCounter
	var pending, watermark, logSize metric.Int64ObservableGauge
	settled, errs[0] = counter(config.Meter, metricSettlements)
	reservations, errs[1] = counter(config.Meter, metricReservations)
	ended, errs[2] = counter(config.Meter, metricReservationsEnded)
	evictions, errs[3] = counter(config.Meter, metricEvictions)
	pending, errs[4] = gauge(config.Meter, metricNoncesPending)
	watermark, errs[5] = gauge(config.Meter, metricWatermark)
	logSize, errs[6] = gauge(config.Meter, metricLogSize)
	logFailures, errs[7] = counter(config.Meter, metricLogFailures)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i := range m.settlements.count {
			if n := m.settlements.count[i].Load(); n > 0 {
				o.ObserveInt64(settled, n, metric.WithAttributes(resultKey.String(settlementNames[i])))
			}
		}
		if config.Replay == nil {
			return nil
		}
		s := config.Replay()
		for name, n := range map[string]int64{
			"first": s.Reserved - s.Possible - s.Redelivered, "possible": s.Possible, "redelivered": s.Redelivered, "adopted": s.Adopted,
			"copy": s.Copies, "in_flight": s.InFlight, "full": s.Full, "uncertain": s.Uncertain,
		} {
			o.ObserveInt64(reservations, n, outcomeOf(name))
		}
		for name, n := range map[string]int64{
			"delivered": s.Delivered, "released": s.Released, "unknown": s.Unknown,
			"lease_taken": s.LeaseTaken, "lease_released": s.LeaseReleased, "given_back": s.GivenBack,
		} {
			o.ObserveInt64(ended, n, outcomeOf(name))
		}
		o.ObserveInt64(evictions, s.Evicted)
		if config.Nonces != nil { // or the store does not know
			o.ObserveInt64(pending, s.Pending)
		}
		if !s.Watermark.IsZero() {
			o.ObserveInt64(watermark, s.Watermark.Unix())
		}
		if s.LogBytes > 0 {
			o.ObserveInt64(logSize, s.LogBytes)
			o.ObserveInt64(logFailures, s.LogFailures)
		}
		return nil
	}, settled, reservations, ended, evictions, pending, watermark, logSize, logFailures)
	return err
}

func outcomeOf(name string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(outcomeKey.String(name)))
}
