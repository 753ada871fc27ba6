package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/files"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	authztest.WriteFile(t, filepath.Join(dir, "good"), "1234567890")
	authztest.WriteFile(t, filepath.Join(dir, "empty"), "")
	if err := authztest.Pipe(filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	for at, to := range map[string]string{"a": "b", "b": "a", "link": "good", "to-pipe": "pipe", "to-none": "none"} {
		if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		max  int
		want string
		err  error
	}{
		"good":    {10, "1234567890", nil},
		"link":    {10, "1234567890", nil},
		"empty":   {10, "", nil},
		".":       {10, "", files.ErrNotRegular},
		"pipe":    {10, "", files.ErrNotRegular},
		"to-pipe": {10, "", files.ErrNotRegular},
		"none":    {10, "", fs.ErrNotExist},
		"to-none": {10, "", fs.ErrNotExist},
		"good/x":  {10, "", errors.ErrUnsupported}, // any: not a directory
		"a":       {10, "", errors.ErrUnsupported}, // any: too many links
		"./good":  {9, "", files.ErrTooLarge},
	} {
		got, _, err := files.Read(filepath.Join(dir, name), c.max)
		switch {
		case errors.Is(c.err, errors.ErrUnsupported) && err == nil, !errors.Is(c.err, errors.ErrUnsupported) && !errors.Is(err, c.err), string(got) != c.want:
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, c.want, c.err)
		case err != nil && strings.Contains(err.Error(), dir):
			t.Errorf("%s: the error has the path, which its caller says: %v", name, err)
		}
	}
	if _, err := files.ReadAll([]string{filepath.Join(dir, "good"), filepath.Join(dir, "none")}, 10); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, "none")+": ") {
		t.Errorf("of several files: %v", err)
	}
}

// Stamps tell states apart whose size and times are the same.
func TestStamps(t *testing.T) {
	dir := t.TempDir()
	name, old := filepath.Join(dir, "f"), time.Now().Add(-time.Hour)
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	look := func() files.Stamp {
		t.Helper()
		stamp, err := files.Look(name, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return stamp
	}
	put(name, "one")
	first := look()
	if again := look(); !first.Same(again) || first.String() != again.String() {
		t.Error("nothing has changed")
	}
	put(name+".new", "two")
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	if second := look(); first.Same(second) || first.String() == second.String() {
		t.Error("another file of the same size and time is taken for the first one")
	}
	authztest.WriteFile(t, name, "three")
	if just := look(); just.Same(just) {
		t.Error("a file that was written just now may change without a trace")
	}
}
