package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

const operations = "docs/operations.md"

// TestLeakDrill does what the page says of a secret that has leaked, in a network of its own if the
// system gives it one.
func TestLeakDrill(t *testing.T) {
	if os.Getenv(alone) == "" && inOwnNetwork(t) {
		return
	}
	for _, port := range []string{"9001", "9002", "9003", "10000", "9901", "8080"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("%v; the drill needs the port, and this system gives a test no network of its own", err)
		}
		_ = l.Close()
	}
	r := newReader(t)
	done := map[string]int{}
	for _, s := range stepSnippets(t, operations) {
		name, argument, _ := strings.Cut(s.how, ": ")
		done[name]++
		switch name {
		case "run":
			r.run(t, argument, s.text)
		case "file":
			if err := sample.WriteFile(filepath.Join(r.dir, argument), []byte(s.text)); err != nil {
				t.Fatal(err)
			}
		case "start":
			r.start(t, s.text)
		case "", "rules":
		default:
			t.Errorf("no test knows what to do with a block marked %q", s.how)
		}
	}
	if done["run"] != 8 || done["start"] != 2 || done["file"] != 1 {
		t.Errorf("%v blocks were done", done)
	}
}

// TestObjectives: Prometheus takes the page's rules, and they tell 503s of ours from what
// senders did.
func TestObjectives(t *testing.T) {
	dir := t.TempDir()
	page, err := os.ReadFile(filepath.Join(repository, operations))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range block.FindAllSubmatch(page, -1) {
		if string(m[1]) == "rules" {
			if err := sample.WriteFile(filepath.Join(dir, "rules.yaml"), m[3]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := sample.WriteFile(filepath.Join(dir, "test.yaml"), []byte(objectivesTest)); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "rules.yaml")
	promtool(t, dir, "test", "rules", "test.yaml")
}

const objectivesTest = `rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'hookbastion_decisions_total{mode="ENFORCE", verdict="allow", reason="ok"}', values: '0+90x90'}
      - {series: 'hookbastion_decisions_total{mode="ENFORCE", verdict="deny", reason="signature_invalid"}', values: '0+9x90'}
      - {series: 'hookbastion_decisions_total{mode="ENFORCE", verdict="deny", reason="store_unavailable"}', values: '0+1x90'}
      - {series: 'hookbastion_decision_duration_seconds_bucket{le="0.05"}', values: '0+95x90'}
      - {series: 'hookbastion_decision_duration_seconds_count', values: '0+100x90'}
    promql_expr_test:
      - {expr: 'round(hookbastion:faults:ratio_rate5m, 0.001)', eval_time: 80m, exp_samples: [{labels: '{}', value: 0.01}]}
      - {expr: 'round(hookbastion:slow:ratio_rate5m, 0.001)', eval_time: 80m, exp_samples: [{labels: '{}', value: 0.05}]}
    alert_rule_test:
      - alertname: HookbastionBudget
        eval_time: 80m
        exp_alerts:
          - exp_labels: {severity: critical}
            exp_annotations: {summary: 'Deliveries get 503 fast enough to use up the month in two days'}
  - interval: 1m
    input_series:
      - {series: 'hookbastion_decisions_total{mode="ENFORCE", verdict="allow", reason="ok"}', values: '0+90x90'}
      - {series: 'hookbastion_decisions_total{mode="ENFORCE", verdict="deny", reason="signature_invalid"}', values: '0+90x90'}
      - {series: 'hookbastion_decisions_total{mode="ENFORCE", verdict="deny", reason="store_unavailable"}', values: '0+0x90'}
    alert_rule_test:
      - {alertname: HookbastionBudget, eval_time: 80m, exp_alerts: []}
`
