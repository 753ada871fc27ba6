package files_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/authz/files"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestRun changes a file in place, by a rename, and the way Kubernetes does.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(version string) {
		t.Helper()
		link := filepath.Join(dir, "..data")
		if err := os.Symlink(version, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "key")
	write(filepath.Join(dir, "v1", "key"), "1")
	swap("v1")
	if err := os.Symlink(filepath.Join("..data", "key"), file); err != nil {
		t.Fatal(err)
	}

	seen := make(chan string, 64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		files.Run(ctx, []string{file}, func() {
			text, err := os.ReadFile(file)
			if err != nil {
				text = []byte(err.Error())
			}
			seen <- string(text)
		}, nil)
	}()
	defer func() { cancel(); <-ended }()
	await := func(want string) {
		t.Helper()
		timeout := time.NewTimer(30 * time.Second)
		defer timeout.Stop()
		for {
			select {
			case got := <-seen:
				if got == want {
					return
				}
			case <-timeout.C:
				t.Fatalf("%q was not seen", want)
			}
		}
	}
	await("1")
	write(filepath.Join(dir, "v2", "key"), "2")
	swap("v2")
	await("2")
	write(file+".new", "3")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	await("3")
	write(file, "4")
	await("4")
}
