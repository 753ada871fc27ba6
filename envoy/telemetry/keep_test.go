package telemetry_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// What is kept in memory says the same as the line that is written.
func TestDecisionsAreKeptAsTheyAreWritten(t *testing.T) {
	for reason := range authz.Reason(authz.ReasonCount) {
		e := event(reason)
		if reason == authz.Replayed {
			e.Redeliver, e.Decision.Mark = "ticket", authz.MarkCopy
		}
		if reason == authz.NoWebhook {
			e.Decision.Webhook = nil
		}
		line, kept := both(t, e)
		if !reflect.DeepEqual(line, kept) {
			t.Errorf("%s:\nwritten %+v\nkept    %+v", reason, line, kept)
		}
	}
}

// both records an event and returns what is written and what is kept of it.
func both(t *testing.T, e *telemetry.Event) (line, kept record.Record) {
	t.Helper()
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	ring := recent.New(0, "replica-1")
	r, err := telemetry.New(telemetry.Config{Records: w, DenialsPerSecond: 1, Recent: ring, Replica: "replica-1", PolicyDigest: func() string { return "d1gest" }})
	if err != nil {
		t.Fatal(err)
	}
	r.Record(e)
	w.Close()
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	page := ring.Query(recent.Query{})
	if len(page.Decisions) != 1 {
		t.Fatalf("%d are kept", len(page.Decisions))
	}
	return line, page.Decisions[0]
}

// Denials beyond what may be written are kept.
func TestDenialsAreKeptWithoutALimit(t *testing.T) {
	ring := recent.New(0, "")
	r, err := telemetry.New(telemetry.Config{DenialsPerSecond: 1, Recent: ring})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		r.Record(event(authz.SignatureInvalid))
	}
	if n := len(ring.Query(recent.Query{Verdict: "deny"}).Decisions); n != 50 {
		t.Errorf("%d of 50", n)
	}
}
