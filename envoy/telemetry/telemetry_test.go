package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

var now = time.Unix(1_795_500_000, 123_000_000)

// event is a decision about a request full of text that strangers chose.
func event(reason authz.Reason) *telemetry.Event {
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "hook", Provider: "github", Chain: authz.NewChain(says(reason)), EventIDs: []authz.EventID{{Header: "x-delivery", Covered: authz.CoveredAlways}}},
		authz.Match{Path: "/{tenant}/**", Methods: []string{"POST"}})
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/acme/a"),
		RequestID: authz.View("id\r\n\x1b[31m" + strings.Repeat("x", 10_000)),
		Headers:   authz.Headers{{Name: authz.View("authorization"), Value: authz.View("s3cret")}, {Name: authz.View("x-delivery"), Value: authz.View("evt\x1b-1")}},
		Body:      authz.Body{Segments: [][]byte{[]byte("s3cret body")}, State: authz.BodyWhole},
		Source:    netip.MustParseAddr("2001:db8::1"),
	}
	d := &authz.Decision{}
	table.Decide(context.Background(), req, now, d)
	req.Path = authz.View("/acme/a\"b<script>é\u2028\xff?token=s3cret") // it would be no webhook's
	return &telemetry.Event{Time: now, Duration: 42 * time.Microsecond, DecisionID: "0123", Request: req, Decision: d}
}

type says authz.Reason

func (says) Stage() authz.Stage { return authz.StageSignature }
func (s says) Run(call *authz.Call) authz.Reason {
	if authz.Reason(s) == authz.OK {
		call.Proof, call.KeyID, call.SignedTime = authz.ProofSignature, "2026", now.Add(-1500*time.Millisecond)
	}
	return authz.Reason(s)
}

// A record of what passed without proof says why the policy asks for none; others say
// nothing of it.
func TestRecordOfUnverified(t *testing.T) {
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "status", Unverified: "a public \"status\" page", Chain: authz.NewChain()},
		authz.Match{Path: "/status", Methods: []string{"POST"}})
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r := recorder(t, w, 10)
	for _, method := range []string{"POST", "GET"} {
		e := event(authz.OK)
		e.Request = &authz.Request{Method: authz.View(method), Host: authz.View("h"), Path: authz.View("/status")}
		e.Decision = &authz.Decision{}
		table.Decide(context.Background(), e.Request, now, e.Decision)
		r.Record(e)
	}
	w.Close()
	allowed, denied, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(allowed, `"reason":"unverified"`) || !strings.Contains(allowed, `"unverified":"a public \"status\" page"`) {
		t.Errorf("the record does not say why: %s", allowed)
	}
	if strings.Contains(denied, `"unverified"`) || !strings.Contains(denied, `"verdict":"deny"`) {
		t.Errorf("the denial: %s", denied)
	}
}

