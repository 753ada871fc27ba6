package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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
