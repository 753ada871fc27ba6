package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// quickstart writes the quickstart's policies with fresh secrets and returns
// their directory and a table to sign with.
func quickstart(t *testing.T) (dir string, table *authz.Table) {
	t.Helper()
	dir = t.TempDir()
	if err := sample.WriteQuickstart(dir); err != nil {
		t.Fatal(err)
	}
	watchSecrets(t, filepath.Join(dir, "secrets"))
	table, err := (&cli.Policies{Paths: []string{filepath.Join(dir, "policies")}}).Table()
	if err != nil {
		t.Fatal(err)
	}
	return dir, table
}

func signed(t *testing.T, table *authz.Table, webhook, host string, body []byte) *authz.Request {
	t.Helper()
	req, err := (&sample.Delivery{Webhook: webhook, Host: host}).Request(table, time.Now(), body)
	if err != nil {
		t.Fatal(err)
	}
	watchMACs(req)
	return req
}

func sendStatus(t *testing.T, e *edge, req *authz.Request) int {
	t.Helper()
	status, _, err := e.client.Send(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	envoytest.Watched.Saw("the site", body)
	return response.StatusCode, string(body)
}

func TestKilledServiceLetsNothingThroughAndComesBack(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, serveArgs(filepath.Join(dir, "policies"), unix)...)
	p.stderr.await(t, "msg=serving")
	e := startEdge(t, unix, nil)

	if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, []byte("one"))); status != 200 {
		t.Fatalf("status %d before the kill", status)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.wait(t)
	e.application.Take()
	for i := range 20 {
		if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, fmt.Appendf(nil, "dead %d", i))); status != 503 {
			t.Errorf("status %d while the service is dead", status)
		}
	}
	if got := e.application.Take(); len(got) != 0 {
		t.Errorf("%d requests passed while the service was dead", len(got))
	}

	// The dead process left its socket behind; the next one takes it over.
	p = start(t, serveArgs(filepath.Join(dir, "policies"), unix)...)
	p.stderr.await(t, "msg=serving")
	deadline := time.Now().Add(generous)
	for i := 0; ; i++ {
		status := sendStatus(t, e, signed(t, table, "github", e.client.Address, fmt.Appendf(nil, "alive %d", i)))
		if status == 200 {
			break
		}
		if status != 503 || time.Now().After(deadline) {
			t.Fatalf("status %d after the restart", status)
		}
	}
	terminate(t, p)
}

func TestReloadUnderLoad(t *testing.T) {
	dir, table := quickstart(t)
	policies := filepath.Join(dir, "policies")
	unix := socket(t)
	p := start(t, serveArgs(policies, unix)...)
	site := "http://" + p.stderr.await(t, `http=(\S+)`)[1]
	e := startEdge(t, unix, nil)
	file := filepath.Join(policies, "webhooks.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	stop, failures := make(chan struct{}), atomic.Int64{}
	var sent atomic.Int64
	var load sync.WaitGroup
	for worker := range 4 {
		load.Add(1)
		go func() {
			defer load.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				req, err := (&sample.Delivery{Webhook: "github", Host: e.client.Address}).Request(table, time.Now(), fmt.Appendf(nil, "%d %d", worker, i))
				want := 200
				if i%2 == 1 {
					req.Body.Segments, want = [][]byte{[]byte("forged")}, 401
				}
				status := 0
				if err == nil {
					status, _, err = e.client.Send(context.Background(), req)
				}
				if sent.Add(1); status != want {
					failures.Add(1)
					t.Errorf("status %d instead of %d, error %v", status, want, err)
					return
				}
			}
		}()
	}

	broken := bytes.Replace(good, []byte("provider: stripe"), []byte("provider: strip"), 1)
	writeAtomically(t, file, broken)
	p.stderr.await(t, `webhooks\.yaml:10:5: webhooks\[1\]\.provider: .*did you mean stripe`)
	if status, _ := get(t, site+"/readyz"); status != 200 {
		t.Errorf("/readyz is %d with a broken policy", status)
	}
	if _, metrics := get(t, site+"/metrics"); !strings.Contains(metrics, `hookbastion_policy_reloads_total{result="error"} 1`) {
		t.Error("the failed reload is not in the metrics")
	}
	repaired := append(bytes.Clone(good), []byte("\n  - name: added\n    match: {path: /webhooks/added}\n    provider: github\n    secrets: [{file: ../secrets/github}]\n")...)
	writeAtomically(t, file, repaired)
	p.stderr.await(t, `msg="policy loaded" webhooks=6`)
	before := sent.Load()
	for sent.Load() < before+20 && failures.Load() == 0 {
		added, err := (&cli.Policies{Paths: []string{policies}}).Table()
		if err != nil {
			t.Fatal(err)
		}
		if status := sendStatus(t, e, signed(t, added, "added", e.client.Address, fmt.Appendf(nil, "added %d", sent.Load()))); status != 200 && status != 409 {
			t.Fatalf("status %d for the added webhook", status)
		}
	}
	close(stop)
	load.Wait()
	if sent.Load() < 20 {
		t.Errorf("only %d requests were sent", sent.Load())
	}
	terminate(t, p)
}

func writeAtomically(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestHangupReloads(t *testing.T) {
	dir, _ := quickstart(t)
	p := start(t, serveArgs(filepath.Join(dir, "policies"), socket(t))...)
	p.stderr.await(t, "msg=serving")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.stderr.await(t, `msg="policy loaded" webhooks=5`)
	terminate(t, p)
}

func TestServeRefusesToStartHalf(t *testing.T) {
	dir, _ := quickstart(t)
	policies := filepath.Join(dir, "policies")
	taken, err := sample.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Stop() }()
	empty := t.TempDir()
	emptySecret := t.TempDir()
	if err := sample.WriteQuickstart(emptySecret); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(emptySecret, "secrets", "github"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	watchSecrets(t, filepath.Join(emptySecret, "secrets"))
	noFile := t.TempDir()
	if err := sample.WriteQuickstart(noFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(noFile, "secrets", "slack")); err != nil {
		t.Fatal(err)
	}
	watchSecrets(t, filepath.Join(noFile, "secrets"))
	address := taken.Address.String()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"empty secret":    {[]string{"--policy", filepath.Join(emptySecret, "policies")}, "the secret is empty"},
		"missing secret":  {[]string{"--policy", filepath.Join(noFile, "policies")}, "secrets/slack: no such file or directory"},
		"empty directory": {[]string{"--policy", empty}, "has no policy files"},
		"no directory":    {[]string{"--policy", filepath.Join(empty, "none")}, "no such file or directory"},
		"port in use":     {[]string{"--policy", policies, "--grpc-listen", address}, "address already in use"},
		"http in use":     {[]string{"--policy", policies, "--grpc-listen", "127.0.0.1:0", "--http-listen", address}, "address already in use"},
		"open to all":     {[]string{"--policy", policies, "--grpc-listen", "0.0.0.0:0"}, "grpc.insecure: true"},
		"bad setting":     {[]string{"--policy", policies, "--replay-max-entries", "many"}, "--replay-max-entries: must be a number"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, append([]string{"serve"}, c.args...)...)
			if err := p.wait(t); err == nil {
				t.Error("exit code 0")
			}
			text := p.stderr.String()
			if !strings.Contains(text, c.want) {
				t.Errorf("no %q in %q", c.want, text)
			}
			noStackTrace(t, text)
		})
	}
}
