package probe

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

// command runs probe and returns what it prints, and how it ends.
func command(t *testing.T, in string, args ...string) (out, errs string, exit cli.Exit) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := New()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	exit = cli.Finish(&stderr, cmd.ExecuteContext(t.Context()))
	return stdout.String(), stderr.String(), exit
}

func TestFlags(t *testing.T) {
	b := newBench(t)
	b.write("policies/p/p.yaml", hook(""))
	open := "webhooks:\n  - {name: open, match: {path: /open}, unverified: {reason: it needs none}}\n"
	b.write("policies/unverified/p.yaml", open)
	b.write("policies/open/p.yaml", open+"  - {name: public, match: {path: /public}, provider: discord, secrets: [{file: ../../secrets/key}]}\n")
	b.write("secrets/key", "302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"[24:])
	t.Chdir(b.dir)
	left := t.TempDir()
	t.Setenv("TMPDIR", left)
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(s.Close)
	for line, want := range map[string]string{
		"":                                                 "probe needs --target, or --list",
		"--target localhost:10000":                         "--target must be http:// or https:// with a host",
		"--target http://localhost/hook":                   "--target must be http:// or https:// with a host",
		"--target http://a@localhost":                      "--target must be http:// or https:// with a host",
		"--target " + s.URL + " --rate 0":                  "--rate must be from 0.001 to 10000",
		"--target " + s.URL + " --rate NaN":                "--rate must be from 0.001 to 10000",
		"--target " + s.URL + " --rate 1e-12":              "--rate must be from 0.001 to 10000",
		"--target " + s.URL + " --host é":                  `--host must be a host, not "é"`,
		"--target " + s.URL + " --path hook=hook":          `--path of hook must be a path`,
		"--target " + s.URL + " --timeout 0s":              "--timeout must be more than 0s",
		"--target " + s.URL + " --insecure":                "an http:// target has none",
		"--target " + s.URL + " --key a":                   `--key must be NAME=…, with the name of a webhook, not "a"`,
		"--target " + s.URL + " --key a=b --key a=c":       `--key names webhook "a" twice`,
		"--target " + s.URL + " --webhook nobody":          `--webhook: there is no webhook "nobody"`,
		"--target " + s.URL + " --path nobody=/x":          `--path: there is no webhook "nobody"`,
		"--target " + s.URL + " --attack none":             `--attack: there is no "none"; --list has all`,
		"--target " + s.URL + " --source here":             `--source must be an address, not "here"`,
		"--target https://localhost --cert none.pem":       "--cert: open none.pem",
		"--target https://localhost --cert-key none.pem":   "--cert-key has no use without --cert",
		"--target " + s.URL + " --output xml":              `--output must be text, json or junit, not "xml"`,
		"--target " + s.URL + " --body none.json":          "open none.json",
		"--target http://hooks.example.com":                "Type the host to go on, hooks.example.com:",
		"--target http://127.0.0.1.example.com:81":         "nothing was sent: the target is not this machine",
		"--target http://10.0.0.1 --output json":           "nothing was sent",
		"--target http://hooks.example.com --policy none/": "none",
	} {
		args := append([]string{"--policy", "policies/p"}, strings.Fields(line)...)
		out, errs, exit := command(t, "localhost\n", args...)
		if exit != cli.Unusable || !strings.Contains(errs, want) || out != "" {
			t.Errorf("%s: exit %d, %q, %q; want %q", line, exit, out, errs, want)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
	out, _, exit := command(t, "", "--policy", "policies/open", "--target", s.URL)
	if exit != cli.CaseFailed || !strings.Contains(out, "open\n- not probed: it asks for no proof") || !strings.Contains(out, "public\n- not probed: ") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests were sent for webhooks that cannot be signed", n)
	}
	if files, err := os.ReadDir(left); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	// A path that is none of the webhook's shows nothing of it, however all is refused there.
	out, _, exit = command(t, "", "--policy", "policies/p", "--target", s.URL, "--path", "hook=/other")
	if exit != cli.CaseFailed || !strings.Contains(out, `"/other" of the host`) || asked.Load() > 0 {
		t.Errorf("exit %d after %d requests\n%s", exit, asked.Load(), out)
	}
	// What cannot be probed is a failure, also beside another one: nothing shows that it holds.
	// What asks for no proof has nothing to show, unless it was asked for by its name.
	for _, c := range []struct {
		beside, more, not string
		exit              cli.Exit
	}{
		{"open", "", "public", cli.CaseFailed},
		{"open", "--webhook hook --webhook public", "public", cli.CaseFailed},
		{"open", "--webhook hook", "", cli.Good},
		{"unverified", "", "open", cli.Good},
		{"unverified", "--key open=none", "open", cli.Good},
		{"unverified", "--webhook hook --webhook open", "open", cli.CaseFailed},
		{"unverified", "--path open=/open", "open", cli.CaseFailed},
	} {
		args := []string{"--policy", "policies/p", "--policy", "policies/" + c.beside, "--target", signedOnly(t), "--rate", "10000", "--attack", "no-proof"}
		out, _, exit := command(t, "", append(args, strings.Fields(c.more)...)...)
		if exit != c.exit || strings.Contains(out, "- not probed: ") != (c.not != "") || !strings.Contains(out, c.not+"\n") || !strings.Contains(out, " 0 unclear, 0 unseen, 1 held\n") {
			t.Errorf("beside %s, %s: exit %d\n%s", c.beside, c.more, exit, out)
		}
	}
}

// signedOnly is a gateway that lets through what has a signature.
func signedOnly(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Stripe-Signature") == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestFailing: whoever fails when he is attacked has perhaps let the attack in.
func TestFailing(t *testing.T) {
	b := newBench(t)
	b.write("policies/p/p.yaml", hook(""))
	t.Chdir(b.dir)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Stripe-Signature") == "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	out, _, exit := command(t, "", "--policy", "policies/p", "--target", s.URL, "--rate", "10000", "--attack", "no-proof")
	if exit != cli.CaseFailed || !strings.Contains(out, "500 without a decision id") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	// Where everything fails, that it does is what there is to say.
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	out, _, exit = command(t, "", "--policy", "policies/p", "--target", s.URL, "--rate", "10000", "--attack", "no-proof")
	if exit != cli.CaseFailed || !strings.Contains(out, "0 unclear, 0 unseen, 1 held; 1 valid deliveries refused") {
		t.Errorf("exit %d\n%s", exit, out)
	}
}

// TestConfirm: only the name of the target is a yes.
func TestConfirm(t *testing.T) {
	o := options{target: "https://hooks.example.com", targetHost: "hooks.example.com", rate: 20}
	for line, want := range map[string]bool{"hooks.example.com\n": true, " hooks.example.com": true, "yes\n": false, "": false, "y\n": false, "hooks.example.co\n": false} {
		if err := o.confirm(strings.NewReader(line), &bytes.Buffer{}, 2); (err == nil) != want {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestPace: no more go in a second than were asked for, and whoever is stopped does not wait.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace, begin := pacer(5), time.Now()
		for range 11 {
			if err := pace(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Error(took)
		}
		time.Sleep(time.Minute) // nothing is saved up
		begin = time.Now()
		for range 6 {
			_ = pace(t.Context())
		}
		if took := time.Since(begin); took != time.Second {
			t.Error(took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if pace(ctx) == nil {
			t.Error("it goes on")
		}
	})
}

// TestForms: what the forms say of one run, and that none has a secret or a signature.
func TestForms(t *testing.T) {
	b := newBench(t)
	b.write("policies/p/p.yaml", hook(""))
	t.Chdir(b.dir)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	key, err := os.ReadFile("secrets/stripe")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range outputs {
		out, errs, exit := command(t, "", "--policy", "policies/p", "--target", s.URL, "--rate", "10000", "--output", form)
		if exit != cli.AttackPassed || errs != "" {
			t.Errorf("%s: exit %d, %s", form, exit, errs)
		}
		for _, never := range []string{strings.TrimSpace(string(key)), "v1=", "5365637265745365"} {
			if strings.Contains(out, never) {
				t.Errorf("%s shows %q", form, never)
			}
		}
		switch form {
		case "text":
			if !strings.Contains(out, "✗ passed    no-proof             no signature and no token\n    passed 200\n    Whoever knows the address can send deliveries.\n") {
				t.Error(out)
			}
		case "junit":
			var all suites
			if err := xml.Unmarshal([]byte(out), &all); err != nil || len(all.Suites) != 1 || all.Suites[0].Failures < 20 || all.Suites[0].Tests != len(all.Suites[0].Cases) {
				t.Error(err, out)
			}
		}
	}
}
