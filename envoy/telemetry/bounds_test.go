package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

func TestMain(m *testing.M) { leak.Main(m) }

// counters collects the sums of a reader by name and attributes.
func counters(t *testing.T, reader *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, p := range sum.DataPoints {
				got[m.Name+" "+p.Attributes.Encoded(attributes{})] = p.Value
			}
		}
	}
	return got
}

// measured is a recorder whose metrics can be read.
func measured(t *testing.T, records *telemetry.Writer, denials int) (*telemetry.Recorder, *sdkmetric.ManualReader) {
	t.Helper()
	return recording(t, telemetry.Config{Records: records, DenialsPerSecond: denials})
}

// recording is a recorder of this kind whose metrics can be read.
func recording(t *testing.T, config telemetry.Config) (*telemetry.Recorder, *sdkmetric.ManualReader) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	config.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	r, err := telemetry.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return r, reader
}

// A slow call ends in a later second than the one it began in.
func TestLateDenialsAreLimitedToo(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r, reader := measured(t, w, 3)
	for i := range 20 {
		e := event(authz.SignatureInvalid)
		e.Time = now.Add(-time.Duration(i%2) * time.Second)
		r.Record(e)
	}
	back := event(authz.SignatureInvalid)
	back.Time = now.Add(-24 * time.Hour) // the clock was set
	r.Record(back)
	w.Close()
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d records", n)
	}
	if n := counters(t, reader)["hookbastion.records.dropped reason=limit"]; n != 17 {
		t.Errorf("%d counted as dropped", n)
	}
}

func TestLostRecordsAreCounted(t *testing.T) {
	disk := &stuck{}
	disk.Lock()
	w := telemetry.NewWriter(disk)
	r, reader := measured(t, w, 10)
	const all = 20_000
	for range all {
		r.Record(event(authz.OK))
	}
	disk.Unlock()
	w.Close()
	record := &bytes.Buffer{}
	one := telemetry.NewWriter(record)
	recorder, _ := measured(t, one, 10)
	recorder.Record(event(authz.OK))
	one.Close()
	written := int64(disk.n / record.Len())
	if n := counters(t, reader)["hookbastion.records.dropped reason=slow"]; n == 0 || n+written != all {
		t.Errorf("%d dropped and %d written of %d", n, written, all)
	}

	w = telemetry.NewWriter(noSpace{})
	full, fullReader := measured(t, w, 10)
	for range 50 {
		full.Record(event(authz.OK))
	}
	w.Close()
	full.Record(event(authz.OK)) // after the end
	if n := counters(t, fullReader)["hookbastion.records.dropped reason=slow"]; n != 51 {
		t.Errorf("%d of 51 counted as dropped by a full disk", n)
	}
}

type noSpace struct{}

func (noSpace) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestClosingWhileRecording(t *testing.T) {
	for range 300 {
		var out bytes.Buffer
		w := telemetry.NewWriter(&out)
		r, reader := measured(t, w, 10)
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			e := event(authz.OK)
			all.Go(func() { <-begin; r.Record(e) })
		}
		close(begin)
		w.Close()
		all.Wait()
		written, dropped := int64(strings.Count(out.String(), `"decision_id"`)), counters(t, reader)["hookbastion.records.dropped reason=slow"]
		if written+dropped != 8 {
			t.Fatalf("%d written and %d dropped of 8", written, dropped)
		}
	}
}

// A fault of ours must not stop the records of all later decisions.
func TestAFaultInARecordLeavesTheWriterUsable(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r, _ := measured(t, w, 10)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("an event without a request is no fault")
			}
		}()
		r.Record(&telemetry.Event{Time: now, Decision: &authz.Decision{}})
	}()
	r.Record(event(authz.OK))
	w.Close()
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Errorf("%v: %q", err, out.String())
	}
}

func TestTheRecordNamesThePolicyThatDecided(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r := recorder(t, w, 10) // its policy is d1gest by now
	e := event(authz.OK)
	e.PolicyDigest = "0ld"
	r.Record(e)
	w.Close()
	if !strings.Contains(out.String(), `"policy_digest":"0ld"`) {
		t.Error(out.String())
	}
}

// named is a decision of a webhook of this name.
func named(name string) *telemetry.Event {
	e := event(authz.OK)
	webhook := *e.Decision.Webhook
	webhook.Name = name
	e.Decision.Webhook = &webhook
	return e
}

func TestLabelsOfWebhooksAreBounded(t *testing.T) {
	r, reader := measured(t, nil, 10)
	r.Record(&telemetry.Event{Time: now, Request: &authz.Request{}, Decision: &authz.Decision{Reason: authz.NoWebhook}})
	for i := range 500 { // the first deliveries of each come at once
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { r.Record(named(fmt.Sprintf("hook-%d", i))) })
		}
		all.Wait()
	}
	for i := range 100 {
		r.Record(named(fmt.Sprintf("more-%d", i)))
	}
	got := counters(t, reader)
	for i := range 500 {
		if key := fmt.Sprintf("hookbastion.decisions mode=ENFORCE,reason=ok,verdict=allow,webhook=hook-%d", i); got[key] != 4 {
			t.Fatalf("%s is %d", key, got[key])
		}
	}
	if n := got["hookbastion.decisions mode=ENFORCE,reason=ok,verdict=allow,webhook=other"]; n != 100 {
		t.Errorf("%d decisions of other webhooks", n)
	}
	if n := got["hookbastion.limits.met limit=webhook_labels"]; n != 100 {
		t.Errorf("%d of them are counted", n)
	}
}

// FuzzRecord: whatever a stranger writes, the record is one line of JSON in
// printable ASCII with every field, and what is kept in memory says the same.
func FuzzRecord(f *testing.F) {
	f.Add("POST", "/acme/a\r\n\x1b[2J", "id\"\\", "tenant\u202e", []byte("body"))
	f.Add("\xff\xfe", "/\x00?token=x", strings.Repeat("\U0001f600", 400), "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, id, tenant string, body []byte) {
		var out bytes.Buffer
		w := telemetry.NewWriter(&out)
		r, _ := measured(t, w, 10)
		e := event(authz.SignatureInvalid)
		e.Request.Method, e.Request.Path, e.Request.RequestID = authz.View(method), authz.View(path), authz.View(id)
		e.Request.Body.Segments = [][]byte{body}
		e.Decision.Tenant = authz.View(tenant)
		r.Record(e)
		w.Close()
		line := strings.TrimSuffix(out.String(), "\n")
		for _, c := range []byte(line) {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x: %q", c, line)
			}
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		for _, key := range telemetry.RecordFields() {
			if slices.Contains([]string{"skew_ms", "replay", "redeliver", "unverified", "handshake", "told"}, key) { // of what is signed, may be a copy or is a handshake
				continue
			}
			if _, ok := record[key]; !ok {
				t.Fatalf("no %s: %s", key, line)
			}
		}
		if len(record) != len(telemetry.RecordFields())-6 || record["reason"] != "signature_invalid" || record["verdict"] != "deny" || len(line) > 16<<10 {
			t.Fatalf("%d bytes: %s", len(line), line)
		}
		if written, kept := both(t, e); !reflect.DeepEqual(written, kept) {
			t.Fatalf("written %+v, kept %+v", written, kept)
		}
	})
}
