package file

import (
	"cmp"
	"errors"
	"io/fs"
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
		errs = append(errs, l.disk.sync(f), f.Close())
	}
	if current != nil {
		errs = append(errs, l.disk.sync(current))
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

// disk is what may take long: a disk that is busy, or full of what is to be written.
type disk struct {
	create func(name string) (*os.File, error)
	sync   func(*os.File) error
	remove func(name string) error
}

func realDisk() disk {
	return disk{
		create: func(name string) (*os.File, error) {
			return os.OpenFile(filepath.Clean(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		},
		sync:   (*os.File).Sync,
		remove: os.Remove,
	}
}

// fresh is a segment that was made and not begun.
type fresh struct {
	file   *os.File
	number int64
}

// make makes a segment behind all others. One that is never begun stays as an empty
// file, since none may be missing in between, until a compaction removes it.
func (l *log) make() (*fresh, error) {
	for n := l.made.Load() + 1; ; n++ {
		f, err := l.disk.create(segmentName(l.dir, int(n)))
		if errors.Is(err, fs.ErrExist) { // a repair or a compaction was faster
			continue
		}
		if err != nil {
			return nil, err
		}
		for made := l.made.Load(); made < n && !l.made.CompareAndSwap(made, n); made = l.made.Load() {
		}
		return &fresh{f, n}, nil
	}
}

func (f *fresh) discard() { _ = f.file.Close() } // nothing was written

// next begins a segment. After an error the log must be repaired.
func (l *log) next() error {
	f, err := l.make()
	if err == nil {
		l.turnTo(f)
	}
	return err
}

// turnTo begins a segment that was made, which takes no time of a disk.
func (l *log) turnTo(f *fresh) {
	l.segment.Store(f.number)
	l.file, l.size = f.file, 0
	l.files.Lock()
	defer l.files.Unlock()
	if l.files.current != nil {
		l.files.old = append(l.files.old, l.files.current)
	}
	l.files.current, l.files.begun = f.file, true
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

// rotated begins a segment after the next write, writes, and returns its number. The
// file is made before anybody could have to wait for it. What is noted after the return
// stands in that segment or behind it.
func (l *log) rotated(now time.Time) (int, error) {
	if err := l.state(); err != nil {
		return 0, err
	}
	made, err := l.make()
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	if err := l.broken; err != nil || made.number < l.made.Load() { // a repair has begun another one
		l.mu.Unlock()
		made.discard()
		return 0, cmp.Or(err, errRepaired)
	}
	l.fresh = made
	l.mu.Unlock()
	return int(made.number), l.wait(l.note(nil, now))
}

// errRepaired ends a compaction that a repair came before, which asks for another.
var errRepaired = errors.New("the log was repaired meanwhile")

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
		err = l.disk.remove(segmentName(l.dir, n))
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
