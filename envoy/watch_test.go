package envoy_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// TestMain looks for every secret, token and MAC of the whole run in everything
// that came out of the service: records, spans, metrics, log records, answers
// and Envoy's log.
func TestMain(m *testing.M) {
	if address := os.Getenv(clientVariable); address != "" {
		os.Exit(runClient(address)) // of another test
	}
	fetched.Need(envoytest.Available)
	for name, secret := range secrets {
		envoytest.Watched.Secret("the secret of "+name, secret)
	}
	leak.Main(m, func(code int) int {
		for _, leak := range envoytest.Watched.Leaks() {
			fmt.Fprintln(os.Stderr, "leaked:", leak)
			code = 1
		}
		return code
	})
}

// watchMACs registers what a signed request proves itself with. Benchmarks make
// too many.
func watchMACs(t testing.TB, header http.Header) {
	if _, ok := t.(*testing.B); ok {
		return
	}
	for name, values := range header {
		for _, mac := range mac.FindAllString(strings.Join(values, " "), -1) {
			envoytest.Watched.Literal("a "+name, mac)
		}
	}
}

// watchAnswer shows an answer to the watch. Fuzzing makes too many.
func watchAnswer(encoded []byte) {
	if f := flag.Lookup("test.fuzz"); f == nil || f.Value.String() == "" {
		envoytest.Watched.Saw("answer", encoded)
	}
}

var mac = regexp.MustCompile(`[0-9A-Za-z+/_-]{32,}`)

// exporters sends everything that telemetry makes to a watch, at once.
type exporters struct{ watch *envoytest.Watch }

// config is telemetry with all of it.
func (e exporters) config() (config telemetry.Config, stop func()) {
	reader := sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSyncer(e))
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(logSink(e))))
	sampler, err := telemetry.ParseSampler("always_on", "")
	if err != nil {
		panic(err)
	}
	config = telemetry.Config{
		Meter: meters.Meter("test"), Tracer: tracers.Tracer("test"), Sampler: sampler, Logger: loggers.Logger("test"),
		PolicyDigest: func() string { return "" },
	}
	return config, func() {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &data); err != nil {
			panic(err)
		}
		e.watch.Saw("metric", fmt.Appendf(nil, "%+v", data))
		_, _, _ = meters.Shutdown(context.Background()), tracers.Shutdown(context.Background()), loggers.Shutdown(context.Background())
	}
}

// ExportSpans shows spans to the watch.
func (e exporters) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		e.watch.Saw("span", fmt.Appendf(nil, "%s %s %v %v %v", s.Name(), s.SpanContext().TraceState().String(), s.Attributes(), s.Events(), s.Status()))
	}
	return nil
}

// Shutdown does nothing.
func (exporters) Shutdown(context.Context) error { return nil }

type logSink struct{ watch *envoytest.Watch }

// Export shows log records to the watch.
func (l logSink) Export(_ context.Context, records []sdklog.Record) error {
	for _, r := range records {
		var b bytes.Buffer
		fmt.Fprint(&b, r.Body())
		r.WalkAttributes(func(a attribute.KeyValue) bool { fmt.Fprint(&b, " ", a); return true })
		l.watch.Saw("log", b.Bytes())
	}
	return nil
}

// Shutdown does nothing.
func (logSink) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (logSink) ForceFlush(context.Context) error { return nil }

// What a check lets slip is found in every sink, so that finding nothing means
// something.
func TestTheWatchSeesEverySink(t *testing.T) {
	const canary = "canary-1f0e8d2b"
	watch := &envoytest.Watch{}
	config, stop := exporters{watch}.config()
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "leaky", Chain: authz.NewChain(misbehaving(func(call *authz.Call) authz.Reason {
		call.Proof, call.KeyID = authz.ProofSignature, canary
		return authz.OK
	}))}, authz.Match{Path: "/leaky", Methods: []string{"POST"}})
	collector, err := envoytest.StartCollector(watch)
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Stop()
	g := start(t, envoytest.Options{Source: fixed{table}, Watch: watch, Telemetry: config, Collector: collector})
	req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+"/leaky?"+canary, strings.NewReader("{}"))
	a := g.send(t, g.HTTP1, req)
	if a.status != 200 {
		t.Fatalf("status %d, reason %s", a.status, a.reason)
	}
	watch.Saw("answer", []byte(a.text))
	trace, _ := a.record["trace_id"].(string)
	collector.AwaitSpans(t.Context(), trace, func(spans []envoytest.Span) bool { return len(spans) >= 3 })
	stop()
	if leaks := watch.Leaks(); leaks != nil {
		t.Errorf("leaks of nothing: %q", leaks)
	}
	watch.Secret("the canary", canary)
	want := []string{"the canary in log", "the canary in metric", "the canary in record", "the canary in span"}
	if leaks := watch.Leaks(); !slices.Equal(leaks, want) {
		t.Errorf("%q", leaks)
	}
	sinks, _ := watch.Sinks()
	for _, sink := range sinks {
		watch.Saw(sink, []byte("x"+strings.ToUpper("636f6c6f757273206f66")+"x636f6c6f757273206f662074686520776f726c64x"))
	}
	watch.Secret("a hexadecimal one", "colours of the world")
	if leaks := watch.Leaks(); len(leaks) != len(want)+len(sinks) {
		t.Errorf("%q of %q", leaks, sinks)
	}
}
