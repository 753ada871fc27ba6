package file

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

// log is the write side. Callers note entries, which gather in a batch, and
// wait for it. Whoever waits while nobody writes, writes for all that have
// gathered: a write each for those who come alone, few for those who come
// together.
type log struct {
	dir string
	// every is how often the log is brought to the disk; 0: before each answer.
	every time.Duration
	disk  disk

	mu     sync.Mutex // of what follows, up to the next blank line
	open   *batch     // gathers
	buffer []byte     // of it
	spare  []byte
	known  map[uint64]struct{} // partitions that the segment, or the buffer, names
	latest int64
	busy   bool   // somebody writes, or is about to
	broken error  // why nothing can be written
	void   *batch // what callers get then
	// isBroken can be looked at without mu.
	isBroken atomic.Bool
	tried    time.Time
	fresh    *fresh // the next write is the last one before this segment

	// prepare does what must be done before anything is accepted, and mark marks
	// the directory as left by a crash.
	prepare, mark func() error

	// Only who writes looks at these.
	file   *os.File // the segment; nil: it has not begun
	size   int64    // of it
	record []byte   // the last batch, as it stands there
	tip    *os.File // nil: it has not begun
	number uint64   // of the last batch

	segment atomic.Int64 // that is written: one ends where a compaction, a failed write or a start begins another
	made    atomic.Int64 // the last segment that was made, which may be none that was begun

	base   atomic.Uint64 // the first segment that is needed
	synced atomic.Uint64 // the last batch that is on the disk
	bytes  atomic.Int64  // of all segments

	syncing sync.Mutex // one at a time
	files   struct {
		sync.Mutex
		current *os.File
		old     []*os.File // to be synced and closed
		begun   bool       // the name of current may not be on the disk yet
		// dirty is when the first batch was written that is not on the disk.
		dirty   time.Time
		written uint64 // the last batch written
	}
	counters counters
}

type counters struct {
	batches, failures, syncs, compactions atomic.Int64
	slowest                               atomic.Int64
}

// batch is what one write takes to the disk.
type batch struct {
	lead   chan struct{} // who gets this writes
	done   chan struct{}
	wanted bool // somebody waits, or will
	err    error
}

func newBatch() *batch { return &batch{lead: make(chan struct{}, 1), done: make(chan struct{})} }

// ErrClosed is what everything gets after Close.
var ErrClosed = errors.New("the nonce log is closed")

// newLog is one that has yet to begin.
func newLog(dir string, every time.Duration, last header) *log {
	l := &log{dir: dir, every: every, disk: realDisk(), open: newBatch(), buffer: appendHeader(nil), spare: appendHeader(nil),
		known: map[uint64]struct{}{}, latest: last.latest, number: last.number}
	l.base.Store(last.base)
	l.synced.Store(last.number)
	return l
}

// begin begins a new segment behind those that are there, the mark after it: who
// finds a mark finds a log, too. After an error it can be called again; l.mu is
// held, or nobody else knows the log.
func (l *log) begin() error {
	if err := l.probe(); err != nil { // so that no segment is begun for nothing
		return err
	}
	if err := l.prepare(); err != nil {
		return err
	}
	if l.file == nil {
		_, last, err := segmentNumbers(l.dir)
		if err != nil {
			return err
		}
		l.segment.Store(int64(last))
		l.made.Store(int64(last))
		if err := errors.Join(l.measure(), l.next()); err != nil {
			return err
		}
	}
	if err := l.mark(); err != nil {
		return err
	}
	return l.point() // after the mark: it says what was lost before
}

func (l *log) measure() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	var bytes int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
	}
	l.bytes.Store(bytes)
	return nil
}

// note adds an entry, if there is one, to the batch that gathers, and returns
// that; the caller must wait for it. It does not wait itself: the entry's lock
// is held.
func (l *log) note(e *memory.Entry, now time.Time) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.void
	}
	l.open.wanted = true
	l.latest = max(l.latest, now.UnixNano())
	l.add(e)
	return l.open
}

// add adds an entry to the batch that gathers. l.mu is held.
func (l *log) add(e *memory.Entry) {
	if e == nil {
		return
	}
	l.name(e)
	l.buffer = appendEntry(l.buffer, e)
}

// name names the partition of an entry, unless the segment knows it. l.mu is held.
func (l *log) name(e *memory.Entry) {
	if _, ok := l.known[e.Partition]; !ok {
		l.known[e.Partition] = struct{}{}
		l.buffer = appendPartition(l.buffer, e)
	}
}

