package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/monitor/notify"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// weeks gives a monitor two weeks of a delivery each minute, and then a secret that the
// provider has changed.
func weeks(m *monitor.Monitor) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 14*24*60 + 60 {
		e := monitor.Event{Time: at, Webhook: "payments", Source: netip.AddrFrom4([4]byte{192, 0, 2, 1}), Allowed: true, Reason: authz.OK, KeyID: "1", BodyBytes: 900}
		if i > 14*24*60 {
			e.Allowed, e.Reason, e.KeyID = false, authz.SignatureInvalid, ""
		}
		m.Observe(&e)
		at = at.Add(time.Minute)
		m.Tick(at)
	}
}

// TestWatchman: an alarm is in the log, in the counts of metrics, at the admin listener
// and in a message; and a restart forgets nothing.
func TestWatchman(t *testing.T) {
	messages := make(chan string, 4)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		messages <- string(body)
	}))
	t.Cleanup(hook.Close)
	var log bytes.Buffer
	s := &settings.Settings{Monitor: settings.Monitor{File: filepath.Join(t.TempDir(), "monitor"), Webhook: &notify.Config{URL: hook.URL, Format: notify.Slack}}}
	w, err := newWatchman(s, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	weeks(w.monitor)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.run(ctx) }()
	if text := <-messages; !strings.Contains(text, "signature_failures at webhook payments: ") {
		t.Errorf("message %s", text)
	}
	cancel()
	<-ended // and the state is kept
	if text := log.String(); strings.Count(text, "msg=anomaly") != 1 || !strings.Contains(text, `kind=signature_failures webhook=payments source=192.0.2.0/24`) || !strings.Contains(text, "secret has probably changed") {
		t.Errorf("log %s", text)
	}
	raised, current := w.counts()()
	if raised["signature_failures"] != 1 || current["signature_failures"] != 1 || raised["silence"] != 0 || len(raised) != len(monitor.Kinds()) {
		t.Errorf("raised %v, current %v", raised, current)
	}
	again, err := newWatchman(s, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*watchman{"before": w, "after a restart": again} {
		a, err := newAdmin(&settings.Settings{}, nil, &known{anomalies: w}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(a.server.Handler)
		status, text := ask(t, server.URL+"/api/v1/anomalies")
		server.Close()
		var answer struct {
			Watched bool
			Current []map[string]any
			Past    []map[string]any
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
			t.Fatalf("%d: %s", status, text)
		}
		if !answer.Watched || len(answer.Current) != 1 || answer.Past == nil || answer.Current[0]["kind"] != "signature_failures" || answer.Current[0]["webhook"] != "payments" {
			t.Errorf("%s: %s", name, text)
		}
		for _, field := range []string{"time", "kind", "webhook", "source", "baseline", "value", "samples", "since", "message"} {
			if _, ok := answer.Current[0][field]; !ok {
				t.Errorf("%s: no %s", name, field)
			}
		}
	}
}

// TestNoWatchman: without a monitor all goes on.
func TestNoWatchman(t *testing.T) {
	w, err := newWatchman(&settings.Settings{Monitor: settings.Monitor{Off: true}}, slog.New(slog.DiscardHandler))
	if err != nil || w != nil {
		t.Fatal(w, err)
	}
	w.run(t.Context())
	if a := w.list(); a.Watched || a.Current == nil || a.Past == nil || w.of() != nil || w.counts() != nil {
		t.Errorf("%+v", a)
	}
}

// TestWatchmanBroken: a file that is not whole is said, and the monitor learns again; a
// secret that is none is no start.
func TestWatchmanBroken(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "monitor")
	if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := newWatchman(&settings.Settings{Monitor: settings.Monitor{File: file}}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || w == nil || !strings.Contains(log.String(), "learns again") {
		t.Fatalf("%v: %s", err, log.String())
	}
	t.Setenv("ALARM_SECRET", "short")
	hook := &notify.Config{URL: "https://h", Secret: &secret.Ref{Env: "ALARM_SECRET"}}
	if _, err := newWatchman(&settings.Settings{Monitor: settings.Monitor{Webhook: hook}}, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a secret that is none: %v", err)
	}
}

// TestRecorderFeedsMonitor: each decision is seen, also one that has no record.
func TestRecorderFeedsMonitor(t *testing.T) {
	m := monitor.New(monitor.Config{})
	r, err := telemetry.New(telemetry.Config{Monitor: m, LeaveOut: []authz.Reason{authz.OK}})
	if err != nil {
		t.Fatal(err)
	}
	r.Record(&telemetry.Event{Time: time.Now(), Request: &authz.Request{}, Decision: &authz.Decision{Verdict: authz.Allow, Reason: authz.OK, Webhook: &authz.Webhook{Name: "w"}}})
	r.Record(&telemetry.Event{Time: time.Now(), Request: &authz.Request{Path: authz.View("/x")}, Decision: &authz.Decision{Reason: authz.NoWebhook}})
	if st := m.Stats(); st.Webhooks != 2 {
		t.Errorf("%+v", st)
	}
}
