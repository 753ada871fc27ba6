package telemetry_test

import (
	"io"
	"math"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// ordinary is a decision of ordinary size.
func ordinary(reason authz.Reason) *telemetry.Event {
	e := event(reason)
	e.DecisionID, e.Request.Path = "f1459f310b13ea59f37ca391363f6187", authz.View("/webhooks/acme/github")
	e.Request.RequestID = authz.View("4a4dd1a5-f27f-9a2c-b1b1-0d0a4ff5a9a1")
	return e
}

// BenchmarkRecord is what one decision costs: counted alone, kept in memory as well,
// written as well, and all of it; and denials far beyond what may be written. All take
// turns, a few hundred decisions each, and the shortest turn counts, so that the numbers
// can be compared on a machine that has other work.
func BenchmarkRecord(b *testing.B) {
	writer := func() *telemetry.Writer {
		w := telemetry.NewWriter(io.Discard)
		b.Cleanup(w.Close)
		return w
	}
	kinds := []struct {
		name     string
		config   telemetry.Config
		event    *telemetry.Event
		recorder *telemetry.Recorder
		best     float64 // ns
	}{
		{name: "counted", event: ordinary(authz.OK)},
		{name: "kept", config: telemetry.Config{Recent: recent.New(64<<20, "a")}, event: ordinary(authz.OK)},
		{name: "written", config: telemetry.Config{Records: writer()}, event: ordinary(authz.OK)},
		{name: "both", config: telemetry.Config{Records: writer(), Recent: recent.New(64<<20, "a")}, event: ordinary(authz.OK)},
		{name: "flood", config: telemetry.Config{Records: writer(), DenialsPerSecond: 100, Recent: recent.New(64<<20, "a")}, event: ordinary(authz.SignatureInvalid)},
	}
	for i := range kinds {
		k := &kinds[i]
		k.config.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())).Meter("bench")
		var err error
		if k.recorder, err = telemetry.New(k.config); err != nil {
			b.Fatal(err)
		}
		defer k.recorder.Close()
		k.best = math.Inf(1)
	}
	const turn = 200
	b.ResetTimer()
	for n := 0; n < b.N; n += turn {
		for i := range kinds {
			k := &kinds[i]
			begin := time.Now()
			for range turn {
				k.recorder.Record(k.event)
			}
			k.best = min(k.best, float64(time.Since(begin).Nanoseconds())/turn)
		}
	}
	for i := range kinds {
		b.ReportMetric(kinds[i].best, kinds[i].name+"-ns")
	}
	b.ReportMetric(kinds[1].best-kinds[0].best, "ring-ns")
	b.ReportMetric(kinds[3].best/kinds[2].best, "with-ring/without")
}
