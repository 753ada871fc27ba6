package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// sendPlain sends a request without TLS, and returns the status.
func sendPlain(t *testing.T, address string, req *authz.Request) int {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), string(req.Method), "http://"+address+string(req.Path), bytes.NewReader(req.Body.Joined()))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	client := &http.Client{Timeout: generous}
	response, err := client.Do(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// TestInitThroughEnvoy: with all that init writes, settings and Envoy's configuration as they
// are, what a holder of the secrets signs arrives, and nothing else does.
func TestInitThroughEnvoy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hooks")
	printed(t, "init", "--dir", dir, "--provider", "github", "--provider", "stripe=/hooks/stripe")
	watchSecrets(t, filepath.Join(dir, "secrets"))
	policies := filepath.Join(dir, "policies")
	table, err := (&cli.Policies{Paths: []string{policies}}).Table()
	if err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(dir, "envoy.yaml")
	bin, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), bin, "--mode", "validate", "-c", written, "--log-level", "error").CombinedOutput(); err != nil {
		t.Fatalf("Envoy refuses it: %v\n%s", err, out)
	}
	text, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	unix, application := socket(t), startUpstream(t)
	config.SetCluster("hookbastion", unix)
	config.SetCluster("application", application.Listener.Addr())
	config.GRPCService()["timeout"] = "10s" // the race detector is slow
	service := start(t, append(serveArgs(policies, unix), "--config", filepath.Join(dir, "hookbastion.yaml"))...)
	service.stderr.await(t, "msg=serving")
	e, err := envoytest.Start(context.Background(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Stop()
		envoytest.Watched.Saw("Envoy's log", []byte(e.Log()))
	})
	at := e.Listeners["webhooks"]
	large := bytes.Repeat([]byte("x"), 2<<20) // more than the service takes by default
	for webhook, bodies := range map[string][][]byte{"github": {[]byte("{}"), large}, "stripe": {[]byte("{}")}} {
		for _, body := range bodies {
			if status := sendPlain(t, at, signed(t, table, webhook, at, body)); status != 200 {
				t.Errorf("%s, %d bytes: %d", webhook, len(body), status)
			}
			if got := application.take(); len(got) != 1 || got[0].Header.Get(envoy.HeaderVerified) != "signature" {
				t.Errorf("%s, %d bytes: arrived %v", webhook, len(body), got)
			}
		}
		tampered := signed(t, table, webhook, at, []byte(`{"amount":1}`))
		tampered.Body.Segments = [][]byte{[]byte(`{"amount":9}`)}
		if status := sendPlain(t, at, tampered); !slices.Contains([]int{400, 401}, status) {
			t.Errorf("%s, tampered: %d", webhook, status)
		}
	}
	elsewhere := signed(t, table, "github", at, []byte("{}"))
	elsewhere.Path = authz.View("/hooks/stripe")
	for name, row := range map[string]struct {
		req  *authz.Request
		want []int
	}{
		"unsigned":        {forged("POST", "/webhooks/github"), []int{401}},
		"another webhook": {elsewhere, []int{400, 401}},
		"another path":    {forged("POST", "/webhooks/stripe"), []int{404}},
	} {
		if status := sendPlain(t, at, row.req); !slices.Contains(row.want, status) {
			t.Errorf("%s: %d, want %v", name, status, row.want)
		}
	}
	if got := application.take(); len(got) > 0 {
		t.Errorf("arrived: %v", got)
	}
}
