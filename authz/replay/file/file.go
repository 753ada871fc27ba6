// Package file is a nonce store that survives the end of its process. It is the
// memory store, [memory.Store], and a log on disk of all that changes there.
//
// A reservation, a settlement and a release is decided in memory, noted in the
// order of the decisions, and answered when the note was written: write(2) has
// returned. Those that come at the same time share one write. So whatever a
// killed process had answered is in the kernel, and is there at the next start:
// done and pending deliveries, leases, owners, checks that can be adopted. What
// could not be written is undone in memory and refused.
//
// # The log
//
// It lies in segments, files of records in the form of LevelDB's log. Each write
// is one batch with a number, a checksum, and entries; an entry is all that is
// known of one content. Read in their order, the last entry of a content counts,
// so an entry may be written again at any time.
//
// That is what a compaction does: it begins a segment, hands out everything that
// is alive, in steps between which others write, and removes the segments before. It
// rests between steps, and makes, syncs and removes files while nobody waits for it: a
// check waits for its write, the one before it, and at most one step's look at a
// segment of 1,536 nonces.
// One is due when the log is more than three times as large as what is alive and
// 8 MiB, so the disk holds at most four times what is alive (some 35 bytes for a
// nonce, 90 more for a pending one), what comes during a compaction, and 8 MiB.
//
// # Power loss
//
// What the kernel has, a crash of the system can lose. Config.Sync says how much:
// with 0 each batch is on the disk before its answers are given; otherwise the
// disk is behind by at most twice that time and a second, in general by that
// time. Whether the system has crashed follows from the boot's id and from a
// mark that a clean end leaves. After a crash, unless Sync was 0, signed times
// that could have come before the start are refused as [replay.Uncertain], as
// after the start of an empty store. A delivery without a signed time that was
// accepted within the window before the crash can pass once more: what has none is
// marked as possible until its window has ended. What a start finds uncertain is in
// the mark: a start after it refuses or marks it, too.
//
// # Damage
//
// A killed process leaves at most one batch that ends too early, and nobody had
// an answer for it: it is cut off. Where the log ends, the tip says, a file that
// is written over after each batch. Where the last batch is missing or damaged
// otherwise, it is cut off, and signed times are uncertain. More that is missing
// at the end, damage before that, missing segments and missing keys mean that
// answers are forgotten, and the store does not open.
//
// # Copies
//
// A copy of the directory, put in place later, forgets what came in between. It
// shows in two ways, and signed times are uncertain then: the mark stands in
// another file than it says, by the number of its inode and the time at which that
// was made, or the process did not end by itself and nothing was written for more
// than a minute. While it runs, a process writes at least each
// ten seconds. A block device that is set back to a clean end shows in neither.
//
// # Other bounds
//
// Counts in Stats do not survive; permits and the watermark from an eviction do. A
// directory is for one process: a second one is refused. If the clock was set back
// by more than replay.Skew between two processes, signed times are uncertain.
// Without room on the disk a store opens, refuses, and goes on when there is room.
// Everything waits for a write that hangs.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

// Config configures a store.
type Config struct {
	// Dir is made, with mode 0700, if it is not there.
	Dir string
	// Sync is by how much the disk may be behind; 0: not at all.
	Sync time.Duration
	// Memory bounds what is held. Started and Key are not used.
	Memory memory.Config
	// Boot names the boot of the system; the kernel's id if empty.
	Boot string
	// SetupUntil is until when an empty directory is a new one, and nothing was
	// accepted before.
	SetupUntil time.Time
}

// Store is a nonce store for one replica. It is safe for concurrent use.
type Store struct {
	*memory.Store
	config   Config
	keys     keys
	recovery Recovery
	lock     *os.File
	log      *log

	stop    chan struct{}
	stopped sync.WaitGroup

	compacting sync.Mutex
	due        chan time.Time // asks for a compaction
	// gap: a write has failed, and the log may lack what memory knows.
	gap atomic.Bool
	// toKeep is what Keep could not keep yet; nil if there is nothing.
	toKeep  []byte
	keeping sync.Mutex // of toKeep and of the file
	// guard is what the mark says of it.
	guard atomic.Int64
}

