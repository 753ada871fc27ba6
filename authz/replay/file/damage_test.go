package file_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// logged is a directory with a log of single writes, and where each ended.
type logged struct {
	dir  string
	name string // of the segment
	data []byte // of it
	ends []int  // nonce n was written up to there
	tip  []byte // what the file said before the last nonce was written
}

const loggedNonces = 12

// newLog writes nonces, with and without a signed time.
func newLog(t testing.TB, sync time.Duration) logged {
	t.Helper()
	l := logged{dir: directory(t)}
	c := config(l.dir)
	c.Sync = sync
	s := opened(t, c, before)
	l.name = filepath.Join(l.dir, "log", "00000000")
	for n := range uint64(loggedNonces) {
		l.tip = l.readTip(t)
		if got := ask(t, s, n); got != replay.Reserved {
			t.Fatalf("nonce %d: outcome %d", n, got)
		}
		info, err := os.Stat(l.name)
		if err != nil {
			t.Fatal(err)
		}
		l.ends = append(l.ends, int(info.Size()))
	}
	s.Kill()
	var err error
	if l.data, err = os.ReadFile(l.name); err != nil {
		t.Fatal(err)
	}
	return l
}

func ask(t testing.TB, s replay.Store, n uint64) replay.Outcome {
	t.Helper()
	a, err := s.Reserve(context.Background(), nonceOf(n), replay.Claim{}, start)
	if err != nil {
		t.Fatal(err)
	}
	return a.Outcome
}

