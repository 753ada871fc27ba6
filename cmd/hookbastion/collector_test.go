package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// otelcol is OpenTelemetry's own Collector.
func otelcol(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(repository, ".cache/otelcol/otelcol"))
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		t.Fatalf("no Collector: run make collector: %v", err)
	}
	return bin
}

// The Collector takes the examples as they are.
func TestCollectorTakesTheExamples(t *testing.T) {
	for _, name := range []string{"grafana.yaml", "jaeger.yaml"} {
		if out, err := exec.Command(otelcol(t), "validate", "--config", filepath.Join(observabilityDir, "collector", name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// startCollector runs the Collector by the example, with a receiver of the test behind it
// and less patience. It returns where it takes spans and records.
func startCollector(t *testing.T, behind net.Addr) net.Addr {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(observabilityDir, "collector", "grafana.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	config["receivers"] = map[string]any{"otlp": map[string]any{"protocols": map[string]any{"grpc": map[string]any{"endpoint": address.String()}}}}
	config["processors"].(map[string]any)["tail_sampling"].(map[string]any)["decision_wait"] = "1s"
	config["exporters"] = map[string]any{"otlp/test": map[string]any{"endpoint": behind.String(), "tls": map[string]any{"insecure": true}}}
	for _, p := range config["service"].(map[string]any)["pipelines"].(map[string]any) {
		p.(map[string]any)["exporters"] = []any{"otlp/test"}
	}
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, string(text))
	cmd, out := exec.Command(otelcol(t), "--config", file), newLines()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		envoytest.Watched.Saw("the Collector's log", []byte(out.String()))
	})
	out.await(t, "Everything is ready")
	return address
}

// freeAddress is where nobody listens now.
func freeAddress(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr()
}

// Through a real Envoy and OpenTelemetry's Collector, which samples by the example: each
// denial's trace arrives whole, most of the others do not, and all records do.
func TestTailSampling(t *testing.T) {
	receiver, err := envoytest.StartCollector(envoytest.Watched)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(receiver.Stop)
	collector := startCollector(t, receiver.Addr())
	soon(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collector.String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--records-otlp")...)
	p.stderr.await(t, "msg=serving")
	e := startEdge(t, unix, func(c envoytest.Config) { c.SetTracing(collector) })
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()

	// deny sends a delivery with another signature, and awaits its whole trace.
	deny := func(body string) {
		t.Helper()
		delivery := signed(t, table, "github", e.client.Address, []byte(body))
		delivery.Set("x-hub-signature-256", "sha256="+strings.Repeat("0", 64))
		if status := sendStatus(t, e, delivery); status != 401 {
			t.Fatalf("status %d", status)
		}
		var id []byte
		if _, ok := receiver.AwaitLog(ctx, func(r envoytest.LogRecord) bool {
			id = r.GetTraceId()
			return envoytest.Text(r.GetAttributes(), "hookbastion.reason") == "signature_invalid" && envoytest.Value(r.GetAttributes(), "hookbastion.body.size").GetIntValue() == int64(len(body))
		}); !ok {
			t.Fatal("the record of the denial does not arrive")
		}
		spans, ok := receiver.AwaitSpans(ctx, hex.EncodeToString(id), func(spans []envoytest.Span) bool { return len(spans) >= 3 })
		if !ok {
			t.Fatalf("its trace has %v", spans)
		}
		i := slices.IndexFunc(spans, func(s envoytest.Span) bool { return s.GetName() == telemetry.SpanName })
		if i < 0 {
			t.Fatalf("none of ours among %v", spans)
		}
		parent := slices.IndexFunc(spans, func(s envoytest.Span) bool { return bytes.Equal(s.GetSpanId(), spans[i].GetParentSpanId()) })
		if parent < 0 || spans[parent].Service != "envoy" || spans[i].Service != "hookbastion" ||
			envoytest.Text(spans[i].GetAttributes(), "hookbastion.verdict") != "deny" || envoytest.Text(spans[i].GetAttributes(), "url.path") != "/webhooks/github" {
			t.Errorf("%v, parent %d", spans[i], parent)
		}
	}

	deny("first")
	const allowed = 40
	for i := range allowed {
		if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, fmt.Appendf(nil, "delivery %d", i))); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	deny("the last one of all") // what came before it has been decided by then
	all, _ := receiver.AwaitSpans(ctx, "", func([]envoytest.Span) bool { return true })
	kept := map[string]bool{}
	for _, s := range all {
		kept[hex.EncodeToString(s.GetTraceId())] = true
	}
	if n := len(kept) - 2; n > allowed/2 { // five of a hundred are to be
		t.Errorf("%d of %d traces without a denial are kept", n, allowed)
	}
	records := map[string]bool{}
	if _, ok := receiver.AwaitLog(ctx, func(r envoytest.LogRecord) bool {
		if envoytest.Text(r.GetAttributes(), "hookbastion.verdict") == "allow" {
			records[envoytest.Text(r.GetAttributes(), "hookbastion.decision_id")] = true
		}
		return len(records) == allowed
	}); !ok {
		t.Errorf("%d of %d records have arrived", len(records), allowed)
	}
	terminate(t, p)
}
