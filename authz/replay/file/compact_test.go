package file_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
)

// A check waits for its write and for nothing else: a disk that takes for ever to make a
// segment, to bring it to the disk or to remove one holds up a compaction alone.
func TestNobodyWaitsForACompaction(t *testing.T) {
	for _, operation := range []string{"create", "sync", "remove"} {
		t.Run(operation, func(t *testing.T) {
			s := store(t)
			for n := range uint64(5000) {
				ask(t, s, n)
			}
			reached, goOn := make(chan struct{}, 16), make(chan struct{})
			s.Delay(func(did, _ string) {
				if did == operation {
					reached <- struct{}{}
					<-goOn
				}
			})
			compacted := make(chan error, 1)
			go func() { compacted <- s.Compact(start) }()
			<-reached
			asked := make(chan replay.Outcome)
			go func() {
				for n := range uint64(100) {
					asked <- ask(t, s, 1<<40+n)
				}
			}()
			for range 100 {
				select {
				case got := <-asked:
					if got != replay.Reserved {
						t.Error(got)
					}
				case <-time.After(time.Minute):
					t.Fatal("a check waits for a compaction")
				}
			}
			close(goOn)
			if err := <-compacted; err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever a compaction was at when the process was killed, and whether or not the log
// was repaired meanwhile, nothing is forgotten.
func TestKilledWhileItCompacts(t *testing.T) {
	const nonces = 3000
	for _, c := range []struct {
		operation string
		at        int // of those, counted from 1
		repair    bool
		fails     bool
	}{
		{"create", 1, false, false}, {"create", 1, true, false}, {"created", 1, false, false}, {"created", 1, true, true},
		{"sync", 1, false, false}, {"sync", 1, true, false}, {"remove", 1, false, false}, {"remove", 2, false, false},
	} {
		name := c.operation
		if c.repair {
			name += ", repaired"
		}
		t.Run(name, func(t *testing.T) {
			kept := config(directory(t))
			s := opened(t, kept, before)
			// More than one segment is to go.
			for n := range uint64(nonces) {
				ask(t, s, n)
				if n == nonces/2 {
					if err := s.Repair(); err != nil {
						t.Fatal(err)
					}
				}
			}
			copied := directory(t)
			met := 0
			s.Delay(func(did, _ string) {
				if did != c.operation {
					return
				}
				if met++; met != c.at {
					return
				}
				if c.repair { // which makes a segment, too
					if err := s.Repair(); err != nil {
						t.Error(err)
					}
				}
				ask(t, s, nonces+1)
				if err := os.CopyFS(copied, os.DirFS(kept.Dir)); err != nil {
					t.Error(err)
				}
			})
			err := s.Compact(start)
			if (err != nil) != c.fails {
				t.Errorf("the compaction: %v", err)
			}
			ask(t, s, nonces+2)
			s.Kill()
			known(t, kept, nonces+3, nonces)
			kept.Dir = copied
			known(t, kept, nonces+2, nonces)
		})
	}
}

// known opens a directory and looks for the nonces below end, but for one.
func known(t *testing.T, c file.Config, end, but uint64) {
	t.Helper()
	s := opened(t, c, start)
	defer s.Kill()
	for n := range end {
		if got := ask(t, s, n); n != but && got == replay.Reserved {
			t.Fatalf("nonce %d of %d is forgotten", n, end)
		}
	}
}

// Segments that were made and never begun do not stay.
func TestSegmentsThatWereNeverBegun(t *testing.T) {
	s := store(t)
	ask(t, s, 1)
	first := true
	s.Delay(func(did, _ string) {
		if did == "created" && first {
			first = false
			if err := s.Repair(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := s.Compact(start); err == nil {
		t.Error("it turned to a segment before the one that is written")
	}
	if err := s.Compact(start); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(s.Dir(), "log", "0*"))
	if err != nil || len(segments) != 1 {
		t.Errorf("%v, %v", segments, err)
	}
	if got := ask(t, s, 1); got == replay.Reserved {
		t.Error("it is forgotten")
	}
}
