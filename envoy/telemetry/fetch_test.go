package telemetry_test

import (
	"fmt"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// The age of what is in use is seen for each document, and how fetches ended. The
// members of a family are one series, and of many documents the rest is one.
func TestFetchesAreMeasured(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	_, err := telemetry.New(telemetry.Config{
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		Fetched: func(now time.Time) fetch.Stats {
			s := fetch.Stats{
				Sources: []fetch.Status{
					{Name: "https://a/{id}", URL: "https://a/1", Confirmed: now.Add(-time.Minute), Counts: true},
					{Name: "https://a/{id}", URL: "https://a/2", Confirmed: now.Add(-time.Hour), Counts: false},
					{Name: "https://b/", URL: "https://b/"},
				},
				Results: map[string]map[string]int64{"https://a/{id}": {"": 3, "timeout": 2}},
			}
			for i := range 600 {
				name := fmt.Sprint("https://c/", i)
				s.Sources = append(s.Sources, fetch.Status{Name: name, URL: name, Confirmed: now, Counts: true})
			}
			return s
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := collect(t, reader)
	got := map[string]int64{}
	age, _ := all["hookbastion.fetched.age"].Data.(metricdata.Gauge[int64])
	missing, _ := all["hookbastion.fetched.missing"].Data.(metricdata.Gauge[int64])
	fetches, _ := all["hookbastion.fetches"].Data.(metricdata.Sum[int64])
	for kind, points := range map[string][]metricdata.DataPoint[int64]{"age": age.DataPoints, "missing": missing.DataPoints, "fetches": fetches.DataPoints} {
		for _, p := range points {
			source, _ := p.Attributes.Value("source")
			result, _ := p.Attributes.Value("result")
			got[kind+" "+source.AsString()+" "+result.AsString()] = p.Value
		}
	}
	for what, want := range map[string]int64{
		"age https://a/{id} ": 3600, "missing https://a/{id} ": 1, "missing https://b/ ": 1, "missing other ": 0, "age https://c/0 ": 0,
		"fetches https://a/{id} ok": 3, "fetches https://a/{id} timeout": 2,
	} {
		if value, there := got[what]; !there || value != want {
			t.Errorf("%s is %d, %v, want %d", what, value, there, want)
		}
	}
	if _, there := got["age https://b/ "]; there || len(age.DataPoints) > 501 {
		t.Errorf("%d ages, one of what never came: %v", len(age.DataPoints), there)
	}
}
