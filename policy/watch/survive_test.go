package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

func TestDirectoryThatGoesAndComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if o := w.await("the directory is gone", fails); !strings.Contains(o.Err.Error(), dir+": cannot be read: no such file or directory") {
		t.Errorf("error %v", o.Err)
	}
	if w.Table().Webhook("a") == nil {
		t.Error("the last good table does not serve")
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	w.await("the directory is back", serves("a"))
	write(t, filepath.Join(dir, "p.yaml"), hook("b"))
	w.await("a change in it", serves("b"))
}

// The given path may be a link that is swapped from one release to the next.
func TestLinkedDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secrets", "s"), "a secret of some length") // elsewhere, as its directory is watched too
	release := func(version, name string) {
		text := strings.Replace(hook(name), "file: secret", "file: ../../../secrets/s", 1)
		write(t, filepath.Join(dir, version, "team", "eu", "p.yaml"), text)
	}
	link := func(version string) {
		if err := os.Symlink(version, filepath.Join(dir, "current~")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "current~"), filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	release("v1", "a")
	link("v1")
	w := start(t, filepath.Join(dir, "current"))
	release("v1", "b")
	w.await("a change below the link", serves("b"))
	release("v2", "c")
	swapped := time.Now()
	link("v2")
	w.await("the swap", serves("c"))
	if took := time.Since(swapped); took > 8*time.Second {
		t.Errorf("the swap was seen after %s, by looking now and then only", took)
	}
	release("v2", "d")
	w.await("a change below the new link", serves("d"))
}

// A file beside the policies that never rests does not keep a change out.
func TestBusyNeighbour(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = os.WriteFile(filepath.Join(dir, "noise"), nil, 0o600) // noticed as a write
			}
		}
	}()
	defer func() { close(stop); <-done }()
	write(t, filepath.Join(dir, "p.yaml"), hook("b"))
	w.await("a change amid others", serves("b"))
}

func TestTokenFileThatChanges(t *testing.T) {
	dir := t.TempDir()
	text := "webhooks: [{name: a, match: {path: /a}, token: {any_of: [{bearer: {value: {file: ../tokens/t}}}]}}]\n"
	write(t, filepath.Join(dir, "tokens", "t"), "a token of some length")
	write(t, filepath.Join(dir, "policies", "p.yaml"), text)
	w := start(t, filepath.Join(dir, "policies", "p.yaml"))
	before := w.Table()
	with := func(token string) authz.Reason {
		req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/a"), Host: authz.View("h")}
		req.Set("authorization", "Bearer "+token)
		var d authz.Decision
		w.Table().Decide(context.Background(), req, time.Now(), &d)
		return d.Reason
	}
	if reason := with("a token of some length"); reason != authz.OK {
		t.Errorf("the first token: %s", reason)
	}
	write(t, filepath.Join(dir, "tokens", "t"), "another token of some length")
	w.awaitSecret("the token", nil)
	if w.Table() != before || with("a token of some length") != authz.TokenInvalid || with("another token of some length") != authz.OK {
		t.Error("the old token still counts, or the table is another one")
	}
}

// The first load must be good: there is no older table.
func TestFirstLoadFails(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.yaml"), hook("a")) // without its secret
	watcher := unstarted(dir)
	if err := watcher.Load(); err == nil || watcher.Table() != nil {
		t.Errorf("%v, table %v", err, watcher.Table())
	}
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	if err := watcher.Load(); err != nil || watcher.Table().Webhook("a") == nil {
		t.Errorf("%v", err)
	}
}