func recorder(t *testing.T, out *telemetry.Writer, denials int) *telemetry.Recorder {
	t.Helper()
	r, err := telemetry.New(telemetry.Config{
		Records: out, DenialsPerSecond: denials, Replica: "replica-1",
		PolicyDigest: func() string { return "d1gest" }, Meter: noop.Meter{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecord(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r := recorder(t, w, 10)
	r.Record(event(authz.OK))
	r.Record(event(authz.SignatureInvalid))
	refused := event(authz.Replayed)
	refused.Redeliver = "ticket-1"
	r.Record(refused)
	w.Close()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 || strings.Contains(lines[0]+lines[1], "redeliver") || !strings.Contains(lines[2], `"redeliver":"ticket-1"`) {
		t.Fatalf("%q", lines)
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &record); err != nil {
		t.Fatalf("%v: %s", err, lines[0])
	}
	for key, want := range map[string]any{
		"time": "2026-11-24T06:00:00.123000Z", "decision_id": "0123", "webhook": "hook", "tenant": "acme", "provider": "github",
		"mode": "ENFORCE", "verdict": "allow", "reason": "ok", "status": 200.0, "key_id": "2026", "source": "2001:db8::1",
		"method": "POST", "path": "/acme/a\"b<script>é\u2028\ufffd", "body_bytes": 11.0, "skew_ms": 1500.0,
		"duration_us": 42.0, "policy_digest": "d1gest", "replica": "replica-1",
	} {
		if key == "time" {
			want = now.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
		}
		if record[key] != want {
			t.Errorf("%s is %v, want %v", key, record[key], want)
		}
	}
	if checks, _ := json.Marshal(record["checks"]); string(checks) != `[{"check":"signature","reason":"ok"}]` {
		t.Errorf("checks: %s", checks)
	}
	if record["event_id"] != "evt\x1b-1" || record["event_id_unsigned"] != nil || !strings.Contains(lines[1], `"event_id":"evt\u001b-1","event_id_unsigned":true`) {
		t.Errorf("the event's id: %v, %s", record["event_id"], lines[1])
	}
	if id, _ := record["request_id"].(string); len(id) > 600 {
		t.Errorf("a request id of %d bytes", len(id))
	}
	if !strings.Contains(lines[1], `"verdict":"deny","reason":"signature_invalid","status":401`) || strings.Contains(lines[1], "skew_ms") {
		t.Errorf("the denial: %s", lines[1])
	}
	for _, c := range out.Bytes() {
		if c != '\n' && (c < ' ' || c > '~') {
			t.Fatalf("byte %#x in a record", c)
		}
	}
	if strings.Contains(out.String(), "s3cret") || strings.Contains(out.String(), "<script>") {
		t.Error("a record holds what it must not hold")
	}
}

func TestDenialsAreLimitedAndAllowsAreNot(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r := recorder(t, w, 3)
	for range 10 {
		r.Record(event(authz.SignatureInvalid))
		r.Record(event(authz.OK))
	}
	later := event(authz.SignatureInvalid)
	later.Time = now.Add(time.Second)
	r.Record(later)
	w.Close()
	if denied, allowed := strings.Count(out.String(), `"deny"`), strings.Count(out.String(), `"allow"`); denied != 4 || allowed != 10 {
		t.Errorf("%d denials, %d allows", denied, allowed)
	}
}

// stuck is a disk that does not answer until it is let go.
type stuck struct {
	sync.Mutex
	n int
}

func (s *stuck) Write(p []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	s.n += len(p)
	return len(p), nil
}

func TestASlowDiskLosesRecordsAndNotTime(t *testing.T) {
	disk := &stuck{}
	disk.Lock()
	w := telemetry.NewWriter(disk)
	r := recorder(t, w, 10)
	for range 20_000 { // some 15 MB
		r.Record(event(authz.OK))
	}
	disk.Unlock()
	w.Close()
	if disk.n < 4<<20 || disk.n > 10<<20 {
		t.Errorf("%d bytes were written; the rest must be dropped", disk.n)
	}
}

func TestMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	r, err := telemetry.New(telemetry.Config{Meter: provider.Meter("test"), Nonces: func() int64 { return 7 }})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.Record(event(authz.OK))
	}
	r.Record(event(authz.Replayed))
	r.Reloaded(nil, time.Now().Add(-2*time.Hour))
	r.Reloaded(context.Canceled, time.Now().Add(-time.Hour))
	r.Reloaded(context.Canceled, time.Now())
	r.Panicked()
	r.ConnectionRefused()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch points := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range points.DataPoints {
				got[m.Name+" "+p.Attributes.Encoded(attributes{})] = p.Value
			}
		case metricdata.Gauge[int64]:
			got[m.Name] = points.DataPoints[0].Value
		case metricdata.Histogram[float64]:
			got[m.Name] = int64(points.DataPoints[0].Count)
		}
	}
	for name, want := range map[string]int64{
		"hookbastion.decisions mode=ENFORCE,reason=ok,verdict=allow,webhook=hook":      3,
		"hookbastion.decisions mode=ENFORCE,reason=replayed,verdict=deny,webhook=hook": 1,
		"hookbastion.policy.reloads result=ok":                                         1,
		"hookbastion.policy.reloads result=error":                                      2,
		"hookbastion.panics ":              1,
		"hookbastion.connections.refused ": 1,
		"hookbastion.nonces":               7,
		"hookbastion.decision.duration":    4,
		"hookbastion.body.size":            4,
		"hookbastion.clock.skew":           3,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d (%v)", name, got[name], want, got)
		}
	}
	var none *telemetry.Recorder
	none.Record(event(authz.OK))
	none.Reloaded(nil, now)
	none.Panicked()
	none.ConnectionRefused()
}