const (
	// heartbeat is the longest time for which nothing is written.
	heartbeat = 10 * time.Second
	// maxGap is for how long a process may have been away that did not end by
	// itself. A copy of its directory, put in place later, looks the same.
	maxGap = time.Minute
)

// Open reads the log, which takes some seconds for a million entries, and begins
// to write. If there is no room on the disk, it opens a store that refuses until
// there is.
func Open(config Config, now time.Time) (_ *Store, err error) {
	if config.Boot == "" {
		config.Boot = bootID()
	}
	s := &Store{config: config, stop: make(chan struct{}), due: make(chan time.Time, 1)}
	if err := os.MkdirAll(filepath.Join(config.Dir, logName), 0o700); err != nil {
		return nil, fmt.Errorf("nonce store %s: %w", config.Dir, err)
	}
	if s.lock, err = lock(config.Dir); err != nil {
		return nil, fmt.Errorf("nonce store %s: %w", config.Dir, err)
	}
	last, err := s.recover(now)
	if err == nil {
		s.log = newLog(s.logDir(), config.Sync, last)
		s.log.prepare, s.log.mark = s.prepare, func() error { return s.keepMark(false) }
		if err = s.log.begin(); noSpace(err) {
			s.recovery.Full = err
			s.log.lose(err) // it is tried again
			err = nil
		}
	}
	if err != nil {
		if s.log != nil && s.log.file != nil {
			err = errors.Join(err, s.log.file.Close())
		}
		return nil, errors.Join(fmt.Errorf("nonce store %s: %w", config.Dir, err), s.lock.Close())
	}
	s.NoteWatermarks(s.log.mention)
	s.OnTurn(s.turned)
	s.stopped.Go(s.compactions)
	if config.Sync > 0 {
		s.stopped.Go(s.syncs)
	}
	return s, nil
}

func (s *Store) logDir() string { return filepath.Join(s.config.Dir, logName) }

// recover makes what the log knows.
func (s *Store) recover(now time.Time) (header, error) {
	first, last, err := segmentNumbers(s.logDir())
	if err != nil {
		return header{}, err
	}
	left, markErr := loadMark(s.config.Dir)
	var keysErr error
	s.keys, keysErr = loadKeys(s.config.Dir)
	if s.recovery.New, err = fits(s.config.Dir, last+1, markErr, keysErr); err != nil {
		return header{}, err
	}
	if keysErr != nil {
		s.keys = makeKeys()
	}
	s.config.Memory.Key, s.config.Memory.Started = s.keys.partition, time.Time{}
	s.Store = memory.New(s.config.Memory)
	if s.recovery.New {
		if !now.Before(s.config.SetupUntil) {
			s.Guard(now)
		}
		return header{latest: now.UnixNano()}, nil
	}
	read := &scan{dir: s.logDir(), end: place{segment: first}, reader: &reader{memory: s.Store, now: now, partitions: map[uint64]partitionName{}}}
	if err := read.read(first, last); err != nil {
		return header{}, err
	}
	rebooted := markErr != nil || !left.Clean && (left.Boot != s.config.Boot || left.Boot == "")
	r := &s.recovery
	r.Crash, r.PowerLoss = !left.Clean, rebooted && (left.Sync > 0 || markErr != nil)
	if r.Lossy, err = read.judge(last, rebooted); err != nil {
		return header{}, err
	}
	if left.Tip && !r.PowerLoss {
		short, err := read.short(loadTip(s.config.Dir))
		if err != nil {
			return header{}, err
		}
		r.Lossy = r.Lossy || short
	}
	if r.Cut, err = read.trim(last); err != nil {
		return header{}, err
	}
	r.Entries, r.Damage, r.Settled = read.reader.entries, read.damage, read.reader.settled
	latest := time.Unix(0, read.last.latest)
	if back := latest.Sub(now); back > replay.Skew {
		r.ClockBack, latest = back, now
	}
	if gap := now.Sub(latest); r.Crash && gap > maxGap {
		r.Gap = gap
	}
	r.Copied = left.copied(s.config.Dir)
	s.Restored(latest, now)
	s.Guard(left.Guard)
	if r.uncertain() {
		s.Guard(now)
	}
	read.last.latest = latest.UnixNano()
	return read.last, nil
}

