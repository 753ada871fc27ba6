package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
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

const observabilityDir = repository + "/examples/observability"

// parsed reads a file of YAML or JSON; keys that the type does not have are a mistake.
func parsed[T any](t *testing.T, file string) (v T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(observabilityDir, file))
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// addition is a compose file that is laid over the quickstart's.
type addition struct {
	Services map[string]addedService
}

type addedService struct {
	Image       string
	Command     []string
	User        string
	Profiles    []string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Ports       []string
	Networks    yaml.Node
	Tmpfs       []string
	Environment map[string]string
	Volumes     []struct {
		Type, Source, Target string
		ReadOnly             bool `yaml:"read_only"`
	}
	Restart string
}

// What is laid over the quickstart fits it: services, networks, files, and no more rights
// than are needed.
func TestObservabilityCompose(t *testing.T) {
	base := readCompose(t)
	for _, file := range []string{"grafana.yaml", "jaeger.yaml"} {
		for name, s := range parsed[addition](t, file).Services {
			_, known := base.Services[name]
			if s.Image == "" {
				if !known {
					t.Errorf("%s: %s has no image, and is not in the quickstart", file, name)
				}
				continue
			}
			if known || !pinned.MatchString(s.Image) {
				t.Errorf("%s: %s takes another's name, or %s has no pinned tag", file, name, s.Image)
			}
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !numeric.MatchString(s.User) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
				t.Errorf("%s: %s may more than it needs", file, name)
			}
			for _, port := range s.Ports {
				if !strings.HasPrefix(port, "127.0.0.1:") {
					t.Errorf("%s: %s: port %s is open to the network", file, name, port)
				}
			}
			for _, v := range s.Volumes {
				if _, err := os.Stat(filepath.Join(quickstartDir, v.Source)); err != nil || !v.ReadOnly || v.Type != "bind" {
					t.Errorf("%s: %s: volume %+v: %v", file, name, v, err)
				}
			}
			var networks []string
			if s.Networks.Kind == yaml.MappingNode {
				for i := 0; i < len(s.Networks.Content); i += 2 {
					networks = append(networks, s.Networks.Content[i].Value)
				}
			} else if err := s.Networks.Decode(&networks); err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
			}
			for _, network := range networks {
				if _, ok := base.Networks[network]; !ok {
					t.Errorf("%s: %s: no network %s", file, name, network)
				}
			}
		}
	}
	for name, value := range parsed[addition](t, "grafana.yaml").Services["hookbastion"].Environment {
		if strings.HasPrefix(name, "HOOKBASTION_") {
			t.Setenv(name, value)
		}
	}
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs([]string{"config", "print"})
	cmd.SetOut(&out)
	if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "0.0.0.0:9002") || !strings.Contains(out.String(), "HOOKBASTION_RECORDS_OTLP") {
		t.Errorf("its variables are no settings: %v\n%s", err, out.String())
	}
}

// collectorConfig is as much of a collector's configuration as the examples have.
type collectorConfig struct {
	Receivers, Processors, Exporters map[string]any
	Service                          struct {
		Telemetry any
		Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

// Both collectors sample alike, by the attributes that spans have, and their pipelines are
// made of what is there.
func TestCollectorConfigs(t *testing.T) {
	grafana, jaeger := parsed[collectorConfig](t, "collector/grafana.yaml"), parsed[collectorConfig](t, "collector/jaeger.yaml")
	if !reflect.DeepEqual(grafana.Processors, jaeger.Processors) || !reflect.DeepEqual(grafana.Receivers, jaeger.Receivers) {
		t.Error("they differ")
	}
	for name, c := range map[string]collectorConfig{"grafana": grafana, "jaeger": jaeger} {
		for signal, p := range c.Service.Pipelines {
			for _, part := range []struct {
				used []string
				all  map[string]any
			}{{p.Receivers, c.Receivers}, {p.Processors, c.Processors}, {p.Exporters, c.Exporters}} {
				for _, used := range part.used {
					if _, ok := part.all[used]; !ok {
						t.Errorf("%s: %s uses %s, which is not there", name, signal, used)
					}
				}
			}
		}
		if p := c.Service.Pipelines["traces"].Processors; !slices.Contains(p, "tail_sampling") {
			t.Errorf("%s: traces go through %v", name, p)
		}
	}
}

// inCache returns a check whether `make fetch` has put a file there.
func inCache(name string) func() error {
	return func() error {
		_, err := os.Stat(filepath.Join(repository, ".cache", name))
		return err
	}
}

// promtool runs Prometheus' own tool in a directory.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(repository, ".cache/prometheus/bin/promtool"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("no promtool: run make prometheus: %v", err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Prometheus takes the rules, and each alert fires when it should, and not otherwise.
func TestPrometheusRules(t *testing.T) {
	dir := filepath.Join(observabilityDir, "prometheus")
	promtool(t, dir, "check", "config", "prometheus.yaml")
	promtool(t, dir, "test", "rules", "rules_test.yaml")
	tested, err := os.ReadFile(filepath.Join(dir, "rules_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alerts(t) {
		if n := strings.Count(string(tested), "alertname: "+r.Alert+"\n"); n < 2 {
			t.Errorf("%s has %d tests", r.Alert, n)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s does not say enough", r.Alert)
		}
	}
}

type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	return parsed[struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}](t, "prometheus/rules.yaml").Groups[0].Rules
}

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
