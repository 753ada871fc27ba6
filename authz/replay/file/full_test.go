//go:build unix

package file_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// aloneVariable says that a process runs one test alone.
const aloneVariable = "HOOKBASTION_TEST_ALONE"

// alone runs the test in a process of its own and reports whether this is it.
// Of this one, files of the test tool would be cut short, too.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVariable) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // this binary
	child.Env = append(os.Environ(), aloneVariable+"=1")
	if out, err := child.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// limit lets no file of this process grow beyond a size until the returned
// function is called: writes are cut short there, and fail, as on a full disk.
func limit(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	lift = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(lift)
	return lift
}

// until calls f, which does nothing else, until it is true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it took too long: " + what)
		}
	}
}

// TestFullDisk fills the disk while many reserve. What got no answer must leave
// nothing behind, what got one must be known, before and after a restart.
func TestFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, room := range []uint64{0, 1, 10, 100, 1000, 20_000, 40_000, 50_000} {
		c := config(directory(t))
		s := opened(t, c, before)
		ask(t, s, 1<<40) // the log has a page
		lift := limit(t, uint64(segmentSize(t, c.Dir))+room)
		const goroutines, each = 16, 60
		answers := [goroutines * each]replay.Outcome{}
		var all sync.WaitGroup
		for g := range goroutines {
			all.Go(func() {
				for i := range each {
					n := uint64(g*each + i)
					claim := replaytest.Claim(n+1, n+1, replay.Taken)
					if n%2 == 0 {
						claim = replay.Claim{} // in one phase, and nobody can adopt it
					}
					a, err := s.Reserve(context.Background(), nonceOf(n), claim, start)
					if err != nil && a != (replay.Answer{}) {
						t.Errorf("an answer, %+v, and an error", a)
					}
					answers[n] = a.Outcome
				}
			})
		}
		all.Wait()
		taken := slices.DeleteFunc(slices.Clone(answers[:]), func(o replay.Outcome) bool { return o != replay.Reserved })
		stats := s.Stats()
		if int(stats.Nonces) != len(taken)+1 || stats.LogFailures == 0 || s.Log().Err == nil {
			t.Errorf("room for %d: %d answers, %d nonces held, %d failures, broken: %v", room, len(taken), stats.Nonces, stats.LogFailures, s.Log().Err)
		}
		if room >= 20_000 && len(taken) == 0 {
			t.Errorf("room for %d: nothing was accepted", room)
		}
		lift()
		half := opened(t, killedCopy(t, c), start) // before the log is repaired
		check(t, half, answers[:], false)
		half.Kill()
		until(t, "to repair the log", func() bool {
			_, err := s.Reserve(context.Background(), nonceOf(1<<41), replay.Claim{}, start)
			return err == nil
		})
		until(t, "a compaction", func() bool { return s.Log().Compactions > 0 })
		check(t, s, answers[:], true)
		s.Kill()
		s = opened(t, c, start)
		for n := range answers {
			if got := ask(t, s, uint64(n)); got == replay.Reserved {
				t.Errorf("room for %d: nonce %d was accepted again after the restart", room, n)
			}
		}
		s.Kill()
	}
}

// check asks for each nonce once more. With take, those without an answer must
// be free, and are taken.
func check(t *testing.T, s *file.Store, answers []replay.Outcome, take bool) {
	t.Helper()
	for n, o := range answers {
		if o != replay.Reserved && !take {
			continue
		}
		if got := ask(t, s, uint64(n)); (got == replay.Reserved) != (o != replay.Reserved) {
			t.Errorf("nonce %d, answered with %d: outcome %d now", n, o, got)
		}
	}
}

func segmentSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "log", "00000000"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// killedCopy is what a process that is killed now would leave.
func killedCopy(t *testing.T, c file.Config) file.Config {
	t.Helper()
	c2 := c
	c2.Dir = directory(t)
	if err := os.CopyFS(c2.Dir, os.DirFS(c.Dir)); err != nil {
		t.Fatal(err)
	}
	return c2
}