// Recovery says what was found at the start.
func (s *Store) Recovery() Recovery { return s.recovery }

// FingerprintKey is the key of the fingerprints that the log knows.
func (s *Store) FingerprintKey() authz.FingerprintKey { return s.keys.fingerprint }

// SealKey is the key of the seals that an earlier process may have made.
func (s *Store) SealKey() replay.SealKey { return s.keys.seal }

// Reserve fails while the log cannot be written.
func (s *Store) Reserve(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	if err := s.ready(); err != nil {
		return replay.Answer{}, err
	}
	var b *batch
	answer := s.ReserveNoted(nonce, claim, now, func(e *memory.Entry) { b = s.log.note(e, now) })
	if b == nil {
		return answer.Answer, nil
	}
	if s.config.Sync == 0 {
		_ = ctx.Done() // waits for the disk: others need not wait with it
	}
	if err := s.log.wait(b); err != nil {
		s.Undo(answer, now)
		return replay.Answer{}, err
	}
	return answer.Answer, nil
}

// Settle fails while the log cannot be written. What it has changed in memory
// stays, and gets into the log later.
func (s *Store) Settle(_ context.Context, r authz.Reservation, fate replay.Fate, now time.Time) (bool, error) {
	var b *batch
	settled := s.SettleNoted(r, fate, now, func(e *memory.Entry) { b = s.log.note(e, now) })
	return settled, s.written(b)
}

// Release fails while the log cannot be written. What it has changed in memory
// stays, and gets into the log later.
func (s *Store) Release(_ context.Context, r authz.Reservation, now time.Time) (bool, error) {
	var b *batch
	released := s.ReleaseNoted(r, now, func(e *memory.Entry) { b = s.log.note(e, now) })
	return released, s.written(b)
}

// Permit fails while the log cannot be written: the permit is then good until the
// process ends.
func (s *Store) Permit(_ context.Context, r authz.Reservation, until, now time.Time) (bool, error) {
	var b *batch
	permitted := s.PermitNoted(r, until, now, func(e *memory.Entry) { b = s.log.note(e, now) })
	return permitted, s.written(b)
}

func (s *Store) written(b *batch) error {
	if b == nil {
		return nil
	}
	return s.log.wait(b)
}

// ready repairs the log if it is broken. After that everything must be written
// again.
func (s *Store) ready() error {
	repaired, err := s.log.ready()
	if repaired {
		s.gap.Store(true)
		s.ask(time.Unix(0, s.log.last()))
	}
	return err
}

// ask asks for a compaction.
func (s *Store) ask(now time.Time) {
	select {
	case s.due <- now:
	default:
	}
}

// Sweep sweeps the memory store, tries to repair a broken log, and looks whether
// a compaction is due. Call it about once a second.
func (s *Store) Sweep(now time.Time, n int) {
	s.Store.Sweep(now, n)
	if s.ready() != nil {
		return
	}
	if now.UnixNano()-s.log.last() >= int64(heartbeat) {
		_ = s.written(s.log.note(nil, now)) // after an error everything is refused
	}
	if s.Guarded().UnixNano() != s.guard.Load() {
		if err := s.keepMark(false); err != nil {
			s.log.lose(err)
		}
	}
	if s.compactionDue() {
		s.ask(now)
	}
}

// turned follows a clock that has gone back: what the log says of the time, and
// the leases in it, are of a clock that was ahead.
func (s *Store) turned(now time.Time) {
	s.log.turned(now)
	s.gap.Store(true)
}

// Close brings everything to the disk and marks the directory as left in order.
// Nothing may be in progress.
func (s *Store) Close() error {
	close(s.stop)
	s.stopped.Wait()
	err := s.log.close()
	if err == nil {
		err = s.keepMark(true)
	}
	return errors.Join(err, s.lock.Close())
}
