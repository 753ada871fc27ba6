package secret_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/secret"
)

var put = authztest.WriteFile

func asHex(v secret.Value) (secret.Value, error)  { return v.Decode(secret.Hex) }
func asText(v secret.Value) (secret.Value, error) { return v.Decode(secret.Text) }

// cells returns the cells of a file with each of the readers.
func cells(t *testing.T, name string, accept ...secret.Accept) (*secret.Files, []*secret.Cell) {
	t.Helper()
	files := secret.NewFiles()
	if _, err := files.Read(name); err != nil {
		t.Fatal(err)
	}
	var all []*secret.Cell
	for i, a := range accept {
		cell, err := files.Add(name, secret.Use{Webhook: "hook", Key: fmt.Sprint(i), Accept: a})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cell)
	}
	files.Forget()
	return files, all
}

func value(c *secret.Cell) string { return string(c.Load(nil).Reveal()) }

func TestRefresh(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	put(t, name, "6161")
	files, c := cells(t, name, asHex, asText)
	text, hex := c[1], c[0]
	first := hex.Load(nil)
	for _, step := range []struct {
		write     func()
		hex, text string
		errs      []error // of the changes; nil for a new value
		lastGood  int
	}{
		{func() {}, "aa", "6161", nil, 0},
		{func() { put(t, name, "6262\n") }, "bb", "6262", []error{nil, nil}, 0},
		{func() { put(t, name, "6262") }, "bb", "6262", nil, 0},
		{func() { put(t, name, "c4nary") }, "bb", "c4nary", []error{secret.ErrHex, nil}, 1},
		{func() { put(t, name, "c4nary") }, "bb", "c4nary", nil, 1},
		{func() { put(t, name, "") }, "bb", "c4nary", []error{secret.ErrEmpty}, 2},
		{func() { put(t, name, "\n") }, "bb", "c4nary", nil, 2},
		{func() { put(t, name, strings.Repeat("6", secret.MaxBytes+1)) }, "bb", "c4nary", []error{secret.ErrTooLarge}, 2},
		{func() { _ = os.Remove(name) }, "bb", "c4nary", []error{os.ErrNotExist}, 2},
		{func() { _ = authztest.Pipe(name) }, "bb", "c4nary", []error{secret.ErrNotFile}, 2},
		{func() { put(t, name, "6363") }, "cc", "6363", []error{nil, nil}, 0},
	} {
		step.write()
		changes := files.Refresh(time.Now(), nil)
		if len(changes) != len(step.errs) {
			t.Fatalf("%d changes, want %d: %+v", len(changes), len(step.errs), changes)
		}
		for i, c := range changes {
			if !errors.Is(c.Err, step.errs[i]) || c.File != name || c.Err != nil && strings.Contains(c.Err.Error(), "c4nary") {
				t.Errorf("%+v, want %v", c, step.errs[i])
			}
		}
		if value(hex) != step.hex || value(text) != step.text {
			t.Errorf("%q and %q, want %q and %q", value(hex), value(text), step.hex, step.text)
		}
		if n := files.Count(); n.LastGood != step.lastGood || n.Current != 2-step.lastGood {
			t.Errorf("%+v, want %d at the last good value", n, step.lastGood)
		}
	}
	if string(first.Reveal()) != "aa" {
		t.Error("a version has changed")
	}
}

// What was swapped together with the policies waits for them.
func TestRefreshIsPutOff(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	put(t, name, "aa")
	files, c := cells(t, name, asText)
	put(t, name, "bbb")
	if changes := files.Refresh(time.Now(), func() bool { return false }); changes != nil || value(c[0]) != "aa" {
		t.Errorf("taken: %v", changes)
	}
	if changes := files.Refresh(time.Now(), func() bool { return true }); len(changes) != 1 || value(c[0]) != "bbb" {
		t.Errorf("not taken: %v", changes)
	}
}

// What comes back as it was is told, too.
func TestRecovery(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	put(t, name, "6161")
	files, _ := cells(t, name, asHex)
	put(t, name, "")
	files.Refresh(time.Now(), nil)
	put(t, name, "6161")
	if changes := files.Refresh(time.Now(), nil); len(changes) != 1 || changes[0].Err != nil || files.Count().LastGood != 0 {
		t.Errorf("%+v", changes)
	}
}

// Kubernetes swaps a link to a directory; the file's own name never changes.
func TestKubernetesSwap(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		put(t, filepath.Join(dir, version, "s"), text)
		for _, step := range []error{
			os.Symlink(version, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
	}
	swap("..1", "6161")
	if err := os.Symlink("..data/s", filepath.Join(dir, "s")); err != nil {
		t.Fatal(err)
	}
	files, c := cells(t, filepath.Join(dir, "s"), asHex)
	swap("..2", "6262")
	if changes := files.Refresh(time.Now(), nil); len(changes) != 1 || value(c[0]) != "bb" {
		t.Errorf("%+v, %q", changes, value(c[0]))
	}
}

// Another text of the same size at the same time is noticed: the clocks of file
// systems are coarse.
func TestSameStamp(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	put(t, name, "6161")
	at := time.Now()
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
	files, c := cells(t, name, asHex)
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("6262"); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
	if files.Refresh(time.Now(), nil); value(c[0]) != "bb" {
		t.Error("the change went unnoticed")
	}
}

// Readers see a whole value, and what was kept with it, whatever happens.
func TestSwapsRace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	put(t, name, "00")
	files, c := cells(t, name, asText)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := c[0].Load(nil)
				kept := v.Kept()
				if kept == nil {
					kept = v.Keep(string(v.Reveal()))
				}
				digest := secret.DigestOf(v.Reveal())
				if kept != string(v.Reveal()) || !v.Digest.Same(&digest) {
					t.Error("what was kept belongs to another value")
					return
				}
			}
		})
	}
	for i := range 200 {
		put(t, name, fmt.Sprintf("%02d", i%100))
		files.Refresh(time.Now(), nil)
		files.Count()
	}
	close(stop)
	readers.Wait()
}

func TestTenantCell(t *testing.T) {
	c := secret.TenantCell(1)
	a := secret.NewVersion(secret.New([]byte("a")))
	if c.Load(nil) != nil || c.Load(secret.Held{a}) != nil || c.Load(secret.Held{nil, nil}) != nil || c.Load(secret.Held{nil, a}) != a || !c.PerTenant() {
		t.Error("the cell of another tenant")
	}
	var none *secret.Files
	if none.Refresh(time.Now(), nil) != nil || none.Names() != nil || none.Count() != (secret.Counts{}) {
		t.Error("no files, and yet some")
	}
}
