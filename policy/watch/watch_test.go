package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/diff"
	"github.com/hookbastion/hookbastion/policy/watch"
)

func TestMain(m *testing.M) { leak.Main(m) }

const generous = 30 * time.Second

type outcome = watch.Report

// watched is a running watcher whose reloads can be waited for.
type watched struct {
	*watch.Watcher
	t       *testing.T
	reloads chan outcome
	secrets chan []secret.Change
	kick    chan os.Signal
}

func start(t *testing.T, paths ...string) *watched {
	t.Helper()
	return run(t, unstarted(paths...))
}

func run(t *testing.T, watcher *watch.Watcher) *watched {
	t.Helper()
	w := &watched{t: t, reloads: make(chan outcome, 100), secrets: make(chan []secret.Change, 100), kick: make(chan os.Signal), Watcher: watcher}
	w.OnReload = func(r watch.Report) { w.reloads <- r }
	w.OnSecrets = func(changes []secret.Change) { w.secrets <- changes }
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.Run(ctx, w.kick); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func unstarted(paths ...string) *watch.Watcher {
	store := memory.New(memory.Config{MaxEntries: 1 << 22})
	fingerprinter := authz.NewFingerprinter(authz.FingerprintKey{})
	return &watch.Watcher{
		Paths: paths,
		Compile: func(set *policy.Set, previous *authz.Table) (*authz.Table, error) {
			return policy.Compile(set, policy.Deps{
				Store: store, Fingerprinter: fingerprinter, MaxBodyBytes: 1 << 20, Now: time.Now(), Previous: previous,
			})
		},
	}
}

// await returns the first reload that is wanted.
func (w *watched) await(what string, wanted func(outcome) bool) outcome {
	w.t.Helper()
	timeout := time.After(generous)
	for {
		select {
		case o := <-w.reloads:
			if wanted(o) {
				return o
			}
		case <-timeout:
			w.t.Fatalf("no reload: %s", what)
		}
	}
}

// awaitSecret waits for a change of a secret with that error.
func (w *watched) awaitSecret(what string, err error) {
	w.t.Helper()
	timeout := time.After(generous)
	for {
		select {
		case changes := <-w.secrets:
			if errors.Is(changes[0].Err, err) {
				return
			}
		case <-timeout:
			w.t.Fatalf("no change of a secret: %s", what)
		}
	}
}

func serves(names ...string) func(outcome) bool {
	return func(o outcome) bool {
		for _, name := range names {
			if o.Table.Webhook(name) == nil {
				return false
			}
		}
		return o.Err == nil && len(o.Table.Webhooks()) == len(names)
	}
}

func fails(o outcome) bool { return o.Err != nil }

func hook(name string) string {
	return fmt.Sprintf("webhooks: [{name: %s, match: {path: /%s}, provider: stripe, secrets: [{file: %s}]}]\n", name, name, "secret")
}

var write = authztest.WriteFile

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "a.yaml"), hook("a"))
	w := start(t, dir)
	write(t, filepath.Join(dir, "b.yaml"), hook("b"))
	w.await("a file more", serves("a", "b"))

	write(t, filepath.Join(dir, "b.yaml"), strings.Replace(hook("b"), "stripe", "strip", 1))
	o := w.await("a broken file", fails)
	if want := filepath.Join(dir, "b.yaml") + ":1:41: webhooks[0].provider: "; !strings.HasPrefix(o.Err.Error(), want) {
		t.Errorf("error %q, want its place %q", o.Err, want)
	}
	if w.Table().Webhook("b") == nil {
		t.Error("the last good table does not serve")
	}
	write(t, filepath.Join(dir, "b.yaml"), hook("c"))
	w.await("the repair", serves("a", "c"))
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.await("a file less", serves("c"))
}

func TestSingleFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, filepath.Join(dir, "p.yaml"))
	write(t, filepath.Join(dir, "p.yaml"), hook("b"))
	w.await("the file", serves("b"))
}

func TestSubdirectoryThatAppears(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	write(t, filepath.Join(dir, "team", "secret"), "a secret of some length") // no policy: no reason to load
	write(t, filepath.Join(dir, "team", "p.yaml"), hook("b"))
	w.await("a file in it", serves("a", "b"))
}

