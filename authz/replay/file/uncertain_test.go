package file_test

import (
	"bytes"
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outcome is that of a delivery with a signed time which nobody has seen.
func outcome(t *testing.T, s *file.Store, n uint64, now time.Time) replay.Outcome {
	t.Helper()
	a, err := s.Reserve(context.Background(), replaytest.Signed(n, now), replay.Claim{}, now)
	if err != nil {
		t.Fatal(err)
	}
	return a.Outcome
}

// An older state of the directory that is put in place, as from a backup, lacks
// what was accepted since: signed times are uncertain.
func TestOlderDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		clean  bool          // the backup was made after a clean end
		copied bool          // its files are others than those that were left
		after  time.Duration // it was put in place so long after it was made
		want   replay.Outcome
	}{
		"of a running process, at once":             {false, false, 50 * time.Second, replay.Reserved},
		"of a running process, later":               {false, false, 61 * time.Second, replay.Uncertain},
		"of a running process, as other files":      {false, true, time.Second, replay.Uncertain},
		"of one that has ended, as other files":     {true, true, time.Second, replay.Uncertain},
		"of one that has ended: as if it had slept": {true, false, time.Hour, replay.Reserved},
	} {
		t.Run(name, func(t *testing.T) {
			config := config(directory(t))
			s := opened(t, config, before)
			if got := outcome(t, s, 1, start); got != replay.Reserved {
				t.Fatalf("outcome %d", got)
			}
			if c.clean {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				s.Kill()
			}
			if c.copied {
				copied := directory(t)
				if err := os.CopyFS(copied, os.DirFS(config.Dir)); err != nil {
					t.Fatal(err)
				}
				config.Dir = copied
			}
			now := start.Add(c.after)
			for range 2 { // a second start knows what the first has found
				s = opened(t, config, now)
				if got := outcome(t, s, 2, now.Add(-time.Second)); got != c.want && got != replay.CopyUnknown {
					t.Errorf("outcome %d, want %d: %+v", got, c.want, s.Recovery())
				}
				if a, err := s.Reserve(context.Background(), replaytest.Signed(1, start), replay.Claim{}, now); err != nil || c.after < time.Minute && a.Outcome != replay.CopyUnknown {
					t.Errorf("what it knows: outcome %d, %v", a.Outcome, err)
				}
				s.Kill()
			}
			later := now.Add(time.Minute + replay.Skew + time.Second)
			s = opened(t, config, now)
			defer s.Kill()
			if got := outcome(t, s, 3, later); got != replay.Reserved {
				t.Errorf("what cannot have come before: outcome %d", got)
			}
		})
	}
}

// A backup that is put back over what came since is seen, however that is done: a
// file system gives the numbers of removed files away again, and who writes over
// files, or leaves those that are the same, keeps their numbers.
func TestBackupPutBack(t *testing.T) {
	ways := map[string]func(t *testing.T, dir string, backup map[string][]byte){
		"after the directory was removed": func(t *testing.T, dir string, backup map[string][]byte) {
			must(t, os.RemoveAll(dir))
			for _, name := range slices.Sorted(maps.Keys(backup)) {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
				must(t, os.WriteFile(filepath.Join(dir, name), backup[name], 0o600))
			}
		},
		"over the files that are there": func(t *testing.T, dir string, backup map[string][]byte) {
			for name, data := range backup {
				must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
			}
		},
		"where files have changed": func(t *testing.T, dir string, backup map[string][]byte) {
			for name, data := range backup {
				if is, err := os.ReadFile(filepath.Join(dir, name)); err == nil && bytes.Equal(is, data) {
					continue
				}
				must(t, os.WriteFile(filepath.Join(dir, name+".new"), data, 0o600))
				must(t, os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)))
			}
		},
	}
	for name, put := range ways {
		t.Run(name, func(t *testing.T) {
			c := config(directory(t))
			s := opened(t, c, before)
			ask(t, s, 1)
			must(t, s.Close())
			backup := map[string][]byte{}
			must(t, filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				name, _ := filepath.Rel(c.Dir, path)
				backup[name], err = os.ReadFile(path)
				return err
			}))
			s = opened(t, c, start)
			if got := outcome(t, s, 2, start); got != replay.Reserved {
				t.Fatalf("outcome %d: %+v", got, s.Recovery())
			}
			must(t, s.Close())
			now, err := filepath.Glob(filepath.Join(c.Dir, "log", "*"))
			must(t, err)
			for _, path := range now {
				if name, _ := filepath.Rel(c.Dir, path); backup[name] == nil {
					must(t, os.Remove(path))
				}
			}
			put(t, c.Dir, backup)
			s = opened(t, c, start.Add(time.Second))
			defer s.Kill()
			if got := outcome(t, s, 2, start); got != replay.Uncertain {
				t.Errorf("what came since: outcome %d: %+v", got, s.Recovery())
			}
		})
	}
}

