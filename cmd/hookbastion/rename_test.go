package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

// TestRenamedWebhook renames webhooks under a running service, twice, and
// restarts it. With formerly a copy stays one; without it a time that was signed
// ahead of our clock is uncertain.
func TestRenamedWebhook(t *testing.T) {
	for _, store := range []string{"MEMORY", "FILE"} {
		t.Run(store, func(t *testing.T) {
			dir, table := quickstart(t)
			unix := socket(t)
			args := serveArgs(filepath.Join(dir, "policies"), unix)
			if store == "FILE" {
				args = fileArgs(filepath.Join(dir, "policies"), unix.Name, filepath.Join(dir, "nonces"))
			}
			args = append(args, "--admin-listen", "127.0.0.1:0")
			p := start(t, args...)
			admin := p.stderr.await(t, `admin=(\S+)`)[1]
			e := startEdge(t, unix, nil)
			timed := func(ahead time.Duration, body string) *authz.Request {
				req, err := (&sample.Delivery{Webhook: "stripe", Host: e.client.Address}).Request(table, time.Now().Add(ahead), []byte(body))
				if err != nil {
					t.Fatal(err)
				}
				watchMACs(req)
				return req
			}
			sent := map[string]*authz.Request{
				"github": signed(t, table, "github", e.client.Address, []byte("untimed")),
				"stripe": timed(0, "now"), "stripe, ahead": timed(40*time.Second, "ahead"),
			}
			for name, req := range sent {
				if got := sendStatus(t, e, req); got != 200 {
					t.Fatalf("%s: status %d", name, got)
				}
			}
			copies := func(when string) {
				t.Helper()
				for name, req := range sent {
					got := sendStatus(t, e, req)
					for deadline := time.Now().Add(generous); got == 503 && time.Now().Before(deadline); { // not settled yet
						got = sendStatus(t, e, req)
					}
					if got != 409 {
						t.Errorf("%s: a copy of %s: status %d", when, name, got)
					}
				}
			}
			copies("before")
			file := filepath.Join(dir, "policies", "webhooks.yaml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			renamed := func(lines ...string) []byte {
				next := bytes.Clone(text)
				for i := 0; i < len(lines); i += 2 {
					next = bytes.Replace(next, []byte("  - name: "+lines[i]+"\n"), []byte("  - name: "+lines[i+1]+"\n"), 1)
				}
				return next
			}
			// validate looks at policies that the service does not have yet.
			validate := func(policies []byte) (said string) {
				t.Helper()
				next := filepath.Join(dir, "next", "webhooks.yaml")
				authztest.WriteFile(t, next, string(policies))
				v := start(t, "validate", "--admin", "http://"+admin, next)
				if err := v.wait(t); err != nil {
					t.Errorf("%v: %s", err, v.stderr)
				}
				return v.stdout.String()
			}
			reload := func(policies []byte, changed string) {
				t.Helper()
				writeAtomically(t, file, policies)
				if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
				p.stderr.await(t, changed)
			}
			reload(renamed("github", "code\n    formerly: [github]", "stripe", "money\n    formerly: [stripe]"), `msg="policy loaded" .*changed=2`)
			copies("renamed")
			next := renamed("github", "git\n    formerly: [github, code]", "stripe", "pay\n    formerly: [stripe, money]")
			if said := validate(next); strings.Contains(said, "HB090") {
				t.Error(said)
			}
			reload(next, `(?s)changed=2.*changed=2`)
			copies("renamed twice")
			if store == "FILE" {
				terminate(t, p)
				p = start(t, args...)
				admin = p.stderr.await(t, `admin=(\S+)`)[1]
				copies("restarted")
			}
			next = renamed("stripe", "paid\n    formerly: [money]", "github", "git\n    formerly: [github, code]")
			if said := validate(next); !strings.Contains(said, "no nonces of money, and those of stripe") {
				t.Error(said)
			}
			reload(next, `msg="policy loaded" webhooks=5 policy=\S+ added=1`)
			for name, req := range sent {
				want := 503
				if name == "github" {
					want = 409
				}
				if got := sendStatus(t, e, req); got != want {
					t.Errorf("without the first name: %s: status %d", name, got)
				}
			}
			terminate(t, p)
		})
	}
}
