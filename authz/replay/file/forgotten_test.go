package file_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// An older copy of the directory lacks what came since.
func TestFileAfterALoss(t *testing.T) {
	replaytest.Losses(t, func(t *testing.T) replaytest.Subject {
		c := config(directory(t))
		opened(t, c, before).Kill()
		old := directory(t)
		copyOver(t, old, c.Dir)
		s := opened(t, c, before)
		return replaytest.Subject{Replicas: [2]replay.Store{s, s}, Restart: func(at time.Time) replaytest.Subject {
			s.Kill()
			copyOver(t, c.Dir, old)
			s := opened(t, c, at)
			t.Cleanup(s.Kill)
			return replaytest.Subject{Replicas: [2]replay.Store{s, s}, Possible: func() int64 { return s.Stats().Possible }}
		}}
	})
}

func copyOver(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// What was found at a start in which way, and whether what is new may have been
// forgotten then: for a window, over further starts.
func TestMarkedAfterAStart(t *testing.T) {
	const window = 3 * time.Hour
	for name, test := range map[string]struct {
		end    func(*file.Store) error
		change func(t *testing.T, c *file.Config)
		after  time.Duration
		marked bool
	}{
		"a clean end":           {end: (*file.Store).Close},
		"a clean end, long ago": {end: (*file.Store).Close, after: time.Hour},
		"a kill":                {},
		"a kill, torn":          {change: func(t *testing.T, c *file.Config) { torn(t, c.Dir, 3, true) }},
		"another boot after a clean end": {end: (*file.Store).Close,
			change: func(_ *testing.T, c *file.Config) { c.Boot = "two" }},
		"a loss of power":           {change: func(_ *testing.T, c *file.Config) { c.Boot = "two" }, marked: true},
		"a kill, and a longer time": {after: 2 * time.Minute, marked: true},
		"a damaged end":             {change: func(t *testing.T, c *file.Config) { torn(t, c.Dir, 3, false) }, marked: true},
		"without a tip":             {change: func(t *testing.T, c *file.Config) { remove(t, c.Dir, "tip") }, marked: true},
		"without a mark":            {change: func(t *testing.T, c *file.Config) { remove(t, c.Dir, "mark") }, marked: true},
		"a clock that was set back": {after: -time.Minute, marked: true},
		"a first start":             {change: func(t *testing.T, c *file.Config) { c.Dir, c.SetupUntil = directory(t), time.Time{} }, marked: true},
		"the setup":                 {change: func(t *testing.T, c *file.Config) { c.Dir, c.SetupUntil = directory(t), start.Add(time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(directory(t))
			s := opened(t, c, before)
			n := uint64(0)
			mark := func(at time.Time) authz.Mark {
				t.Helper()
				n++
				a, err := s.Reserve(context.Background(), replaytest.Unsigned(n, at, window), replay.Claim{}, at)
				if err != nil || a.Outcome != replay.Reserved || !a.New {
					t.Fatalf("%+v, %v", a, err)
				}
				return a.Mark
			}
			if got := mark(start); got != authz.MarkNone {
				t.Errorf("before: %q", got)
			}
			mark(start)
			if test.end == nil {
				s.Kill()
			} else if err := test.end(s); err != nil {
				t.Fatal(err)
			}
			if test.change != nil {
				test.change(t, &c)
			}
			now := start.Add(test.after)
			s = opened(t, c, now)
			defer func() { s.Kill() }()
			want := authz.MarkNone
			if test.marked {
				want = authz.MarkPossible
			}
			if got := mark(now); got != want {
				t.Errorf("at the start: %q, %+v", got, s.Recovery())
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = opened(t, c, now.Add(2*time.Hour))
			if got := mark(now.Add(2 * time.Hour)); got != want {
				t.Errorf("after a clean end: %q", got)
			}
			if got := mark(now.Add(window + replay.Skew)); got != authz.MarkNone {
				t.Errorf("after its window: %q", got)
			}
		})
	}
}

// torn cuts bytes off the log's last write, which nobody had an answer for, or had.
func torn(t *testing.T, dir string, bytes int64, unanswered bool) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "log", "0*"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	name := segments[len(segments)-1]
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-bytes); err != nil {
		t.Fatal(err)
	}
	if unanswered {
		if err := os.WriteFile(filepath.Join(dir, "tip"), file.Tip(1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// Settled and adopted after a restart, a marked delivery is what it was.
func TestMarkOutlivesTheProcess(t *testing.T) {
	for name, end := range restarts {
		c := config(directory(t))
		c.SetupUntil = time.Time{}
		s := opened(t, c, start)
		n := replaytest.Unsigned(1, start, time.Hour)
		first, err := s.Reserve(context.Background(), n, replaytest.Claim(1, 1, replay.Taken), start)
		if err != nil || first.Mark != authz.MarkPossible {
			t.Fatalf("%s: %+v, %v", name, first, err)
		}
		end(t, s)
		s = opened(t, c, start)
		if a, err := s.Reserve(context.Background(), n, replaytest.Claim(1, 2, replay.Taken), start); err != nil || !a.Adopted || a.Mark != authz.MarkPossible {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		if ok, err := s.Settle(context.Background(), first.Reservation, replay.Undelivered, start); !ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
		if a, err := s.Reserve(context.Background(), n, replaytest.Claim(2, 3, replay.Taken), start); err != nil || a.Mark != authz.MarkPossible || !a.New {
			t.Errorf("%s: after a failure: %+v, %v", name, a, err)
		}
		s.Kill()
	}
}
