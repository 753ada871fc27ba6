package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestDemoAsRows(t *testing.T) {
	p := start(t, "demo", "--output", "json")
	if err := p.wait(t); err != nil {
		t.Fatalf("demo: %v\n%s%s", err, p.stdout, p.stderr)
	}
	var results []struct {
		Verdict    string
		Status     int
		AsExpected bool `json:"as_expected"`
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &results); err != nil {
		t.Fatal(err)
	}
	if len(results) < 18 {
		t.Errorf("only %d rows", len(results))
	}
	for _, r := range results {
		if !r.AsExpected || r.Status == 0 || r.Verdict == "" {
			t.Errorf("%+v", r)
		}
	}
}

// What the demo prints stands in the README, and its command works.
func TestDemoStays(t *testing.T) {
	standInForCurl(t)
	p := start(t, "demo", "--stay")
	command := p.stdout.await(t, `\n  (curl .*)\n`)[1]
	dir := filepath.Dir(regexp.MustCompile(`/[^' ]+/tls\.crt`).FindString(command))
	watchSecrets(t, filepath.Join(dir, "right", "secrets"))
	watchSecrets(t, filepath.Join(dir, "wrong", "secrets"))
	_, printed, _ := strings.Cut(p.stdout.String(), "\n\n")
	printed, _, _ = strings.Cut(printed, "\nStill running")
	checkReadmeShows(t, printed)
	for i, want := range []string{" 200", " 409"} {
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("time %d: %v, no status%s in:\n%s", i+1, err, want, out)
		}
	}
	// The console shows what came of both.
	response, err := http.Get(p.stdout.await(t, `\n  (http://127\.0\.0\.1:\d+/)\n`)[1] + "decisions?webhook=github")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || !strings.Contains(string(page), "replayed") {
		t.Errorf("%v: the console shows no copy:\n%s", err, page)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, p.stderr)
	}
}

func TestUnixSocketAlone(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, "serve", "--policy", dir+"/policies", "--http-listen", "127.0.0.1:0", "--grpc-unix-path", unix.Name, "--grpc-unix-mode", "0600", "--grpc-lame-duck", "0s")
	p.stderr.await(t, `msg=serving grpc=/`)
	info, err := os.Stat(unix.Name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	e := startEdge(t, unix, nil)
	if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, []byte("hello"))); status != 200 {
		t.Errorf("status %d", status)
	}
	terminate(t, p)
	if record := p.stdout.String(); !strings.Contains(record, `"verdict":"allow","reason":"ok","status":200`) {
		t.Errorf("no such decision record: %s", record)
	}
}
