package envoy_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// BenchmarkAnswer is the path from message bytes to answer bytes, with a new
// body each time: a copy would end in the nonce store. "observed" has metrics,
// records, the last decisions in memory and a trace, one of a hundred sampled, as "bare" has not.
func BenchmarkAnswer(b *testing.B) {
	table := policies(b)
	for _, webhook := range []string{"stripe", "github"} {
		for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
			name := fmt.Sprintf("%s/%dKiB/", webhook, size>>10)
			plain := func(int) envoy.Caller { return plainCall() }
			b.Run(name+"bare", func(b *testing.B) { benchmarkAnswer(b, table, webhook, size, service(table), plain) })
			b.Run(name+"observed", func(b *testing.B) {
				s := service(table)
				s.Telemetry = observed(b)
				benchmarkAnswer(b, table, webhook, size, s, tracedCalls())
			})
		}
	}
}

func benchmarkAnswer(b *testing.B, table *authz.Table, webhook string, size int, s *envoy.Service, call func(int) envoy.Caller) {
	const prepared = 256
	messages := make([][]byte, prepared)
	more := http.Header{}
	for i := range 14 {
		more.Set(fmt.Sprintf("X-Header-%d", i), "a value of ordinary length")
	}
	out, chunk := make([]byte, 0, 4<<10), make([][]byte, 1)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%prepared == 0 {
			b.StopTimer()
			for j := range messages {
				body := make([]byte, size)
				for k := 0; k < 16; k++ {
					body[k] = byte(rand.Uint32())
				}
				messages[j] = marshal(b, checkRequest(signedAt(b, table, webhook, "https://h", body, time.Now()), body, more))
			}
			b.StartTimer()
		}
		chunk[0] = messages[i%prepared]
		out, _ = s.AnswerChunks(call(i), chunk, out[:0])
		if i == 0 && !decode(b, out).allowed {
			b.Fatalf("denied: %q", out)
		}
	}
}

// observed is telemetry as it serves, with exporters that throw everything away.
func observed(b testing.TB) *telemetry.Recorder {
	b.Helper()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithBatcher(nowhere{}))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	records := telemetry.NewWriter(io.Discard)
	b.Cleanup(func() {
		records.Close()
		_, _ = tracers.Shutdown(context.Background()), meters.Shutdown(context.Background())
	})
	sampler, err := telemetry.ParseSampler("", "")
	if err != nil {
		b.Fatal(err)
	}
	recorder, err := telemetry.New(telemetry.Config{
		Records: records, Recent: recent.New(64<<20, "benchmark"), DenialsPerSecond: 100, Replica: "benchmark",
		Meter: meters.Meter("benchmark"), Tracer: tracers.Tracer("benchmark"), Sampler: sampler,
	})
	if err != nil {
		b.Fatal(err)
	}
	return recorder
}

type nowhere struct{}

// ExportSpans throws spans away.
func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }

// Shutdown does nothing.
func (nowhere) Shutdown(context.Context) error { return nil }

// caller is a call with the metadata that Envoy sends.
type caller struct {
	context.Context
	metadata map[string][]string
}

func (c caller) Values(name string) []string { return c.metadata[name] }

func (c caller) Peer() string { return "192.0.2.1" }

func (c caller) Only(name string) string {
	if values := c.metadata[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// plainCall has no metadata.
func plainCall() envoy.Caller { return envoy.Plain(context.Background()) }

// tracedCalls has the metadata that Envoy sends, of which each hundredth asks
// for a span.
func tracedCalls() func(int) envoy.Caller {
	var sampled, not envoy.Caller
	for flags, call := range map[string]*envoy.Caller{"01": &sampled, "00": &not} {
		*call = caller{context.Background(), map[string][]string{
			"content-type": {"application/grpc"}, "user-agent": {"envoy"}, "tracestate": {""},
			"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + flags},
		}}
	}
	return func(i int) envoy.Caller {
		if i%100 == 0 {
			return sampled
		}
		return not
	}
}

// BenchmarkRefuse is an answer to a call whose message is not read.
func BenchmarkRefuse(b *testing.B) {
	table := policies(b)
	s := service(table)
	s.Telemetry = observed(b)
	call, out := tracedCalls(), make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for i := range b.N {
		s.Refuse(call(i), authz.Overloaded, out)
	}
}
