package file

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// sync brings what was written to the disk.
func (l *log) sync() error {
	l.syncing.Lock() // or one would close what another is about to sync
	defer l.syncing.Unlock()
	l.files.Lock()
	old, current, written, dirty, begun := l.files.old, l.files.current, l.files.written, l.files.dirty, l.files.begun
	l.files.old, l.files.dirty, l.files.begun = nil, time.Time{}, false
	l.files.Unlock()
	if dirty.IsZero() && len(old) == 0 && !begun {
		return nil
	}
	var errs []error
	if begun {
		errs = append(errs, syncDir(l.dir))
	}
	for _, f := range old {
		errs = append(errs, f.Sync(), f.Close())
	}
	if current != nil {
		errs = append(errs, current.Sync())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l.counters.syncs.Add(1)
	for before := l.synced.Load(); before < written && !l.synced.CompareAndSwap(before, written); before = l.synced.Load() {
	}
	return nil
}

// syncOrLose is sync, beside the writes.
func (l *log) syncOrLose() error {
	err := l.sync()
	if err != nil {
		l.lose(err)
	}
	return err
}

// next begins a segment. After an error the log must be repaired.
func (l *log) next() error {
	n := l.segment.Load() + 1
	f, err := os.OpenFile(segmentName(l.dir, int(n)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.segment.Store(n)
	l.file, l.size = f, 0
	l.files.Lock()
	if l.files.current != nil {
		l.files.old = append(l.files.old, l.files.current)
	}
	l.files.current, l.files.begun = f, true
	l.files.Unlock()
	return nil
}

// repairEvery is how often a broken log is tried again.
const repairEvery = 100 * time.Millisecond

// ready repairs a broken log, or returns why it cannot be repaired yet.
func (l *log) ready() (repaired bool, err error) {
	if !l.isBroken.Load() {
		return false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		return false, nil
	}
	now := time.Now()
	if l.busy || errors.Is(l.broken, ErrClosed) || now.Sub(l.tried) < repairEvery {
		return false, l.broken
	}
	l.tried = now
	repair := l.repair
	if l.tip == nil {
		repair = l.begin
	}
	if err := repair(); err != nil {
		return false, err
	}
	l.broken = nil
	l.isBroken.Store(false)
	return true, nil
}

// repair begins a segment and writes an empty batch to it. It has the number of
// the batch that failed, which it so declares void. l.mu is held, and
// nobody writes.
func (l *log) repair() error {
	if err := l.probe(); err != nil {
		return err
	}
	if err := l.prepare(); err != nil {
		return err
	}
	if err := l.next(); err != nil {
		return err
	}
	l.known = map[uint64]struct{}{}
	h := header{base: l.base.Load(), latest: l.latest, synced: l.synced.Load(), number: l.number + 1}
	return l.put(seal(appendHeader(nil), h), h.number)
}

// probe looks whether there is room, so that no segment is begun for nothing.
func (l *log) probe() error {
	name := filepath.Join(l.dir, "probe")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 1<<17))
	return errors.Join(err, f.Close(), os.Remove(name))
}

// last is the latest time that the store was told.
func (l *log) last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// state returns why nothing can be written.
func (l *log) state() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// rotated makes the next write begin a segment, writes, and returns its number.
func (l *log) rotated(now time.Time) (int, error) {
	l.mu.Lock()
	if l.broken != nil {
		defer l.mu.Unlock()
		return 0, l.broken
	}
	l.rotate = true
	l.mu.Unlock()
	if err := l.wait(l.note(nil, now)); err != nil {
		return 0, err
	}
	return int(l.segment.Load()), l.state()
}

// drop removes the segments before that one, which must hold everything.
func (l *log) drop(segment int, now time.Time) error {
	l.base.Store(uint64(segment))
	if err := l.wait(l.note(nil, now)); err != nil {
		return err
	}
	if err := l.syncOrLose(); err != nil {
		return err
	}
	first, _, err := segmentNumbers(l.dir)
	for n := first; n < segment && err == nil; n++ {
		err = os.Remove(segmentName(l.dir, n))
	}
	return errors.Join(err, syncDir(l.dir), l.measure())
}

// syncDir brings the names in a directory to the disk.
func syncDir(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
