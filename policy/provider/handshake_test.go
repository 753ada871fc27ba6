package provider_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// shaken is a handshake as its provider's documentation shows it, with the answer that is
// asked for. None of it was made by the code that answers.
type shaken struct {
	file, name string // of testdata/handshakes, and of the handshake
	now        time.Time
	policy     string
	files      map[string][]byte // beside the policy
	request    []byte
	answer     *http.Response // with its body as text
	body       string
	attacks    [][]byte // deliveries signed with what the answer holds
}

func readShaken(t *testing.T) []*shaken {
	t.Helper()
	names, err := filepath.Glob("testdata/handshakes/*.txtar")
	if err != nil || len(names) < 25 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	var all []*shaken
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := &shaken{file: strings.TrimSuffix(filepath.Base(name), ".txtar"), files: map[string][]byte{}}
		_, facts, _ := strings.Cut(string(archive.Comment), "\n\n")
		var seconds int64
		if _, err := fmt.Sscanf(facts, "now %d\nname %s", &seconds, &s.name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.now = time.Unix(seconds, 0)
		for _, f := range archive.Files {
			switch data := bytes.TrimSuffix(f.Data, []byte("\n")); {
			case f.Name == "policy.yaml":
				s.policy = string(f.Data)
			case f.Name == "request.http":
				s.request = data
			case f.Name == "answer.http":
				s.readAnswer(t, data)
			case strings.HasPrefix(f.Name, "attack"):
				s.attacks = append(s.attacks, data)
			default:
				s.files[f.Name] = f.Data
			}
		}
		all = append(all, s)
	}
	return all
}

// readAnswer reads a status line, headers, an empty line and the body.
func (s *shaken) readAnswer(t *testing.T, data []byte) {
	t.Helper()
	head, body, _ := strings.Cut(string(data)+"\n", "\n\n")
	s.answer, s.body = &http.Response{Header: http.Header{}}, strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d", &s.answer.StatusCode); err != nil {
		t.Fatalf("%s: %v", s.file, err)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		s.answer.Header.Set(name, value)
	}
}

// table compiles the policy after an edit.
func (s *shaken) table(t *testing.T, edit func(string) string) *authz.Table {
	t.Helper()
	dir, text := t.TempDir(), s.policy
	if edit != nil {
		text = edit(text)
	}
	for name, data := range s.files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Load(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store:         memory.New(memory.Config{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20, Now: s.now, Lasting: true,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return table
}

func parseRaw(t *testing.T, data []byte) *authz.Request {
	t.Helper()
	req, err := capture.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	req.Transport.TLS = true
	return req
}

func decided(table *authz.Table, req *authz.Request, now time.Time) *authz.Decision {
	d := &authz.Decision{}
	table.Decide(context.Background(), req, now, d)
	return d
}

func eachShaken(t *testing.T, f func(t *testing.T, s *shaken)) {
	for _, s := range readShaken(t) {
		t.Run(s.file, func(t *testing.T) { f(t, s) })
	}
}

// off is the policy with its handshakes switched off.
func off(text string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(l string) bool { return strings.HasPrefix(l, "    handshake:") })
	learnt := ""
	if strings.Contains(text, "learnt:") {
		learnt = ", learnt: {file: learnt}" // it is the webhook's secret
	}
	return strings.Join(lines, "") + "    handshake: {mode: OFF" + learnt + "}\n"
}

func TestHandshakesAreAnsweredAsDocumented(t *testing.T) {
	seen := map[string]bool{}
	eachShaken(t, func(t *testing.T, s *shaken) {
		table := s.table(t, nil)
		d := decided(table, parseRaw(t, s.request), s.now)
		if d.Reason != authz.Handshake || d.Handshake != s.name || d.Answered() == nil || d.Forward() {
			t.Fatalf("%s, handshake %q, want %q", d.Reason, d.Handshake, s.name)
		}
		seen[d.Webhook.Provider+" "+s.name] = true
		got := http.Header{}
		if d.Answer.ContentType != "" {
			got.Set("content-type", d.Answer.ContentType)
		}
		for _, h := range d.Answer.Headers {
			got.Set(string(h.Name), string(h.Value))
		}
		if d.Status() != s.answer.StatusCode || d.Answer.Body != s.body || fmt.Sprint(got) != fmt.Sprint(s.answer.Header) {
			t.Errorf("%d %v\n%s\nwant %d %v\n%s", d.Status(), got, d.Answer.Body, s.answer.StatusCode, s.answer.Header, s.body)
		}
	})
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range p.GetHandshakes() {
			if !seen[name+" "+h.GetName()] {
				t.Errorf("the handshake %s of %s is in no file of testdata/handshakes", h.GetName(), name)
			}
		}
	}
}

// What a handshake signs is no signature of a delivery, whether handshakes are answered or
// not.
func TestHandshakesAreNoOracles(t *testing.T) {
	n := 0
	eachShaken(t, func(t *testing.T, s *shaken) {
		for _, edit := range []func(string) string{nil, off} {
			table := s.table(t, edit)
			for i, attack := range s.attacks {
				n++
				if d := decided(table, parseRaw(t, attack), s.now); d.Verdict == authz.Allow || d.Forward() {
					t.Errorf("attack %d: %s %s", i+1, d.Verdict, d.Reason)
				}
			}
		}
	})
	if n == 0 {
		t.Error("there are no attacks")
	}
}

func TestShadowAnswersNoHandshake(t *testing.T) {
	eachShaken(t, func(t *testing.T, s *shaken) {
		if strings.Contains(s.policy, "setup_until") {
			t.Log("a window is an error in SHADOW mode")
			return
		}
		table := s.table(t, func(text string) string { return text + "    mode: SHADOW\n" })
		d := decided(table, parseRaw(t, s.request), s.now)
		if !d.Forward() || d.Answered() != nil || d.Reason != authz.Handshake {
			t.Errorf("%s, forward %v", d.Reason, d.Forward())
		}
	})
}

// Switched off, a handshake is not answered, and a method of its own is refused.
func TestHandshakesThatAreOff(t *testing.T) {
	eachShaken(t, func(t *testing.T, s *shaken) {
		req := parseRaw(t, s.request)
		d := decided(s.table(t, off), req, s.now)
		if d.Reason == authz.Handshake || d.Answered() != nil {
			t.Errorf("%s", d.Reason)
		}
		if string(req.Method) != http.MethodPost && d.Reason != authz.MethodNotAllowed {
			t.Errorf("%s with %s", d.Reason, req.Method)
		}
	})
}

// What `sign --handshake` makes is answered, where the policy has what signs it.
func TestSampleHandshakesAreAnswered(t *testing.T) {
	public := map[string]bool{"aws-sns": true, "discord": true} // their private keys are elsewhere
	eachShaken(t, func(t *testing.T, s *shaken) {
		table := s.table(t, nil)
		hook := table.Webhooks()[0]
		if public[hook.Provider] {
			return
		}
		_, path := table.Sample(hook.Name)
		req := &authz.Request{Host: authz.View("hooks.example.com"), Path: authz.View(path)}
		proven, ok := hook.Handshakes.Request(s.name, req, authz.Signing{Now: s.now, NewID: rand.Text})
		if !ok {
			t.Fatal("no request")
		}
		if proven {
			if err := hook.Sign(req, authz.Signing{Now: s.now, NewID: rand.Text}); err != nil {
				t.Fatal(err)
			}
		}
		if d := decided(table, req, s.now); d.Reason != authz.Handshake || d.Handshake != s.name {
			t.Errorf("%s %s: %s %s", req.Method, req.Path, d.Reason, d.Handshake)
		}
	})
}
