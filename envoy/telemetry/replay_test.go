package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// fake is a store with one answer.
type fake struct {
	replay.Store
	outcome replay.Outcome
	err     error
}

// Reserve gives the answer.
func (f fake) Reserve(context.Context, replay.Nonce, replay.Claim, time.Time) (replay.Answer, error) {
	return replay.Answer{Outcome: f.outcome}, f.err
}

// Settle gives the answer.
func (f fake) Settle(context.Context, authz.Reservation, replay.Fate, time.Time) (bool, error) {
	return true, f.err
}

func TestStoreCallsAreMeasured(t *testing.T) {
	r, reader := measured(t, nil, 10)
	down := errors.New("down")
	for _, f := range []fake{{nil, replay.Reserved, nil}, {nil, replay.Reserved, nil}, {nil, replay.Copy, nil}, {nil, replay.Uncertain, nil}, {nil, replay.Full, nil}, {nil, replay.Reserved, down}, {nil, 99, nil}} {
		answer, err := r.Store(f).Reserve(t.Context(), replay.Nonce{}, replay.Claim{}, now)
		if answer.Outcome != f.outcome || !errors.Is(err, f.err) {
			t.Errorf("%v became %v, %v", f, answer, err)
		}
	}
	if changed, err := r.Store(fake{}).Settle(t.Context(), authz.Reservation{}, replay.Delivered, now); !changed || err != nil {
		t.Errorf("settled %t, %v", changed, err)
	}
	histogram, _ := collect(t, reader)["hookbastion.store.duration"].Data.(metricdata.Histogram[float64])
	got := map[string]uint64{}
	for _, p := range histogram.DataPoints {
		got[p.Attributes.Encoded(attributes{})] = p.Count
	}
	want := map[string]uint64{"outcome=reserved": 2, "outcome=copy": 1, "outcome=uncertain": 1, "outcome=full": 1, "outcome=failed": 2, "outcome=settle": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v", got)
	}
	var none *telemetry.Recorder
	if store := none.Store(fake{nil, replay.Full, nil}); store != (fake{nil, replay.Full, nil}) {
		t.Error("a nil recorder changes the store")
	}
}

// What the nonce store and the access log have done is seen.
func TestReplayIsMeasured(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r, err := telemetry.New(telemetry.Config{
		Meter:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		Nonces: func() int64 { return 6 },
		Replay: func() replay.Stats {
			return replay.Stats{Reserved: 10, Possible: 2, Redelivered: 1, Copies: 3, LeaseTaken: 4, Evicted: 5, Pending: 6, Watermark: now, LogBytes: 7, LogFailures: 8}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Settled(replay.Settled, replay.ResultDelivered, time.Millisecond)
	r.Settled(replay.Settled, replay.ResultFailed, -time.Millisecond)
	r.Settled(replay.Forged, replay.ResultDelivered, 0)
	var none *telemetry.Recorder
	none.Settled(replay.Forged, replay.ResultDelivered, 0)
	all := collect(t, reader)
	got := map[string]int64{}
	for name, m := range all {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				got[name+" "+p.Attributes.Encoded(attributes{})] = p.Value
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				got[name] = p.Value
			}
		}
	}
	for name, want := range map[string]int64{
		"hookbastion.settlements result=delivered": 1, "hookbastion.settlements result=failed": 1, "hookbastion.settlements result=forged": 1,
		"hookbastion.reservations outcome=first": 7, "hookbastion.reservations outcome=possible": 2, "hookbastion.reservations outcome=copy": 3,
		"hookbastion.reservations.ended outcome=lease_taken": 4, "hookbastion.nonces.evicted ": 5, "hookbastion.nonces.pending": 6,
		"hookbastion.watermark": now.Unix(), "hookbastion.nonces.log.size": 7, "hookbastion.nonces.log.failures ": 8,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d", name, got[name], want)
		}
	}
	if lag, _ := all["hookbastion.settle.lag"].Data.(metricdata.Histogram[float64]); len(lag.DataPoints) != 1 || lag.DataPoints[0].Count != 2 {
		t.Errorf("lag %v", lag.DataPoints)
	}
}