func (l logged) readTip(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "tip"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unanswered is the log of a process that was killed while it wrote the last
// nonce.
func (l logged) unanswered(t testing.TB) logged {
	t.Helper()
	dir := directory(t)
	if err := os.CopyFS(dir, os.DirFS(l.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tip"), l.tip, 0o600); err != nil {
		t.Fatal(err)
	}
	l.dir, l.name, l.ends = dir, filepath.Join(dir, "log", "00000000"), l.ends[:loggedNonces-1]
	return l
}

// with opens a copy of the directory with another segment.
func (l logged) with(t testing.TB, data []byte, boot string) (*file.Store, error) {
	t.Helper()
	dir := directory(t)
	if err := os.CopyFS(dir, os.DirFS(l.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log", "00000000"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := config(dir)
	c.Boot = boot
	return file.Open(c, start)
}

// remembers checks that no nonce that was written before the damage is accepted
// again, or any if the store does not say so, and that the store works
// otherwise.
func (l logged) remembers(t testing.TB, s *file.Store, damage int) {
	t.Helper()
	defer s.Kill()
	r := s.Recovery()
	for n, end := range l.ends {
		got := ask(t, s, uint64(n))
		if (end <= damage || !r.PowerLoss && !r.Lossy) && got == replay.Reserved {
			t.Errorf("damage at %d: nonce %d, written before that, was accepted again", damage, n)
		}
		if (r.PowerLoss || r.Lossy) && !nonceOf(uint64(n)).Signed.IsZero() && got == replay.Reserved {
			t.Errorf("damage at %d: nonce %d has a signed time before the start and was accepted", damage, n)
		}
	}
	later := start.Add(replay.Skew + time.Minute + time.Second) // it cannot have come before the start
	if a, err := s.Reserve(context.Background(), replaytest.Signed(1<<40, later), replay.Claim{}, later); err != nil || a.Outcome != replay.Reserved {
		t.Errorf("damage at %d: a new nonce: outcome %d, %v", damage, a.Outcome, err)
	}
}

// A log that is cut short lacks what was answered, unless the process was killed
// in the middle of the last write, or the system went down. One write can be
// missing, as it can be damaged.
func TestTornAtEveryByte(t *testing.T) {
	l := newLog(t, time.Hour)
	killed := l.unanswered(t)
	last := l.ends[loggedNonces-2]
	for size := len(l.data); size >= 0; size-- {
		s, err := l.with(t, l.data[:size], "two")
		if err != nil || !s.Recovery().PowerLoss {
			t.Fatalf("another boot, cut to %d: %v", size, err)
		}
		l.remembers(t, s, size)
		s, err = l.with(t, l.data[:size], "one")
		switch {
		case size < last:
			if err == nil || !strings.Contains(err.Error(), "the log ends with batch ") {
				t.Fatalf("cut to %d: %v", size, err)
			}
		case err != nil || s.Recovery().Lossy != (size < len(l.data)) || s.Recovery().PowerLoss:
			t.Fatalf("cut to %d: %v", size, err)
		default:
			l.remembers(t, s, size)
		}
		if size < last {
			continue
		}
		s, err = killed.with(t, l.data[:size], "one")
		if err != nil {
			t.Fatalf("killed, cut to %d: %v", size, err)
		}
		if r := s.Recovery(); r.Lossy || r.PowerLoss || size == len(l.data) && r.Damage != nil {
			t.Errorf("killed, cut to %d: %+v", size, r)
		}
		killed.remembers(t, s, size)
	}
}

// Segments that are missing at the end are noticed as those before are.
func TestLastSegments(t *testing.T) {
	c := config(directory(t))
	for n := range uint64(3) { // three segments, and a fourth that is empty
		s := opened(t, c, before)
		ask(t, s, 2*n)
		ask(t, s, 2*n+1)
		s.Kill()
	}
	opened(t, c, before).Kill()
	for name, test := range map[string]struct {
		remove string
		err    string
	}{
		"the empty one": {"log/00000003", ""},
		"the last":      {"log/0000000[23]", "the log ends with batch 4, and 6 was written"},
		"two":           {"log/0000000[123]", "the log ends with batch 2, and 6 was written"},
		"the tip":       {"tip", ""},
	} {
		t.Run(name, func(t *testing.T) {
			copied := c
			copied.Dir = directory(t)
			if err := os.CopyFS(copied.Dir, os.DirFS(c.Dir)); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(copied.Dir, test.remove))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
			s, err := file.Open(copied, start)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Kill()
			if r := s.Recovery(); r.Lossy != (name == "the tip") {
				t.Errorf("%+v", r)
			}
			for n := range uint64(6) {
				if got := ask(t, s, n); got != replay.CopyUnknown {
					t.Errorf("nonce %d: outcome %d", n, got)
				}
			}
		})
	}
}

// Behind a tear that was cut off, later starts find what was written since.
func TestTornAndWrittenOn(t *testing.T) {
	l := newLog(t, time.Hour).unanswered(t)
	if err := os.WriteFile(l.name, l.data[:len(l.data)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		s := opened(t, config(l.dir), start)
		if r := s.Recovery(); n == 0 && (r.Cut == 0 || r.Damage == nil) || n > 0 && r.Damage != nil {
			t.Errorf("start %d: %+v", n, r)
		}
		for m := range loggedNonces - 1 + n {
			if got := ask(t, s, m); got != replay.CopyUnknown {
				t.Errorf("start %d: nonce %d: outcome %d", n, m, got)
			}
		}
		fresh := replaytest.Unsigned(loggedNonces-1+n, start, time.Hour) // a copied directory guards signed times
		if a, err := s.Reserve(context.Background(), fresh, replay.Claim{}, start); err != nil || a.Outcome != replay.Reserved {
			t.Errorf("start %d: outcome %d, %v", n, a.Outcome, err)
		}
		s.Kill()
	}
}

func TestFlippedBits(t *testing.T) {
	l := newLog(t, time.Hour)
	refused, lossy := 0, 0
	for at := range l.data {
		data := bytes.Clone(l.data)
		data[at] ^= 1 << (at % 8)
		s, err := l.with(t, data, "one")
		if err != nil {
			if !strings.Contains(err.Error(), "00000000: the log is damaged after byte ") {
				t.Errorf("byte %d: %v", at, err)
			}
			refused++
			continue
		}
		r := s.Recovery()
		switch {
		case r.Lossy:
			lossy++
		case r.Damage == nil && r.Entries == loggedNonces:
			at = len(data) // a bit that means nothing
		}
		if at < l.ends[loggedNonces-2] {
			t.Errorf("byte %d, with writes behind it: the store opened: %+v", at, r)
		}
		l.remembers(t, s, at)
	}
	if refused < l.ends[loggedNonces-2]-2*loggedNonces || lossy == 0 {
		t.Errorf("%d refused, %d taken as a loss", refused, lossy)
	}
}

// After a loss of power anything can stand in what was not on the disk, and
// nothing else may be damaged.
func TestPowerLoss(t *testing.T) {
	unsynced, synced := newLog(t, time.Hour), newLog(t, 0)
	for _, c := range []struct {
		name  string
		log   logged
		at    int // the nonce in whose write zeros begin
		opens bool
		loss  bool // of nonces with a signed time, as the store sees it
	}{
		{"nothing was on the disk", unsynced, 3, true, true},
		{"all was on the disk", synced, loggedNonces, true, false},
		{"all but the last write, which may have had no answer", synced, loggedNonces - 1, true, true},
		{"what was on the disk is damaged", synced, 3, false, false},
	} {
		data := bytes.Clone(c.log.data)
		if c.at < loggedNonces {
			clear(data[c.log.ends[c.at-1]+20 : c.log.ends[c.at]])
		}
		s, err := c.log.with(t, data, "two")
		if c.opens != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		if r := s.Recovery(); (r.PowerLoss || r.Lossy) != c.loss {
			t.Errorf("%s: %+v", c.name, r)
		}
		damage := len(data)
		if c.at < loggedNonces {
			damage = c.log.ends[c.at-1]
		}
		c.log.remembers(t, s, damage)
	}
}

func FuzzDamage(f *testing.F) {
	l := newLog(f, time.Hour)
	f.Add(uint16(100), uint16(3), []byte{0xff, 0, 1})
	f.Add(uint16(len(l.data)), uint16(0), []byte{})
	f.Add(uint16(len(l.data)), uint16(0), []byte{1, 0, 0, 0, 0, 0, 0})
	f.Add(uint16(0), uint16(0xffff), []byte{})
	f.Fuzz(func(t *testing.T, at, remove uint16, insert []byte) {
		i := min(int(at), len(l.data))
		data := slices.Concat(l.data[:i], insert, l.data[min(i+int(remove), len(l.data)):])
		if bytes.Equal(data, l.data) {
			return
		}
		for i < len(l.data) && i < len(data) && data[i] == l.data[i] {
			i++ // where they begin to differ
		}
		for _, boot := range []string{"one", "two"} {
			if s, err := l.with(t, data, boot); err == nil {
				l.remembers(t, s, i)
			}
		}
	})
}
