package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// soon makes the batches of a child process short.
func soon(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BLRP_SCHEDULE_DELAY": "20", "OTEL_METRIC_EXPORT_INTERVAL": "50",
	} {
		t.Setenv(name, value)
	}
}

// deliverTo starts a service with these arguments, lets it allow and deny, and
// stops it. It returns what the service wrote.
func deliverTo(t *testing.T, more ...string) (stdout, stderr string) {
	t.Helper()
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), more...)...)
	site := "http://" + p.stderr.await(t, `msg=serving.* http=(\S+)`)[1]
	e := startEdge(t, unix, nil)
	delivery := signed(t, table, "github", e.client.Address, []byte("hello"))
	for _, want := range []int{200, 409} {
		if status := sendStatus(t, e, delivery); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	if _, metrics := get(t, site+"/metrics"); !strings.Contains(metrics, `hookbastion_decisions_total{mode="ENFORCE",reason="ok",verdict="allow",webhook="github"} 1`) {
		t.Error("the delivery is not in /metrics")
	}
	terminate(t, p)
	return p.stdout.String(), p.stderr.String()
}

func TestExportOverGRPC(t *testing.T) {
	collector, err := envoytest.StartCollector(envoytest.Watched)
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Stop()
	soon(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collector.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=shop,service.instance.id=replica-7")
	deliverTo(t, "--records-otlp")

	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	spans, ok := collector.AwaitSpans(ctx, "", func(spans []envoytest.Span) bool { return len(spans) >= 2 })
	if !ok || spans[0].GetName() != telemetry.SpanName || spans[0].Service != "hookbastion" {
		t.Errorf("spans: %v", spans)
	}
	for _, reason := range []string{"ok", "replayed"} {
		record, ok := collector.AwaitLog(ctx, func(r envoytest.LogRecord) bool {
			return envoytest.Text(r.GetAttributes(), "hookbastion.reason") == reason
		})
		if !ok || !bytes.Equal(record.GetTraceId(), spans[0].GetTraceId()) && !bytes.Equal(record.GetTraceId(), spans[1].GetTraceId()) {
			t.Errorf("%s: no log record, or of another trace: %v", reason, record)
		}
		want := map[string]string{"service.name": "hookbastion", "service.version": cli.Version, "service.instance.id": "replica-7", "service.namespace": "shop"}
		for key, value := range want {
			if record.Resource[key] != value {
				t.Errorf("%s is %q", key, record.Resource[key])
			}
		}
	}
	for _, name := range []string{"hookbastion.decisions", "hookbastion.decision.duration", "hookbastion.store.duration", "hookbastion.key.last_match", "hookbastion.nonces", "hookbastion.policy.reloads"} {
		if collector.AwaitMetric(ctx, name) == nil {
			t.Errorf("no metric %s", name)
		}
	}
	gauge, ok := collector.AwaitMetric(ctx, "hookbastion.key.last_match").GetData().(*metricspb.Metric_Gauge)
	if !ok || len(gauge.Gauge.GetDataPoints()) != 1 {
		t.Fatalf("the last matches: %v", gauge)
	}
	if age := time.Now().Unix() - gauge.Gauge.GetDataPoints()[0].GetAsInt(); age < 0 || age > 60 {
		t.Errorf("the key matched %d s ago", age)
	}
}

func TestExportOverHTTP(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		envoytest.Watched.Saw("OTLP over HTTP", body)
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Content-Type") == "application/x-protobuf" && len(body) > 0 {
			got[r.URL.Path]++
		}
	}))
	defer collector.Close()
	soon(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	deliverTo(t, "--records-otlp")
	mu.Lock()
	defer mu.Unlock()
	for _, path := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
		if got[path] == 0 {
			t.Errorf("nothing at %s: %v", path, got)
		}
	}
}

// A collector that is not there costs a line in the log and a bounded stop, and
// no decision.
func TestADeadCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	soon(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+address)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "100")
	t.Setenv("OTEL_BLRP_EXPORT_TIMEOUT", "100")
	t.Setenv("OTEL_METRIC_EXPORT_TIMEOUT", "100")
	const key = "a-key-that-nobody-shows"
	envoytest.Watched.Secret("the collector's key", key)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key="+key)
	stdout, stderr := deliverTo(t, "--records-otlp")
	if n := strings.Count(stdout, "\n"); n != 2 {
		t.Errorf("%d records", n)
	}
	if n := strings.Count(stderr, "telemetry is not exported"); n != 1 {
		t.Errorf("%d complaints:\n%s", n, stderr)
	}
}
