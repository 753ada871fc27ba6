package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const adminToken = "a token of sixteen bytes or more"

// An operator lets one refused copy through, and the service writes it down.
func TestRedeliverThroughEnvoy(t *testing.T) {
	dir, table := quickstart(t)
	token, wrong := filepath.Join(dir, "token"), filepath.Join(dir, "wrong")
	for name, text := range map[string]string{token: adminToken + "\n", wrong: "another token of sixteen bytes"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	operators, err := envoytest.NewAuthority("operators")
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "operators.crt")
	cert, key, err := operators.IssueFiles(dir, "operator", envoytest.Issue{URIs: []string{operatorID}}) // for both sides
	if err = errors.Join(err, envoytest.Replace(ca, operators.PEM)); err != nil {
		t.Fatal(err)
	}
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--admin-listen", "127.0.0.1:0", "--admin-token", token,
		"--admin-tls-cert", cert, "--admin-tls-key", key, "--admin-tls-client-ca", ca)...)
	admin := "https://" + p.stderr.await(t, `admin=(\S+)`)[1]
	e := startEdge(t, unix, nil)
	deliver := func() (int, string) {
		t.Helper()
		status, id, err := e.client.Send(t.Context(), signed(t, table, "github", e.client.Address, []byte("the same")))
		if err != nil {
			t.Fatal(err)
		}
		return status, id
	}
	if status, _ := deliver(); status != 200 {
		t.Fatalf("status %d", status)
	}
	status, id := deliver()
	for deadline := time.Now().Add(generous); status == 503 && time.Now().Before(deadline); { // not settled yet
		status, id = deliver()
	}
	if status != 409 || len(id) != 32 {
		t.Fatalf("the copy: status %d, decision %q", status, id)
	}
	e.application.Take()
	redeliver := func(args ...string) (string, error) {
		c := start(t, append([]string{"redeliver", "--admin", admin, "--ca", ca, "--cert", cert, "--key", key}, args...)...)
		err := c.wait(t)
		return c.stdout.String() + c.stderr.String(), err
	}
	for name, args := range map[string][]string{
		"no token":         {"--decision", id},
		"another token":    {"--decision", id, "--token-file", wrong},
		"another decision": {"--decision", strings.Repeat("0", 32), "--token-file", token},
		"no decision":      {"--token-file", token},
	} {
		if out, err := redeliver(args...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	if status, _ := deliver(); status != 409 {
		t.Errorf("a refused request let a copy through: status %d", status)
	}
	if out, err := redeliver("--decision", id, "--token-file", token); err != nil || !strings.Contains(out, "github") {
		t.Fatalf("%v: %s", err, out)
	}
	p.stderr.await(t, `a copy may pass once.*decision=`+id+` webhook=github .*certificate=`+operatorID)
	if status, _ := deliver(); status != 200 {
		t.Errorf("the permitted copy: status %d", status)
	}
	if status, _ := deliver(); status != 409 {
		t.Errorf("the next copy: status %d", status)
	}
	// By the record of a refusal, from a file and from standard input.
	for range 2 {
		_, id := deliver()
		line := p.stdout.await(t, `(\{"time":[^\n]*"decision_id":"`+id+`"[^\n]*\})\n`)[1]
		record := filepath.Join(dir, "record.json")
		if err := os.WriteFile(record, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := redeliver("--record", record, "--token-file", token); err != nil || !strings.Contains(out, "github") {
			t.Fatalf("%v: %s", err, out)
		}
		p.stderr.await(t, `a copy may pass once.*decision=`+id+` webhook=github `)
		if status, _ := deliver(); status != 200 {
			t.Errorf("the copy permitted by its record: status %d", status)
		}
	}
	got := e.application.Take()
	for _, arrived := range got {
		if arrived.Header.Get("x-hookbastion-replay") != "redelivered" {
			t.Errorf("reached the application: %v", arrived)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d reached the application", len(got))
	}
	p.stdout.await(t, `"replay":"redelivered"`)
	if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, adminToken) || strings.Contains(text, `"settle"`) {
		t.Error("a secret was written down")
	}
	terminate(t, p)
}

// Without an access log everything works in one phase, and says what it cannot.
func TestWithoutAccessLog(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--replay-access-log=false")...)
	p.stderr.await(t, `replay.access_log is false`)
	p.stderr.await(t, `msg=serving`)
	e := startEdge(t, unix, nil)
	for i, want := range []int{200, 409, 409} {
		if got := sendStatus(t, e, signed(t, table, "github", e.client.Address, []byte("{}"))); got != want {
			t.Errorf("time %d: status %d, want %d", i, got, want)
		}
	}
	terminate(t, p)
	settings := filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(settings, []byte("replay: {access_log: false}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := start(t, "validate", "--config", settings, filepath.Join(dir, "policies"))
	if err := v.wait(t); err != nil || !strings.Contains(v.stdout.String(), "(warning HB070)") {
		t.Errorf("%v: %s", err, v.stderr)
	}
}
