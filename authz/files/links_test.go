package files_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/files"
)

// Each link is at -> to below one directory; every name says where a change of what it
// leads to can be seen.
func TestDirectories(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plain/file", "v1/file", "v1/sub/file", "mount/..v1/s"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "links"), 0o700); err != nil {
		t.Fatal(err)
	}
	for at, to := range map[string]string{
		"current": "v1", "tofile": "v1/file", "links/far": "../current/sub", "links/absolute": filepath.Join(dir, "plain"),
		"mount/..data": "..v1", "mount/s": "..data/s", "loop": "links/back", "links/back": "../loop", "gone": "nothing/there",
		"links/up": "../v1/sub/..", "links/uplink": "far/../file",
	} {
		if err := os.Symlink(filepath.FromSlash(to), filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"plain/file":          "plain",
		"plain":               "plain",
		"plain/none":          "plain",
		"plain/none/none":     "plain",
		"plain/file/none":     "plain",
		"current":             ". v1",
		"current/file":        ". v1",
		"current/sub/file":    ". v1/sub",
		"tofile":              ". v1",
		"links/far/file":      ". links v1/sub",
		"links/absolute/file": "links plain",
		"mount/s":             "mount mount/..v1",
		"loop":                ". links",
		"loop/file":           ". links",
		"gone":                ".",
		"links/up/file":       "links v1",
		"links/uplink":        ". links v1", // .. counts from where the link leads to
		"":                    "",
	} {
		var got []string
		for _, found := range slices.Sorted(maps.Keys(files.Directories([]string{filepath.Join(dir, filepath.FromSlash(name))}))) {
			if rel, err := filepath.Rel(dir, found); err == nil && !strings.HasPrefix(rel, "..") && name != "" {
				got = append(got, filepath.ToSlash(rel))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}