// A store that finds no room at its start refuses until there is some, and then
// knows what it knew.
func TestStartOnAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	for name, end := range restarts {
		c := config(directory(t))
		s := opened(t, c, before)
		ask(t, s, 1)
		if err := s.Keep([]byte("kept")); err != nil {
			t.Fatal(err)
		}
		end(t, s)
		lift := limit(t, 1)
		for range 3 { // nor does a restart help
			s = opened(t, c, start)
			if s.Recovery().Full == nil || s.Log().Err == nil {
				t.Errorf("%s: %+v, %v", name, s.Recovery(), s.Log().Err)
			}
			if a, err := s.Reserve(context.Background(), nonceOf(2), replay.Claim{}, start); err == nil {
				t.Errorf("%s: outcome %d without room", name, a.Outcome)
			}
			if err := s.Keep([]byte("kept since")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			s.Sweep(start, 1)
			s.Kill()
		}
		s = opened(t, c, start)
		if err := s.Keep([]byte("kept at last")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		lift()
		until(t, "to begin", func() bool {
			a, err := s.Reserve(context.Background(), nonceOf(2), replay.Claim{}, start)
			return err == nil && a.Outcome == replay.Reserved
		})
		if kept, err := s.Kept(); string(kept) != "kept at last" || err != nil {
			t.Errorf("%s: kept %q, %v", name, kept, err)
		}
		s.Kill()
		s = opened(t, c, start)
		for n := range uint64(2) {
			if got := ask(t, s, n+1); got != replay.CopyUnknown {
				t.Errorf("%s: nonce %d: outcome %d", name, n+1, got)
			}
		}
		if r := s.Recovery(); r.Damage != nil || r.Lossy {
			t.Errorf("%s: %+v", name, r)
		}
		s.Kill()
	}
}

// What goes with the nonces and finds no room is kept before anything is
// accepted again.
func TestKeepOnAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	c := config(directory(t))
	s := opened(t, c, before)
	ask(t, s, 1)
	lift := limit(t, 1)
	if err := s.Keep([]byte("kept")); err != nil {
		t.Error(err)
	}
	if a, err := s.Reserve(context.Background(), nonceOf(2), replay.Claim{}, start); err == nil {
		t.Errorf("outcome %d though nothing could be kept", a.Outcome)
	}
	lift()
	until(t, "to repair the log", func() bool {
		_, err := s.Reserve(context.Background(), nonceOf(2), replay.Claim{}, start)
		return err == nil
	})
	if kept, err := s.Kept(); string(kept) != "kept" || err != nil {
		t.Errorf("kept %q, %v", kept, err)
	}
	s.Kill()
}

// What the upstream did is true, whether it could be written or not.
func TestSettledOnAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	c := config(directory(t))
	s := opened(t, c, before)
	var rs []replay.Answer
	for n := range uint64(3) {
		a, err := s.Reserve(context.Background(), nonceOf(n), replaytest.Claim(n+1, n+1, replay.Taken), start)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, a)
	}
	lift := limit(t, 1)
	if _, err := s.Settle(context.Background(), rs[0].Reservation, replay.Delivered, start); err == nil {
		t.Error("settled without room")
	}
	if _, err := s.Settle(context.Background(), rs[1].Reservation, replay.Undelivered, start); err == nil {
		t.Error("settled without room")
	}
	if _, err := s.Release(context.Background(), rs[2].Reservation, start); err == nil {
		t.Error("released without room")
	}
	if a, err := s.Reserve(context.Background(), nonceOf(0), replay.Claim{}, start); err == nil {
		t.Errorf("outcome %d without room", a.Outcome)
	}
	lift()
	until(t, "a compaction", func() bool { s.Sweep(start, 1); return s.Log().Compactions > 0 })
	s.Kill()
	s = opened(t, c, start)
	defer s.Kill()
	for n, want := range []replay.Outcome{replay.Copy, replay.Reserved, replay.Reserved} {
		if got := ask(t, s, uint64(n)); got != want {
			t.Errorf("nonce %d: outcome %d, want %d", n, got, want)
		}
	}
}