// What was left is not a copy, after however many restarts.
func TestOwnDirectoryIsNoCopy(t *testing.T) {
	c := config(directory(t))
	opened(t, c, before).Kill()
	for n := range 6 {
		s := opened(t, c, start)
		if r := s.Recovery(); r.Copied {
			t.Errorf("start %d: %+v", n, r)
		}
		if n%2 == 0 {
			must(t, s.Close())
		} else {
			s.Kill()
		}
	}
}

// A process without traffic says every ten seconds that it is there, so that a
// kill after a quiet hour is no gap.
func TestHeartbeat(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	now := before
	for ; now.Before(start); now = now.Add(time.Second) {
		s.Sweep(now, 1)
	}
	if written := s.Log().Written; written > 400 {
		t.Errorf("%d batches in an hour", written)
	}
	s.Kill()
	s = opened(t, c, start.Add(40*time.Second))
	defer s.Kill()
	if r := s.Recovery(); r.Gap != 0 || !r.Crash {
		t.Errorf("%+v", r)
	}
}

// What a start has found uncertain stays so if the process ends at once, and so
// does a first start's guard.
func TestGuardOutlivesTheProcess(t *testing.T) {
	for name, end := range restarts {
		c := config(directory(t))
		s := opened(t, c, start)
		if !s.Recovery().New {
			t.Fatal("not new")
		}
		end(t, s)
		for range 2 {
			s = opened(t, c, start.Add(10*time.Second))
			if got := outcome(t, s, 1, start.Add(10*time.Second)); got != replay.Uncertain {
				t.Errorf("%s: outcome %d", name, got)
			}
			end(t, s)
		}
	}
}

// A clock that was ahead and is right again is noticed while the store runs, and
// a restart then finds no clock that was set back.
func TestClockAhead(t *testing.T) {
	c := config(directory(t))
	s := opened(t, c, before)
	if got := outcome(t, s, 1, start); got != replay.Reserved {
		t.Fatalf("outcome %d", got)
	}
	for n := range uint64(10) {
		at := start.Add(time.Hour + time.Duration(n)*time.Second)
		outcome(t, s, 100+n, at)
		s.SweepAll(at)
		s.Sweep(at, 1)
	}
	for n := range 4 {
		s.Sweep(start.Add(time.Duration(20+n)*time.Second), 1)
	}
	now := start.Add(30 * time.Second)
	if got := outcome(t, s, 2, now); got != replay.Uncertain {
		t.Errorf("just after: outcome %d", got)
	}
	if err := s.Compact(now); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s = opened(t, c, now)
	defer s.Kill()
	if r := s.Recovery(); r.ClockBack != 0 {
		t.Errorf("%+v", r)
	}
	if got := outcome(t, s, 1, start); got == replay.Reserved {
		t.Error("accepted again")
	}
	later := start.Add(20*time.Second + 2*time.Minute)
	if got := outcome(t, s, 3, later); got != replay.Reserved {
		t.Errorf("two minutes later: outcome %d", got)
	}
}

// An empty directory may be declared to be new.
func TestSetup(t *testing.T) {
	c := config(directory(t))
	c.SetupUntil = start.Add(time.Minute)
	s := opened(t, c, start)
	defer s.Kill()
	if got := outcome(t, s, 1, start); got != replay.Reserved {
		t.Errorf("outcome %d", got)
	}
}
