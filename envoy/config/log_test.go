package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/config"
)

// TestCheckTakesTheOtherLog: the OpenTelemetry access log with the line that the service reads is
// as good as the one that is written, and its settings count as well.
func TestCheckTakesTheOtherLog(t *testing.T) {
	text := string(generate(t, webhooks, options(config.Envoy)))
	from := strings.Index(text, "                  - name: envoy.access_loggers.http_grpc\n")
	to := from + strings.Index(text[from:], "grpc_service: {envoy_grpc: {cluster_name: \"hookbastion\"}}\n")
	to += strings.Index(text[to:], "\n") + 1
	line, err := os.ReadFile("templates/linelog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	log := strings.ReplaceAll(strings.TrimSpace(string(line)), "{{quote .Cluster}}", "hookbastion")
	log = "                  - " + strings.ReplaceAll(log, "\n", "\n                    ") + "\n"
	for edit, want := range map[[2]string]int{{"", ""}: 0, {"interval: 0.05s", "interval: 5s"}: 1, {" %RESPONSE_CODE% ", " %PROTOCOL% "}: 1} {
		other := text[:from] + strings.Replace(log, edit[0], edit[1], 1) + text[to:]
		got, err := config.Check(webhooks, options(config.Envoy), []config.File{{Name: "f", Data: []byte(other)}})
		if err != nil || len(got) != want {
			t.Errorf("%q: %v, error %v", edit, got, err)
		}
	}
}