// Kubernetes mounts a ConfigMap as links to a directory that it swaps.
func TestKubernetesSwap(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		write(t, filepath.Join(dir, version, "p.yaml"), text)
		write(t, filepath.Join(dir, version, "secret"), "a secret of some length")
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_1", hook("a"))
	for _, name := range []string{"p.yaml", "secret"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w := start(t, dir)
	if n := len(w.Table().Webhooks()); n != 1 {
		t.Fatalf("%d webhooks; versions beside the mounted one were read", n)
	}
	swap("..2026_2", hook("b"))
	w.await("the swap", serves("b"))
}

func TestSecretThatChanges(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secrets", "stripe"), "a secret of some length")
	write(t, filepath.Join(dir, "policies", "p.yaml"), strings.Replace(hook("a"), "file: secret", "file: ../secrets/stripe", 1))
	w := start(t, filepath.Join(dir, "policies"))
	write(t, filepath.Join(dir, "secrets", "stripe"), "another secret of some length")
	w.awaitSecret("another", nil)
	write(t, filepath.Join(dir, "secrets", "stripe"), "\n")
	w.awaitSecret("an empty secret", secret.ErrEmpty)
	if w.Err() != nil || len(w.reloads) > 0 {
		t.Errorf("a secret is a reason to load: %v", w.Err())
	}
	// A new policy is not loaded with a secret that cannot be used. The one that
	// serves keeps the last good value, and both get the next one.
	write(t, filepath.Join(dir, "policies", "q.yaml"), strings.Replace(hook("b"), "file: secret", "file: ../secrets/stripe", 1))
	if o := w.await("an empty secret", fails); !strings.Contains(o.Err.Error(), "the secret is empty") {
		t.Errorf("error %v", o.Err)
	}
	write(t, filepath.Join(dir, "secrets", "stripe"), "a third secret of some length")
	w.await("the secret of the policy", serves("a", "b"))
}

func TestKick(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	w.kick <- os.Interrupt
	w.await("a kick", serves("a"))
}

// What a reload makes acceptable may have been accepted and forgotten before.
func TestWidenedWindowsAreGuarded(t *testing.T) {
	dir := t.TempDir()
	policyFile := filepath.Join(dir, "p.yaml")
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	with := func(name, tolerance string) string {
		return strings.Replace(hook(name), "provider:", "freshness: {tolerance: "+tolerance+"}, provider:", 1)
	}
	write(t, policyFile, with("a", "300s"))
	w := start(t, dir)
	const ahead = 60*time.Second + replay.Skew // by which senders and replicas may be
	n := 0
	decide := func(name string, now time.Time, age time.Duration) authz.Reason {
		t.Helper()
		n++
		req := &authz.Request{
			Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/" + name),
			Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{fmt.Appendf(nil, "%d", n)}},
		}
		if err := w.Table().Webhook(name).Sign(req, authz.Signing{Now: now.Add(-age)}); err != nil {
			t.Fatal(err)
		}
		var d authz.Decision
		w.Table().Decide(context.Background(), req, now, &d)
		return d.Reason
	}
	for _, step := range []struct {
		name, policy string
		hook         string
		old          authz.Reason
	}{
		{"at the start", "", "a", authz.OK},
		{"unchanged", with("a", "300s") + "# again\n", "a", authz.OK},
		{"widened", with("a", "600s"), "a", authz.ReplayUncertain},
		{"renamed", with("b", "600s"), "b", authz.ReplayUncertain},
	} {
		if step.policy != "" {
			write(t, policyFile, step.policy)
			w.await(step.name, serves(step.hook))
		}
		now := time.Now()
		if got := decide(step.hook, now, 10*time.Second); got != step.old {
			t.Errorf("%s: a delivery signed before: %s, want %s", step.name, got, step.old)
		}
		// It could have come before, if its sender's clock is ahead.
		if got := decide(step.hook, now, -5*time.Second); got != step.old {
			t.Errorf("%s: a delivery signed ahead: %s, want %s", step.name, got, step.old)
		}
		later := now.Add(ahead + time.Second)
		if got := decide(step.hook, later.Add(-ahead/2), -ahead/2); got != authz.OK {
			t.Errorf("%s: a delivery signed after: %s", step.name, got)
		}
	}
}

// What is written half is good before it is whole, and protects less.
func TestWeakerIsHeld(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	const half = "webhooks:\n- name: a\n  match: {path: /a}\n  provider: stripe\n  secrets: [{file: secret}]\n"
	const whole = half + "  conditions: ['body.livemode == true']\n- name: b\n  match: {path: /b}\n  provider: stripe\n  secrets: [{file: secret}]\n"
	write(t, file, whole)
	w := unstarted(dir)
	w.Hold = time.Hour
	watched := run(t, w)

	write(t, file, half)
	o := watched.next()
	if !o.Held || o.Err != nil || o.Table != w.Table() || o.Table.Webhook("b") == nil {
		t.Fatalf("half of the file: %+v", o)
	}
	if len(o.Changes) != 2 || len(o.Changes[0].Wider) != 1 || o.Changes[1].Kind != diff.Removed {
		t.Errorf("changes %v", o.Changes)
	}

	write(t, file, whole+"# all of it\n")
	if o = watched.next(); o.Held || len(o.Changes) != 0 || o.Table.Webhook("b") == nil {
		t.Errorf("all of the file: %+v", o)
	}

	// An operator who says so does not wait.
	write(t, file, half)
	if o = watched.next(); !o.Held {
		t.Fatalf("half of the file once more: %+v", o)
	}
	watched.kick <- os.Interrupt
	if o = watched.next(); o.Held || o.Table.Webhook("b") != nil {
		t.Errorf("after a kick: %+v", o)
	}
}

func TestHeldServesWhenStill(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, file, hook("a"))
	w := unstarted(dir)
	w.Hold = time.Millisecond
	watched := run(t, w)
	write(t, file, hook("b"))
	if o := watched.next(); !o.Held {
		t.Fatalf("at first: %+v", o)
	}
	watched.await("the new policy", serves("b"))
}
