package config_test

import (
	"bytes"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/config"
)

// TestCheckTakesTheOtherLog: the OpenTelemetry access log with the line that the service reads is
// as good as the one that is written, and its settings count as well.
func TestCheckTakesTheOtherLog(t *testing.T) {
	text := string(generate(t, webhooks, options(config.Envoy)))
	from := strings.Index(text, "                  - name: envoy.access_loggers.http_grpc\n")
	to := from + strings.Index(text[from:], "grpc_service: {envoy_grpc: {cluster_name: \"hookbastion\"}}\n")
	to += strings.Index(text[to:], "\n") + 1
	line, err := os.ReadFile("templates/linelog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	log := strings.ReplaceAll(strings.TrimSpace(string(line)), "{{quote .Cluster}}", "hookbastion")
	log = "                  - " + strings.ReplaceAll(log, "\n", "\n                    ") + "\n"
	for edit, want := range map[[2]string]int{{"", ""}: 0, {"interval: 0.05s", "interval: 5s"}: 1, {" %RESPONSE_CODE% ", " %PROTOCOL% "}: 1} {
		other := text[:from] + strings.Replace(log, edit[0], edit[1], 1) + text[to:]
		got, err := config.Check(webhooks, options(config.Envoy), []config.File{{Name: "f", Data: []byte(other)}})
		if err != nil || len(got) != want {
			t.Errorf("%q: %v, error %v", edit, got, err)
		}
	}
}

// shown is a snippet of docs/replay.md.
func shown(t *testing.T, name string) (value map[string]any) {
	t.Helper()
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- envoy: "+name+" -->\n```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	if err := yaml.Unmarshal([]byte(text), &value); err != nil || len(value) == 0 {
		t.Fatalf("docs/replay.md shows no %s: %v", name, err)
	}
	return value
}

// takeLog takes the first access_log out of a document.
func takeLog(value any) (log any) {
	var below []any
	switch value := value.(type) {
	case map[string]any:
		if log, ok := value["access_log"]; ok {
			delete(value, "access_log")
			return log
		}
		below = slices.Collect(maps.Values(value))
	case []any:
		below = value
	}
	for _, v := range below {
		if log := takeLog(v); log != nil {
			return log
		}
	}
	return nil
}

// written is the access log that is written, and all else.
func written(t *testing.T, o config.Options) (log map[string]any, rest string) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(generate(t, webhooks, o))); ; {
		var document any
		if d.Decode(&document) != nil {
			return log, rest
		}
		if all, ok := takeLog(document).([]any); ok && len(all) == 1 {
			log, _ = all[0].(map[string]any)
		}
		out, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		rest += string(out)
	}
}

// TestLogsAreThoseOfThePage: one line for each entry, and failures alone, are written as
// docs/replay.md shows them, and beside the usual log nothing else changes.
func TestLogsAreThoseOfThePage(t *testing.T) {
	line, filter := shown(t, "line")["access_log"].([]any)[0], shown(t, "failures")["filter"]
	for _, target := range []config.Target{config.Envoy, config.Istio} {
		usual, rest := written(t, options(target))
		for _, row := range []struct {
			line, failures bool
			log            any
		}{{false, true, usual}, {true, false, line}, {true, true, line}} {
			o := options(target)
			o.OneLine, o.Failures = row.line, row.failures
			got, beside := written(t, o)
			if has := got["filter"]; row.failures != reflect.DeepEqual(has, filter) || !row.failures && has != nil {
				t.Errorf("%s, %+v: filter %v", target, row, has)
			}
			delete(got, "filter")
			if row.line && target == config.Istio { // its cluster has a long name
				common := got["typed_config"].(map[string]any)["common_config"].(map[string]any)["grpc_service"].(map[string]any)
				common["envoy_grpc"] = map[string]any{"cluster_name": "hookbastion"}
			}
			if !reflect.DeepEqual(got, row.log) {
				t.Errorf("%s, %+v: %v", target, row, got)
			}
			if beside != rest {
				t.Errorf("%s, %+v: more has changed than the access log", target, row)
			}
		}
	}
}