// append adds entries that are encoded already, of one partition, and returns the
// batch, as note does. e is any of them.
func (l *log) append(e *memory.Entry, entries []byte, now time.Time) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.void
	}
	l.open.wanted = true
	l.latest = max(l.latest, now.UnixNano())
	l.name(e)
	l.buffer = append(l.buffer, entries...)
	return l.open
}

// mention adds an entry for which nobody waits.
func (l *log) mention(e *memory.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.add(e)
	}
}

// wait returns when the batch has been written, or could not be.
func (l *log) wait(b *batch) error {
	l.mu.Lock()
	if b == l.open && !l.busy {
		l.busy = true
		l.mu.Unlock()
		l.write()
		return b.err
	}
	l.mu.Unlock()
	select {
	case <-b.done:
	case <-b.lead:
		l.write()
	}
	return b.err
}

// write writes the batch that has gathered. Only one does so at a time.
func (l *log) write() {
	l.mu.Lock()
	b, data, fresh := l.open, l.buffer, l.fresh
	h := header{base: l.base.Load(), latest: l.latest, synced: l.synced.Load(), number: l.number + 1}
	l.open, l.buffer = newBatch(), l.spare
	if fresh != nil {
		l.fresh, l.known = nil, map[uint64]struct{}{} // the next segment must name them again
	}
	l.mu.Unlock()

	data = seal(data, h)
	err := l.put(data, h.number)
	b.err = err
	close(b.done)
	switch {
	case fresh == nil:
	case err == nil:
		l.turnTo(fresh)
	default:
		fresh.discard()
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = appendHeader(data[:0])
	if err != nil {
		l.fail(err)
	}
	if l.busy = l.open.wanted; l.busy {
		l.open.lead <- struct{}{}
	}
}

// put writes one record. When it returns, the kernel has it.
func (l *log) put(data []byte, number uint64) error {
	began := time.Now()
	l.record = appendRecord(l.record[:0], data, l.size)
	n, err := l.file.Write(l.record)
	l.size += int64(n)
	l.bytes.Add(int64(n))
	if err != nil {
		return err
	}
	l.counters.batches.Add(1)
	l.files.Lock()
	l.files.written = number
	if l.files.dirty.IsZero() {
		l.files.dirty = began
	}
	late := began.Sub(l.files.dirty) > 2*l.every+time.Second // the disk does not keep up
	l.files.Unlock()
	if l.every == 0 || late {
		err = l.sync()
	}
	if err == nil {
		_, err = l.tip.WriteAt(tip(number).bytes(), 0)
	}
	if took := int64(time.Since(began)); took > l.counters.slowest.Load() {
		l.counters.slowest.Store(took)
	}
	if err == nil {
		l.number = number
	}
	return err
}

// fail makes everything fail until the log is repaired: what has gathered stands
// on what could not be written. l.mu is held.
func (l *log) fail(err error) {
	l.counters.failures.Add(1)
	if errors.Is(l.broken, ErrClosed) {
		err = ErrClosed
	}
	l.broken = err
	l.isBroken.Store(true)
	if l.fresh != nil {
		l.fresh.discard()
		l.fresh = nil
	}
	l.void = newBatch()
	l.void.err = err
	close(l.void.done)
	l.open.err = err
	close(l.open.done)
	l.open, l.buffer = newBatch(), l.buffer[:headerSize]
}

// lose makes everything fail after the disk did not take what was written.
func (l *log) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.fail(err)
	}
}

// close brings everything to the disk.
func (l *log) close() error {
	last := l.wait(l.note(nil, time.Unix(0, 0)))
	l.mu.Lock()
	closed := errors.Is(l.broken, ErrClosed)
	if !closed {
		l.fail(ErrClosed)
	}
	l.mu.Unlock()
	if closed {
		return nil
	}
	if l.tip == nil {
		return last // it never began
	}
	err := errors.Join(last, l.sync(), l.tip.Sync())
	l.files.Lock()
	defer l.files.Unlock()
	for _, f := range append(l.files.old, l.files.current, l.tip) {
		err = errors.Join(err, f.Close())
	}
	l.files.old, l.files.current = nil, nil
	return err
}

// turned goes on from an earlier time.
func (l *log) turned(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = now.UnixNano()
}
