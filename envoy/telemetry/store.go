package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Store returns the nonce store with its calls measured. A nil recorder
// measures nothing.
func (r *Recorder) Store(store replay.Store) replay.Store {
	if r == nil {
		return store
	}
	return &measured{Store: store, metrics: r.metrics}
}

type measured struct {
	replay.Store
	metrics *metrics
}

// outcomes are the label's values; an error counts as failed.
var outcomes = func() (all [len(outcomeNames)][]metric.RecordOption) {
	for i, name := range outcomeNames {
		all[i] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(outcomeKey.String(name)))}
	}
	return all
}()

// The outcomes of other calls follow those of reservations.
const (
	callSettled = iota + int(replay.Busy) + 1
	callReleased
	callPermitted
)

var outcomeNames = [...]string{
	replay.Failed: "failed", replay.Reserved: "reserved", replay.Copy: "copy", replay.CopyUnknown: "copy_unknown",
	replay.Pending: "in_flight", replay.Uncertain: "uncertain", replay.Full: "full", replay.Busy: "busy",
	callSettled: "settle", callReleased: "release", callPermitted: "permit",
}

func (m *measured) record(begin time.Time, outcome int, err error) {
	if err != nil || outcome >= len(outcomes) {
		outcome = int(replay.Failed)
	}
	m.metrics.store.Record(context.Background(), time.Since(begin).Seconds(), outcomes[outcome]...)
}

// Reserve measures a call of the store.
func (m *measured) Reserve(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	begin := time.Now()
	answer, err := m.Store.Reserve(ctx, nonce, claim, now)
	m.record(begin, int(answer.Outcome), err)
	return answer, err
}

// Known measures a look that has found something.
func (m *measured) Known(nonce replay.Nonce, now time.Time) (replay.Answer, bool) {
	begin := time.Now()
	answer, ok := m.Store.Known(nonce, now)
	if ok {
		m.record(begin, int(answer.Outcome), nil)
	}
	return answer, ok
}

// Settle measures a call of the store.
func (m *measured) Settle(ctx context.Context, r authz.Reservation, fate replay.Fate, now time.Time) (bool, error) {
	begin := time.Now()
	changed, err := m.Store.Settle(ctx, r, fate, now)
	m.record(begin, callSettled, err)
	return changed, err
}

// Release measures a call of the store.
func (m *measured) Release(ctx context.Context, r authz.Reservation, now time.Time) (bool, error) {
	begin := time.Now()
	changed, err := m.Store.Release(ctx, r, now)
	m.record(begin, callReleased, err)
	return changed, err
}

// Permit measures a call of the store.
func (m *measured) Permit(ctx context.Context, r authz.Reservation, until, now time.Time) (bool, error) {
	begin := time.Now()
	permitted, err := m.Store.Permit(ctx, r, until, now)
	m.record(begin, callPermitted, err)
	return permitted, err
}

// observeStore registers what is read of a store that lies elsewhere.
func (m *metrics) observeStore(config Config) error {
	up, err := gauge(config.Meter, metricStoreUp)
	events, err2 := counter(config.Meter, metricStoreEvents)
	if err := errors.Join(err, err2); err != nil || config.Remote == nil {
		return err
	}
	_, err = config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := config.Remote()
		n := int64(0)
		if s.Up {
			n = 1
		}
		o.ObserveInt64(up, n)
		for name, n := range map[string]int64{
			"opened": s.Opened, "refused": s.Refused, "busy": s.Busy, "abandoned": s.Abandoned,
			"near": s.Near, "local": s.Local, "lost": s.Lost, "restarted": s.Restarted, "evicted": s.Evicted,
			"elsewhere": s.Elsewhere, "told": s.Told,
		} {
			o.ObserveInt64(events, n, outcomeOf(name))
		}
		return nil
	}, up, events)
	return err
}
