package file

import (
	"errors"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

const (
	// nonceBytes and pendingBytes are what one takes in the log, its part of
	// batches and pages included.
	nonceBytes, pendingBytes = 36, 100
	// leastLog is below which no compaction is worth while.
	leastLog = 8 << 20
	// syncBytes is how much a compaction writes between two syncs.
	syncBytes = 1 << 20
	// workTime is how long a compaction works at a time, and restTime how long it rests
	// then: on a busy machine it may lose the processor at any moment, also while it
	// holds what a check waits for.
	workTime = 2 * time.Millisecond
	restTime = 3 * workTime
	// manySegments is at how many segments, one for each start, it is.
	manySegments = 16
)

// compactionDue reports whether the log is much larger than it must be.
func (s *Store) compactionDue() bool {
	m := s.Store.Stats()
	if s.gap.Load() || s.log.segment.Load()-int64(s.log.base.Load()) > manySegments {
		return true
	}
	return s.log.bytes.Load() > leastLog+3*(m.Nonces*nonceBytes+m.Pending*pendingBytes)
}

// compactions runs those that are asked for.
func (s *Store) compactions() {
	for {
		select {
		case <-s.stop:
			return
		case now := <-s.due:
			if err := s.Compact(now); err != nil && !errors.Is(err, errStopped) {
				s.log.counters.failures.Add(1) // it is asked for again
			}
		}
	}
}

var errStopped = errors.New("the store is being closed")

// Compact writes everything that is alive to a new segment and removes those
// before it. Others read and write meanwhile. After an error the log holds what
// it held, and more.
func (s *Store) Compact(now time.Time) (err error) {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	gap := s.gap.Swap(false)
	defer func() {
		if gap && err != nil {
			s.gap.Store(true)
		}
	}()
	segment, err := s.log.rotated(now)
	if err != nil {
		return err
	}
	if err := s.writeAll(now, !gap); err != nil {
		return err
	}
	if err := s.log.drop(segment, now); err != nil {
		return err
	}
	s.log.counters.compactions.Add(1)
	return nil
}

// writeAll writes everything that is alive, and leaves most of the time to others if it
// is not urgent.
func (s *Store) writeAll(now time.Time, leisurely bool) error {
	var b *batch
	var entries []byte // of a step
	var of memory.Entry
	synced, began := s.log.bytes.Load(), time.Now()
	note := func(e *memory.Entry) {
		of.Partition, of.Webhook, of.Tenant = e.Partition, e.Webhook, e.Tenant
		entries = appendEntry(entries, e)
	}
	step := func() {
		if len(entries) > 0 {
			b, entries = s.log.append(&of, entries, now), entries[:0]
		}
	}
	return s.Walk(now, note, step, func() error {
		err := s.written(b) // whoever notes must wait
		b = nil
		// Little by little: a disk that must take much at once holds up writes.
		if at := s.log.bytes.Load(); err == nil && at-synced > syncBytes {
			synced, err = at, s.log.syncOrLose()
		}
		switch worked := time.Since(began); {
		case err != nil:
			return err
		case worked < workTime || !leisurely:
			return s.stopping()
		default:
			defer func() { began = time.Now() }()
			return s.rest(restTime)
		}
	})
}

// stopping fails if the store is being closed.
func (s *Store) stopping() error {
	select {
	case <-s.stop:
		return errStopped
	default:
		return nil
	}
}

// rest waits, and fails if the store is being closed meanwhile.
func (s *Store) rest(length time.Duration) error {
	wake := time.NewTimer(length)
	defer wake.Stop()
	select {
	case <-s.stop:
		return errStopped
	case <-wake.C:
		return nil
	}
}

// syncs brings the log to the disk from time to time.
func (s *Store) syncs() {
	tick := time.NewTicker(s.config.Sync)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			_ = s.log.syncOrLose() // after an error everything is refused
		}
	}
}

// Log is how the log of a store does.
type Log struct {
	// Bytes is its size, Written the batches that were written since the start,
	// Synced how often they were brought to the disk.
	Bytes, Written, Synced int64
	// Compactions counts those that ended well, Failures the writes and the
	// compactions that did not.
	Compactions, Failures int64
	// Slowest is the longest time that a write has taken.
	Slowest time.Duration
	// Err is why nothing can be written; nil if it can.
	Err error
}

// Log returns how the log does.
func (s *Store) Log() Log {
	c := &s.log.counters
	return Log{
		Bytes: s.log.bytes.Load(), Written: c.batches.Load(), Synced: c.syncs.Load(), Compactions: c.compactions.Load(),
		Failures: c.failures.Load(), Slowest: time.Duration(c.slowest.Load()), Err: s.log.state(),
	}
}

// Stats returns what the store has done since the start, and what it holds.
func (s *Store) Stats() replay.Stats {
	stats := s.Store.Stats()
	stats.LogBytes, stats.LogFailures = s.log.bytes.Load(), s.log.counters.failures.Load()
	return stats
}
