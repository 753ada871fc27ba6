package envoy_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/examples"
)

// batch is what Envoy's OpenTelemetry access log sends.
func batch(lines ...string) *collectorv1.ExportLogsServiceRequest {
	scope := &logsv1.ScopeLogs{}
	for _, line := range lines {
		scope.LogRecords = append(scope.LogRecords, &logsv1.LogRecord{
			TimeUnixNano: uint64(time.Now().UnixNano()), Body: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: line}},
		})
	}
	return &collectorv1.ExportLogsServiceRequest{ResourceLogs: []*logsv1.ResourceLogs{{ScopeLogs: []*logsv1.ScopeLogs{scope}}}}
}

// held reserves n nonces of a store.
func held(t *testing.T, store *memory.Store, n int) []authz.Reservation {
	t.Helper()
	all := make([]authz.Reservation, n)
	for i := range all {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		nonce := replay.Nonce{Fingerprint: authz.Fingerprint(append(sum[:14], 0, 0)), Webhook: "hook", Expires: time.Now().Add(time.Hour), Span: time.Hour}
		answer, err := store.Reserve(t.Context(), nonce, replay.Claim{Lease: time.Minute}, time.Now())
		if err != nil || answer.Reservation.ID == 0 {
			t.Fatalf("%+v, %v", answer, err)
		}
		all[i] = answer.Reservation
	}
	return all
}

// A batch settles what its lines say, whatever else is in it, in one frame or in many.
func TestBatchesSettle(t *testing.T) {
	for _, n := range []int{1, 40, 2000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			store := memory.New(memory.Config{MaxEntries: 1 << 14})
			settler := replay.NewSettler(store, time.Minute, replay.NewSealKey())
			recorder, err := telemetry.New(telemetry.Config{})
			if err != nil {
				t.Fatal(err)
			}
			_, conn := directTo(t, &envoy.Service{Source: fixed{authz.NewTable()}, Settler: settler, Telemetry: recorder}, time.Second)
			logs := collectorv1.NewLogsServiceClient(conn)
			all := held(t, store, 2*n+3)
			var lines []string
			for i := range n {
				lines = append(lines, "hookbastion "+settler.Seal(all[2*i])+" DownstreamEnd 200 - 1 5 via_upstream",
					"hookbastion "+settler.Seal(all[2*i+1])+" DownstreamEnd 500 - 1 5 via_upstream")
			}
			rest := all[2*n:]
			lines = append(lines, "", "somebody else's line", "hookbastion - DownstreamEnd 200 - 1 5 via_upstream",
				"hookbastion "+settler.Seal(rest[0])+" UpstreamEnd 500 - 1 5 via_upstream",
				"hookbastion "+settler.Seal(rest[1])+" DownstreamEnd 500 - 1 5 via_upstream and more",
				"hookbastion "+replay.NewSettler(store, time.Minute, replay.NewSealKey()).Seal(rest[2])+" DownstreamEnd 500 - 1 5 via_upstream")
			for range 2 { // as after a retry
				if _, err := logs.Export(t.Context(), batch(lines...)); err != nil {
					t.Fatal(err)
				}
				if s := store.Stats(); s.Delivered != int64(n) || s.Unknown != int64(n) { // these nonces have no rule by which a failure releases
					t.Errorf("%d delivered, %d unknown, want %d of each", s.Delivered, s.Unknown, n)
				}
			}
		})
	}
}

// What cannot be read does no harm, and what is too large is refused.
func TestBatchesThatAreNone(t *testing.T) {
	store := memory.New(memory.Config{MaxEntries: 1 << 14})
	settler := replay.NewSettler(store, time.Minute, replay.NewSealKey())
	_, conn := directTo(t, &envoy.Service{Source: fixed{authz.NewTable()}, Settler: settler}, time.Second)
	logs := collectorv1.NewLogsServiceClient(conn)
	for _, m := range []*collectorv1.ExportLogsServiceRequest{{}, {ResourceLogs: []*logsv1.ResourceLogs{{}}}, batch(), batch(strings.Repeat("x", 1<<20-100))} {
		if _, err := logs.Export(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	if _, err := logs.Export(t.Context(), batch(strings.Repeat("x", 3<<20))); grpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("a batch that is too large: %v", err)
	}
	seal := settler.Seal(held(t, store, 1)[0])
	if _, err := logs.Export(t.Context(), batch("hookbastion "+seal+" DownstreamEnd 500 - 1 5 via_upstream")); err != nil || store.Stats().Unknown != 1 {
		t.Errorf("afterwards: %v, %+v", err, store.Stats())
	}
}

// While the server that takes the access log is away, Envoy keeps the batches of the
// OpenTelemetry log for some seconds: what ended meanwhile is settled when it is back.
func TestBatchesWaitForTheServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := logTo(listener.Addr())
	g := settleUnproven(t, func(c envoytest.Config) {
		to(c)
		c.UseLineLog()
		c.AccessLog()["grpc_service"].(map[string]any)["envoy_grpc"] = map[string]any{"cluster_name": "collector"}
	})
	r := &replica{address: listener.Addr().String(), service: &envoy.Service{Source: fixed{g.table}, Settler: g.settler, Now: g.now}}
	r.serve(listener)
	t.Cleanup(func() { r.stop(t) })
	g.post(t, "github", "the first delivery", 200)
	g.await(t, g.store.settled, true)
	r.stop(t)
	g.Upstream.Answer(status(500))
	g.post(t, "release", "failed meanwhile", 500)
	g.Upstream.Answer(nil)
	g.refused(t, "release", "failed meanwhile", 503, "in_flight")
	r.start(t)
	g.await(t, g.store.settled, true)
	g.passes(t, "release", "failed meanwhile", "")
}

// docs/replay.md shows the log that the tests use.
func TestLineLogIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- envoy: line -->\n```yaml\n")
	text = []byte(rest[:strings.Index(rest, "```")])
	var shown, used map[string]any
	if err := yaml.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	quickstart, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := envoytest.ParseConfig(quickstart)
	if err != nil {
		t.Fatal(err)
	}
	c.UseLineLog()
	text, err = yaml.Marshal(map[string]any{"access_log": c.Manager()["access_log"]})
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &used); err != nil || !reflect.DeepEqual(shown, used) {
		t.Errorf("%v: docs/replay.md shows\n%v\nand the tests use\n%v", err, shown, used)
	}
}
