package file_test

import (
	"os"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

var (
	start = replaytest.Start
	// before is a start of the store at which nothing was accepted before.
	before = start.Add(-time.Hour)
)

// directory is in memory where there is such a place: the tests open thousands
// of stores.
func directory(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "hookbastion-test-") //nolint:usetesting // in memory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func config(dir string) file.Config {
	return file.Config{Dir: dir, Sync: time.Hour, Boot: "one", SetupUntil: before.Add(1), Memory: memory.Config{MaxEntries: 250_000}}
}

func opened(t testing.TB, c file.Config, now time.Time) *file.Store {
	t.Helper()
	s, err := file.Open(c, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// store is an empty one that is closed at the end.
func store(t testing.TB) *file.Store {
	t.Helper()
	s := opened(t, config(directory(t)), before)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestFileConforms(t *testing.T) {
	replaytest.Run(t, func(t *testing.T) replay.Store { return store(t) })
}

// subjects makes stores for the model, one at a time. They restart by a kill, by
// a clean end, and by a kill after a compaction, in turn.
type subjects struct {
	t        *testing.T
	restarts int
	end      func() // of the one that is there
}

func (m *subjects) open(c file.Config, at time.Time) replaytest.Subject {
	s := opened(m.t, c, at)
	m.end = s.Kill
	return replaytest.Subject{
		Replicas: [2]replay.Store{s, s},
		Keeps:    true,
		Restart: func(at time.Time) replaytest.Subject {
			s.Sweep(at, 1) // as each second
			switch m.restarts++; m.restarts % 3 {
			case 0:
				s.Kill()
			case 1:
				if err := s.Close(); err != nil {
					m.t.Error(err)
				}
			case 2:
				if err := s.Compact(at); err != nil {
					m.t.Error(err)
				}
				s.Kill()
			}
			return m.open(c, at)
		},
		Sweep:    s.SweepAll,
		Possible: func() int64 { return s.Stats().Possible },
	}
}

func TestModel(t *testing.T) {
	models := replaytest.Models{Every: 121, Steps: 200_000}
	if raceDetector {
		models.Steps, models.Every = 40_000, 241 // make models: more
	}
	made := &subjects{t: t, end: func() {}}
	defer func() { made.end() }()
	dir := directory(t)
	models.New = func(room int) replaytest.Subject {
		made.end()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		c := config(dir)
		c.Memory.MaxEntries = room
		return made.open(c, before)
	}
	replaytest.Model(t, models)
}
