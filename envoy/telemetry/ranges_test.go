package telemetry_test

import (
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

func TestRangesAreMeasured(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	_, err := telemetry.New(telemetry.Config{
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		Ranges: func(now time.Time) []ranges.Status {
			return []ranges.Status{
				{Name: "github", URL: "https://a/", At: now.Add(-time.Hour), State: ranges.Current},
				{Name: "stripe", URL: "https://b/", At: now.Add(-time.Minute), State: ranges.ChangeHeld},
				{Name: "telegram", At: now.Add(-24 * time.Hour), State: ranges.Snapshot},
				{Name: "aws:EC2", URL: "https://c/", State: ranges.Missing},
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, name := range []string{"age", "held"} {
		data, _ := collect(t, reader)["hookbastion.ranges."+name].Data.(metricdata.Gauge[int64])
		for _, p := range data.DataPoints {
			list, _ := p.Attributes.Value("ranges")
			got[name+" "+list.AsString()] = p.Value
		}
	}
	want := map[string]int64{
		"age github": 3600, "age stripe": 60, "age telegram": 24 * 3600, "held github": 0, "held stripe": 1, "held aws:EC2": 0,
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for what, n := range want {
		if value, there := got[what]; !there || value != n {
			t.Errorf("%s is %d, %v, want %d", what, value, there, n)
		}
	}
}
