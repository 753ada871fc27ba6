package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// From a line of Envoy's access log, written as the page says, one finds the decision: in
// the records and in the service.
func TestDecisionsFromEnvoysAccessLog(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	written, accessLog := filepath.Join(dir, "records.json"), filepath.Join(dir, "access.json")
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--admin-listen", "127.0.0.1:0", "--records-file", written)...)
	admin := "http://" + p.stderr.await(t, `admin=(\S+)`)[1]
	e := startEdge(t, unix, func(c envoytest.Config) {
		logs, _ := c.Manager()["access_log"].([]any)
		c.Manager()["access_log"] = append(logs, accessLoggers(t, accessLog)...)
	})
	if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, []byte("{}"))); status != 200 {
		t.Fatalf("status %d", status)
	}
	bad := signed(t, table, "github", e.client.Address, []byte("{}"))
	bad.Body.Segments[0] = []byte("[]")
	if status := sendStatus(t, e, bad); status != 401 {
		t.Fatalf("status %d", status)
	}

	for _, want := range []struct {
		reason, verdict string
		code            int
	}{{"ok", "allow", 0}, {"signature_invalid", "deny", 1}} {
		id := awaitLogged(t, accessLog, want.reason)
		for _, args := range [][]string{
			{"explain", "--decision", id, "--admin", admin},
			{"explain", "--decision", id, "--records", written},
		} {
			c := start(t, args...)
			err := c.wait(t)
			if out := c.stdout.String(); exitOf(err) != want.code || !strings.HasPrefix(out, want.verdict+": "+want.reason+",") || !strings.Contains(out, id) {
				t.Errorf("%v: %v: %s%s", args, err, out, c.stderr)
			}
		}
		c := start(t, "records", "--admin", admin, "--reason", want.reason)
		if err := c.wait(t); err != nil || !strings.Contains(c.stdout.String(), id) {
			t.Errorf("records: %v: %s%s", err, c.stdout, c.stderr)
		}
	}
	terminate(t, p)
	c := start(t, "records", "--output", "json", written)
	if err := c.wait(t); err != nil || strings.Count(c.stdout.String(), "\n") != 2 {
		t.Errorf("the file: %v: %s", err, c.stdout)
	}
}

// accessLoggers are those of the page, into a file.
func accessLoggers(t *testing.T, file string) (loggers []any) {
	t.Helper()
	page, err := os.ReadFile(repository + "/docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- access log -->\n```yaml\n(.*?)```\n").FindStringSubmatch(string(page))
	if m == nil {
		t.Fatal("the page has no access log")
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(m[1], "/dev/stdout", file)), &loggers); err != nil {
		t.Fatal(err)
	}
	return loggers
}

// awaitLogged waits until Envoy has logged a decision for this reason, and returns its id.
// Envoy writes what is in its buffer each second.
func awaitLogged(t *testing.T, file, reason string) string {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(generous); time.Now().Before(deadline); <-tick.C {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var entry struct {
				ID     string `json:"decision_id"`
				Reason string `json:"reason"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Reason == reason && len(entry.ID) == 32 {
				return entry.ID
			}
		}
	}
	t.Fatalf("Envoy does not log %s", reason)
	return ""
}

// exitOf is the code that a process ended with.
func exitOf(err error) int {
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return failed.ExitCode()
	}
	return 0
}
