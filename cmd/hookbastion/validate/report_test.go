package validate

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/posture"
)

// TestReportAsksTheService: what a service says of its policy, its keys and what was
// unusual is in the report, and a service that does not answer leaves none.
func TestReportAsksTheService(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"secret":        "yPwMrxkYlHlPQTyhKYjtEJJTCIdIdv0e5SdpyHbyIjE",
		"webhooks.yaml": "webhooks: [{name: app, match: {path: /app}, provider: github, secrets: [{id: k, file: secret}]}]",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load("webhooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	answers := map[string]any{
		"/api/v1/webhooks": map[string]any{},
		"/api/v1/policy":   map[string]any{"digest": set.Digest},
		"/api/v1/anomalies": map[string]any{"watched": true, "past": []monitor.Alarm{}, "current": []monitor.Alarm{
			{Time: at, Kind: monitor.Silence, Webhook: "app", Message: "nothing comes"},
			{Time: at, Kind: monitor.PathScan, Message: "many paths"},
		}},
		"/api/v1/keys": cli.LiveKeys{Since: at.Add(-time.Hour), Complete: true, Keys: []telemetry.KeyMatch{
			{Webhook: "app", KeyID: "k", KeyStat: telemetry.KeyStat{First: at, Last: at, Count: 7}},
		}},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers[r.URL.Path] == nil {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(answers[r.URL.Path])
	}))
	defer server.Close()
	ask := func(name string) error {
		cmd := New()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs([]string{"--admin", server.URL, "--report", name, "webhooks.yaml"})
		return cmd.Execute()
	}
	if err := ask("posture.json"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("posture.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := posture.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	app := r.Webhooks[0]
	if r.Live == nil || r.Live.Digest != r.Digest || !r.Live.Monitored || !r.Live.Since.Equal(at.Add(-time.Hour)) {
		t.Errorf("%+v", r.Live)
	}
	if k := app.Keys[0]; k.Matches == nil || *k.Matches != 7 || !k.LastMatch.Equal(at) {
		t.Errorf("%+v", k)
	}
	if len(app.Anomalies) != 1 || app.Anomalies[0].Kind != "silence" || len(r.Anomalies) != 1 || r.Anomalies[0].Kind != "path_scan" {
		t.Errorf("%+v, %+v", app.Anomalies, r.Anomalies)
	}
	for _, c := range r.Controls {
		if c.ID == "CC8.1" && !c.Evidence {
			t.Errorf("%+v", c)
		}
	}
	for _, path := range []string{"/api/v1/policy", "/api/v1/anomalies", "/api/v1/keys"} {
		kept := answers[path]
		answers[path] = nil
		if err := ask("none.json"); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("without %s: %v", path, err)
		}
		answers[path] = kept
	}
	left, err := filepath.Glob("*.json")
	if err != nil || len(left) != 1 {
		t.Errorf("%q is there, %v", left, err)
	}
}

// TestURLsOfKeys: of a URL the host is shown, and nothing that may be a secret.
func TestURLsOfKeys(t *testing.T) {
	for text, want := range map[string]string{
		"https://keys.example/v1?token=abc":  "https://keys.example",
		"https://me:abc@keys.example/{id}":   "https://keys.example",
		"https://keys.example:8443/abc/jwks": "https://keys.example:8443",
		"abc":                                "a URL",
		"://abc":                             "a URL",
	} {
		if got := hostOf(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
