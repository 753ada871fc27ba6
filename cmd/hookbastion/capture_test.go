package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	commandcapture "github.com/hookbastion/hookbastion/cmd/hookbastion/capture"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// TestCaptures: what a real Envoy has brought and the service has denied is kept encrypted,
// and explained as it was denied; of a copy the service says what came before. Nobody but
// the owner of the identity reads it.
func TestCaptures(t *testing.T) {
	dir := t.TempDir()
	if err := sample.WriteQuickstart(dir); err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "settings.yaml")
	for name, text := range map[string]string{
		"settings.yaml": "admin: {listen: '127.0.0.1:0'}\ncapture: {recipients: [" + identity.Recipient().String() + "], interval: 1s}\n",
		"key.txt":       "# a comment, as age-keygen writes it\n" + identity.String() + "\n",
		"other.txt":     other.String() + "\n",
	} {
		if err := sample.WriteFile(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	policies, unix := filepath.Join(dir, "policies"), socket(t)
	p := start(t, append(serveArgs(policies, unix), "--config", settings)...)
	admin := "http://" + p.stderr.await(t, `admin=(127\.0\.0\.1:\d+)`)[1]
	p.stderr.await(t, `level=INFO msg="some denied requests are kept in memory, encrypted" recipients=1 keep=1h0m0s interval=1s`)
	e := startEdge(t, unix, nil)

	// A delivery that passes, a copy of it, and one that somebody has changed.
	delivery := commandOutput(t, "sign", "--policy", policies, "--webhook", "github", "--host", "localhost")
	req := rawRequest(t, delivery)
	send := func(req *authz.Request, want int) string {
		t.Helper()
		status, id, err := e.client.Send(t.Context(), req)
		if err != nil || status != want {
			t.Fatalf("%d, %v", status, err)
		}
		return id
	}
	send(req, 200)
	copied := send(req, 409)
	changed := *req
	changed.Body.Segments = [][]byte{[]byte(`{"hello":"attacker"}`)}
	changed.Headers = append(authz.Headers{}, req.Headers...)
	changed.Set("authorization", "Bearer something-of-the-sender")
	tampered := send(&changed, 401)

	list := commandOutput(t, "capture", "--admin", admin)
	for _, want := range []string{"github", "replayed", "signature_invalid", copied, tampered} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in the list:\n%s", want, list)
		}
	}
	file := filepath.Join(dir, "denied.age")
	commandOutput(t, "capture", "--admin", admin, "--decision", tampered[:12], "--file", file)
	sealed, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(sealed), "attacker") || !strings.HasPrefix(string(sealed), "age-encryption.org/v1\n") {
		t.Errorf("%v: it is not encrypted", err)
	}
	text, code := explainIn(t, "--policy", policies, "--identity", filepath.Join(dir, "key.txt"), file)
	for _, want := range []string{"deny: signature_invalid", "denied with signature_invalid in decision " + tampered, "taken out of it were the values of authorization"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if code != 1 || strings.Contains(text, "something-of-the-sender") {
		t.Errorf("exits with %d:\n%s", code, text)
	}
	for _, wrong := range [][]string{{"--identity", filepath.Join(dir, "other.txt")}, {}, {"--identity", settings}} {
		if text, code := explainIn(t, append(append([]string{"--policy", policies}, wrong...), file)...); code != 2 || strings.Contains(text, "attacker") {
			t.Errorf("%v: exits with %d: %s", wrong, code, text)
		}
	}

	// What the help shows.
	for line := range strings.Lines(commandcapture.New().Example) {
		words := strings.Fields(strings.NewReplacer("http://127.0.0.1:9003", admin, "2f6c1a", tampered, "denied.age", "example.age").Replace(line))
		cmd := exec.Command(os.Args[0], words[1:]...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), asCommand+"=1")
		if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}

	// Of the copy, explain alone would say that it is the first delivery.
	file = filepath.Join(dir, "copy.age")
	commandOutput(t, "capture", "--admin", admin, "--decision", copied, "--file", file)
	text, code = explainIn(t, "--policy", policies, "--identity", filepath.Join(dir, "key.txt"), file)
	if code != 0 || !strings.Contains(text, "ask the service with --admin what was delivered before") {
		t.Errorf("exits with %d:\n%s", code, text)
	}
	text, _ = explainIn(t, "--policy", policies, "--identity", filepath.Join(dir, "key.txt"), "--admin", admin, file)
	if !regexp.MustCompile(`the service decided about this content before:\n  \S+ deny: replayed, from 127.0.0.1, decision ` + copied + `\n  \S+ allow: ok, from 127.0.0.1, decision [0-9a-f]{32}\n  the first of them was forwarded`).MatchString(text) {
		t.Errorf("%s", text)
	}
	// Nothing is known of what never came, nor of what is not signed.
	for raw, want := range map[string]string{
		commandOutput(t, "sign", "--policy", policies, "--webhook", "github", "--host", "localhost"): "none of the last decisions",
		strings.Replace(delivery, "hello", "HELLO", 1):                                               "its own answer is signature_invalid",
	} {
		plain := filepath.Join(dir, "plain.http")
		if err := os.WriteFile(plain, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, _ := explainIn(t, "--policy", policies, "--admin", admin, plain); !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	envoytest.Watched.Saw("captures", sealed)
	terminate(t, p)
}

// commandOutput runs the program, which must end well, and returns what it prints.
func commandOutput(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, problems.String())
	}
	return string(out)
}

// explainIn runs explain and returns what it prints, and its code.
func explainIn(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"explain"}, args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := cmd.CombinedOutput()
	failed := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// rawRequest reads what sign prints, as a request that can be sent.
func rawRequest(t *testing.T, text string) *authz.Request {
	t.Helper()
	req, err := capture.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Headers = slices.DeleteFunc(req.Headers, func(h authz.Header) bool {
		return string(h.Name) == "host" || string(h.Name) == "content-length"
	})
	return req
}
