package examples_test

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "copy what has changed")

// TestChartCopies: a chart cannot read what is outside of it, so that it has copies of the alerts
// and of the dashboard.
func TestChartCopies(t *testing.T) {
	for file, of := range map[string]string{
		"kubernetes/helm/hookbastion/files/rules.yaml":     "observability/prometheus/rules.yaml",
		"kubernetes/helm/hookbastion/files/dashboard.json": "observability/grafana/dashboards/hookbastion.json",
	} {
		want, err := os.ReadFile(of)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil { //nolint:gosec // an example
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != string(want) {
			t.Errorf("%s is not %s, %v: go test ./examples -update", file, of, err)
		}
	}
}
