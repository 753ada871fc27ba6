package watch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/diff"
	"github.com/hookbastion/hookbastion/policy/watch"
)

// next returns the next reload, whatever it is.
func (w *watched) next() outcome {
	w.t.Helper()
	return w.await("any", func(outcome) bool { return true })
}

// quiet fails if there was a reload besides those that were taken, or is one
// before a kick is answered.
func (w *watched) quiet() {
	w.t.Helper()
	w.kick <- os.Interrupt
	if o := w.next(); o.Err != nil || len(o.Changes) > 0 {
		w.t.Errorf("the kick found %v, error %v", o.Changes, o.Err)
	}
	select {
	case o := <-w.reloads:
		w.t.Errorf("one reload too many: %v", o)
	default:
	}
}

func TestReports(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, file, hook("a"))
	w := start(t, dir)

	write(t, file, strings.Replace(hook("a"), "provider:", "mode: SHADOW, provider:", 1))
	o := w.next()
	if len(o.Changes) != 1 || o.Changes[0].Webhook != "a" || len(o.Changes[0].Wider) != 1 || o.Table != w.Table() {
		t.Errorf("changes %v, error %v", o.Changes, o.Err)
	}

	broken := strings.Replace(hook("b"), "stripe", "strip", 1)
	for i, repeated := range []bool{false, true} {
		write(t, file, broken+strings.Repeat("\n", i))
		if o = w.next(); o.Err == nil || o.Repeated != repeated || len(o.Changes) != 0 || w.Err() == nil || o.Table.Webhook("a") == nil {
			t.Errorf("broken %d: %+v", i, o)
		}
	}
	write(t, file, strings.Replace(broken, "strip", "strope", 1))
	if o = w.next(); o.Err == nil || o.Repeated {
		t.Errorf("broken otherwise: %+v", o)
	}

	// Compared with what served, not with what was broken.
	write(t, file, hook("b"))
	o = w.next()
	if o.Err != nil || w.Err() != nil || o.Changes.Count(diff.Added) != 1 || o.Changes.Count(diff.Removed) != 1 {
		t.Errorf("repaired: %+v", o)
	}
	w.quiet()
}

// What happens beside policies and secrets is no reason to load.
func TestNeighboursAreNoReason(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	write(t, filepath.Join(dir, "notes.txt"), "n")
	write(t, filepath.Join(dir, "p_test.yaml"), "cases: []")
	write(t, filepath.Join(dir, ".hidden", "q.yaml"), "not a policy")
	write(t, filepath.Join(dir, "q.yaml"), hook("b"))
	if o := w.next(); len(o.Changes) != 1 {
		t.Errorf("%+v", o)
	}
	w.quiet()
}

// Kubernetes writes a new version, swaps a link and removes the old version:
// three events, one reload, with all files of one version.
func TestKubernetesSwapIsOneReload(t *testing.T) {
	dir := t.TempDir()
	version := func(name, hookName string) {
		for i := range 20 {
			write(t, filepath.Join(dir, name, fmt.Sprintf("p%02d.yaml", i)), hook(fmt.Sprintf("%s%d", hookName, i)))
		}
		write(t, filepath.Join(dir, name, "secret"), "a secret of some length")
	}
	swap := func(name string) {
		for _, step := range []error{
			os.Symlink(name, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
	}
	version("..1", "a")
	swap("..1")
	for i := range 20 {
		if err := os.Symlink(fmt.Sprintf("..data/p%02d.yaml", i), filepath.Join(dir, fmt.Sprintf("p%02d.yaml", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..data/secret", filepath.Join(dir, "secret")); err != nil {
		t.Fatal(err)
	}
	w := start(t, dir)
	version("..2", "b")
	swap("..2")
	if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
		t.Fatal(err)
	}
	o := w.next()
	if o.Err != nil || o.Changes.Count(diff.Added) != 20 || o.Changes.Count(diff.Removed) != 20 || len(o.Changes) != 40 {
		t.Errorf("%d changes, %v", len(o.Changes), o.Err)
	}
	w.quiet()
}

// Files that are swapped while they are read are read again: never half of one
// version and half of another.
func TestNeverHalf(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := unstarted(dir)
	compile, loads := w.Compile, 0
	w.Compile = func(set *policy.Set, previous *authz.Table) (*authz.Table, error) {
		if loads++; loads == 1 {
			write(t, filepath.Join(dir, "p.yaml"), hook("b")) // after it was read
		}
		return compile(set, previous)
	}
	if err := w.Load(); err != nil || loads != 2 || w.Table().Webhook("b") == nil || w.Table().Webhook("a") != nil {
		t.Errorf("%d loads, error %v", loads, err)
	}
	w.Compile = func(set *policy.Set, previous *authz.Table) (*authz.Table, error) {
		loads++
		write(t, filepath.Join(dir, "secret"), strings.Repeat("a secret of some length", loads))
		return compile(set, previous)
	}
	before := w.Table()
	if err := w.Load(); !errors.Is(err, watch.ErrUnstable) || w.Table() != before {
		t.Errorf("error %v", err)
	}
}

func TestFileThatIsRecreated(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, file, hook("a"))
	w := start(t, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write(t, file, hook("b"))
	w.await("the new file", serves("b"))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.await("no file", fails)
	write(t, file, hook("c"))
	w.await("the file again", serves("c"))
}

// A pipe behind a link would be read for ever.
func TestPipeBehindALink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	if err := authztest.Pipe(filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pipe", filepath.Join(dir, "q.yaml")); err != nil {
		t.Fatal(err)
	}
	if o := w.await("the pipe", fails); !strings.Contains(o.Err.Error(), "q.yaml: cannot be read: not a regular file") {
		t.Errorf("error %v", o.Err)
	}
	write(t, filepath.Join(dir, "q.yaml"), hook("b"))
	w.await("a file in its place", serves("a", "b"))
}

// A burst of writes in place is one reload.
func TestBurst(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	begin := time.Now()
	for i := range 50 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("q%d.yaml", i)), []byte(hook(fmt.Sprintf("q%d", i))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(begin)
	o := w.next()
	if took < 50*time.Millisecond && len(o.Changes) != 50 { // else the machine stood still between two writes
		t.Errorf("%d changes at once", len(o.Changes))
	}
}
