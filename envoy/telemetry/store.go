package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

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

var outcomeNames = [...]string{
	replay.Failed: "failed", replay.Reserved: "reserved", replay.Copy: "copy",
	replay.Uncertain: "uncertain", replay.Full: "full",
}

// Reserve measures a call of the store.
func (m *measured) Reserve(ctx context.Context, nonce replay.Nonce, now time.Time) (replay.Outcome, error) {
	begin := time.Now()
	outcome, err := m.Store.Reserve(ctx, nonce, now)
	label := outcome
	if err != nil || int(label) >= len(outcomes) {
		label = replay.Failed
	}
	m.metrics.store.Record(context.Background(), time.Since(begin).Seconds(), outcomes[label]...)
	return outcome, err
}
