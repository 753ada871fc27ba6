package main

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// query is one in a dashboard or a rule.
type query struct{ where, expr, legend string }

// queries are all of the rules and of the dashboard.
func queries(t *testing.T) (all []query) {
	t.Helper()
	for _, r := range alerts(t) {
		all = append(all, query{r.Alert, r.Expr, r.Annotations["summary"] + r.Annotations["description"]})
	}
	text, err := os.ReadFile(filepath.Join(observabilityDir, "grafana/dashboards/hookbastion.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Annotations struct{ List []struct{ Name, Expr string } }
		Panels      []struct {
			Title      string
			Datasource struct{ Type string }
			Targets    []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			if p.Datasource.Type == "prometheus" {
				all = append(all, query{p.Title, target.Expr, target.LegendFormat})
			}
		}
	}
	for _, a := range board.Annotations.List {
		all = append(all, query{a.Name, a.Expr, ""})
	}
	for _, v := range board.Templating.List {
		if m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			all = append(all, query{v.Name, "sum by (" + m[2] + ") (" + m[1] + ")", ""})
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d queries", len(all))
	}
	return all
}

// Prometheus understands each query of the dashboard.
func TestDashboardQueries(t *testing.T) {
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	replace := strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h")
	for _, q := range queries(t) {
		rules = append(rules, rule{"a:query", replace.Replace(q.expr)})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), string(text))
	promtool(t, dir, "check", "rules", "--lint=none", "rules.yaml")
}

// series are the labels of a metric, and the values that each had somewhere.
type series map[string]map[string]bool

// scraped adds what a service has at /metrics. Of a histogram, each of the three names
// counts.
func scraped(t *testing.T, site string, all map[string]series) {
	t.Helper()
	_, page := get(t, site+"/metrics")
	label := regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	for _, m := range regexp.MustCompile(`(?m)^(hookbastion_\w+)(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(page, -1) {
		if all[m[1]] == nil {
			all[m[1]] = series{"instance": {}}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if all[m[1]][l[1]] == nil {
				all[m[1]][l[1]] = map[string]bool{}
			}
			all[m[1]][l[1]][l[2]] = true
		}
	}
}

// check looks whether a query names metrics, labels and values that there are.
func (q query) check(t *testing.T, all map[string]series) {
	t.Helper()
	labels := map[string]bool{}
	names := regexp.MustCompile(`(hookbastion_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(q.expr, -1)
	if len(names) == 0 {
		t.Errorf("%s: no metric in %s", q.where, q.expr)
	}
	for _, m := range names {
		metric := all[m[1]]
		if metric == nil {
			t.Errorf("%s: there is no %s", q.where, m[1])
			continue
		}
		for name := range metric {
			labels[name] = true
		}
		for _, l := range regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			if metric[l[1]] == nil {
				t.Errorf("%s: %s has no label %s", q.where, m[1], l[1])
				continue
			}
			for value := range strings.SplitSeq(l[2], "|") {
				if value == "" || strings.HasPrefix(value, "$") || metric[l[1]][value] || l[1] == "reason" && isReason(value) {
					continue
				}
				t.Errorf("%s: %s of %s is never %q, but %v", q.where, l[1], m[1], value, slices.Sorted(maps.Keys(metric[l[1]])))
			}
		}
	}
	for _, m := range regexp.MustCompile(`"(\w+)", "(\w+)", ""`).FindAllStringSubmatch(q.expr, -1) { // label_replace
		labels[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:by|on|ignoring) \(([^)]*)\)|\{\{(?: ?\$labels\.)?(\w+) ?\}\}`).FindAllStringSubmatch(q.expr+q.legend, -1) {
		for name := range strings.SplitSeq(cmp.Or(m[1], m[2]), ",") {
			if name = strings.TrimSpace(name); name != "" && name != "value" && !labels[name] {
				t.Errorf("%s: nothing has a label %s: %s", q.where, name, q.expr)
			}
		}
	}
}

// isReason reports whether that is a reason.
func isReason(text string) bool {
	var r authz.Reason
	return r.UnmarshalText([]byte(text)) == nil
}

// Every query of the rules and of the dashboard names metrics and labels that running
// services have, down to the values: one with the file store behind an Envoy, one with
// Redis, and one that fetches keys.
func TestQueriesNameWhatThereIs(t *testing.T) {
	all := map[string]series{}
	dir, table := quickstart(t)
	write(t, filepath.Join(dir, "policies", "watched.yaml"),
		"webhooks: [{name: watched, match: {path: /webhooks/watched}, provider: github, secrets: [{id: k, file: ../secrets/github}], source_ip: {ranges: [github]}, mode: SHADOW}]\n")
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--replay-store", "FILE", "--replay-file-path", filepath.Join(t.TempDir(), "nonces"),
		"--ranges-refresh", "--ranges-urls", "github=https://127.0.0.1:1/meta")...)
	p.stderr.await(t, "msg=serving")
	site := siteOf(t, p)
	e := startEdge(t, unix, func(c envoytest.Config) { delete(c.WithRequestBody(), "pack_as_bytes") })
	deliveries := signed(t, table, "github", e.client.Address, []byte("hello"))
	for _, want := range []int{200, 409} {
		if status := sendStatus(t, e, deliveries); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	if status := sendStatus(t, e, signed(t, table, "stripe", e.client.Address, []byte("{}"))); status != 200 { // with a signed time
		t.Errorf("status %d", status)
	}
	unsigned := signed(t, table, "github", e.client.Address, []byte("unsigned"))
	unsigned.Path = authz.View("/webhooks/watched")
	unsigned.Set("x-hub-signature-256", "sha256="+strings.Repeat("0", 64))
	if status := sendStatus(t, e, unsigned); status != 200 {
		t.Errorf("in SHADOW: status %d", status)
	}
	awaitMetric(t, site, `hookbastion_access_log_up{node="unix"}`)
	scraped(t, site, all)
	terminate(t, p)

	r := start(t, append(serveArgs(filepath.Join(dir, "policies"), socket(t)), "--replay-store", "REDIS",
		"--replay-redis-url", "unix://"+redistest.Start(t, redistest.Options{}).Address)...)
	r.stderr.await(t, "msg=serving")
	scraped(t, siteOf(t, r), all)
	terminate(t, r)

	f := startFetching(t)
	f.stderr.await(t, "msg=fetched")
	scraped(t, siteOf(t, f), all)
	terminate(t, f)

	for _, q := range queries(t) {
		q.check(t, all)
	}
}

// awaitMetric waits until a service has a series.
func awaitMetric(t *testing.T, site, series string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); metric(t, site, series) < 0; <-tick.C {
		if time.Since(began) > generous {
			t.Fatalf("no %s", series)
		}
	}
}

// startFetching starts a service whose policy has keys at a URL.
func startFetching(t *testing.T) *process {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	write(t, filepath.Join(dir, "policy.yaml"), strings.ReplaceAll(strings.ReplaceAll(keyPolicy, "SERVER", server.URL), " &scheme", ""))
	return start(t, append(serveArgs(filepath.Join(dir, "policy.yaml"), socket(t)), "--fetch-allow-private", "127.0.0.1", "--fetch-ca", filepath.Join(dir, "ca.pem"))...)
}
