package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
)

func TestOneProcess(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	if _, err := file.Open(c, before); err == nil || !strings.Contains(err.Error(), c.Dir+": another process uses the directory") {
		t.Errorf("a second store: %v", err)
	}
	s.Kill()
	opened(t, c, before).Kill()
}

func TestKeys(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	fingerprint, seal := s.FingerprintKey(), s.SealKey()
	s.Kill()
	s = opened(t, c, before)
	if s.FingerprintKey() != fingerprint || s.SealKey() != seal {
		t.Error("a restart has changed the keys")
	}
	s.Kill()
	path := filepath.Join(c.Dir, "keys")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[40] ^= 1
	for what, spoil := range map[string]func() error{
		"damaged": func() error { return os.WriteFile(path, data, 0o600) },
		"missing": func() error { return os.Remove(path) },
	} {
		defer func() {
			if err := spoil(); err != nil {
				t.Error(err)
			}
			if _, err := file.Open(c, start); err == nil || !strings.Contains(err.Error(), "keys is "+what) {
				t.Errorf("keys are %s: %v", what, err)
			}
		}()
	}
}

// A start that was killed, and a mark that cannot be read, are no obstacle.
func TestBrokenOff(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	ask(t, s, 1)
	s.Kill()
	for what, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"damaged": func(path string) error { return os.WriteFile(path, []byte(`{"boot": on`), 0o600) },
	} {
		if err := spoil(filepath.Join(c.Dir, "mark")); err != nil {
			t.Fatal(err)
		}
		s := opened(t, c, start)
		if r := s.Recovery(); !r.PowerLoss {
			t.Errorf("%s: %+v", what, r)
		}
		if got := ask(t, s, 1); got == replay.Reserved {
			t.Errorf("%s: accepted again", what)
		}
		s.Kill()
	}
}

// A part of the directory is no directory.
func TestIncomplete(t *testing.T) {
	for name, missing := range map[string]string{"has no segments": "log/00000000", "segments before 00000002 are missing": "log/0000000[01]"} {
		c := config(directory(t))
		s := opened(t, c, before)
		if name != "has no segments" {
			if err := s.Compact(start); err != nil {
				t.Fatal(err)
			}
		}
		s.Kill()
		if name != "has no segments" {
			opened(t, c, start).Kill() // has another segment, and an empty one
			s = opened(t, c, start)
			ask(t, s, 1)
			s.Kill()
		}
		files, err := filepath.Glob(filepath.Join(c.Dir, missing))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := file.Open(c, start); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

func TestNoDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Open(config(path), start); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file: %v", err)
	}
	if _, err := file.Open(config(filepath.Join(path, "below")), start); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("below a file: %v", err)
	}
}

// What is kept beside the nonces is there whole or not at all.
func TestKept(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	if data, err := s.Kept(); data != nil || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	for _, text := range []string{"one", "another"} {
		if err := s.Keep([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	s.Kill()
	s = opened(t, c, before)
	defer s.Kill()
	if data, err := s.Kept(); string(data) != "another" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}
