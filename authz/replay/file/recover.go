package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Recovery says what was found at the start.
type Recovery struct {
	// New: the directory was empty.
	New bool
	// Crash: the process before did not end by itself.
	Crash bool
	// PowerLoss: the system has been started since, and the process before had
	// not brought everything to the disk. Signed times from before the start
	// are refused.
	PowerLoss bool
	// Lossy: the last write was damaged, and not only cut off. Signed times from
	// before the start are refused.
	Lossy bool
	// ClockBack is by how much the clock is behind the latest time in the log,
	// if that is more than replay.Skew. Signed times from before the start are
	// refused.
	ClockBack time.Duration
	// Gap is for how long nothing had been written when the process before ended,
	// if that did not end by itself and it is more than a minute. Copied: the
	// directory is not the one that was left, but a copy of it. In both cases an
	// older state may have been put in place, and signed times from before the
	// start are refused.
	Gap    time.Duration
	Copied bool
	// Settled: the log knows of a delivery that was taken, so that an access log
	// came to an earlier process.
	Settled bool
	// Full: there is no room on the disk, and everything is refused until there
	// is; nil if there was.
	Full error
	// Entries is how many entries the log had.
	Entries int64
	// Cut is how many bytes at the end of the log were torn, and cut off, and
	// Damage what was wrong with them; 0 and nil if nothing was.
	Cut    int64
	Damage error
}

// uncertain reports whether something may be forgotten.
func (r *Recovery) uncertain() bool {
	return r.PowerLoss || r.Lossy || r.ClockBack > 0 || r.Gap > 0 || r.Copied
}

// place is a place in the log.
type place struct {
	segment int
	offset  int64
}

// scan is the reading of a log.
type scan struct {
	dir    string
	reader *reader

	last header
	any  bool
	end  place // behind the last batch
	// held is what the last batch holds: the next one may declare it void.
	held []byte
	// damage is what was found at the end, or nil.
	damage error
	// cut: the damage is an end in the middle of a record.
	cut bool
}

// read takes in all segments. What is damaged it leaves to [scan.judge].
func (s *scan) read(first, last int) error {
	for n := first; n <= last; n++ {
		ok, err := s.readSegment(n)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
	}
	if s.any && s.last.base < uint64(first) {
		return fmt.Errorf("%s: segments before %08d are missing, from %08d", s.dir, first, s.last.base)
	}
	return s.reader.take(s.held)
}

// readSegment reports whether the segments so far are without a gap.
func (s *scan) readSegment(n int) (ok bool, err error) {
	f, err := os.Open(segmentName(s.dir, n))
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	r := newRecords(f)
	for {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			s.damage, s.cut = err, errors.Is(err, errTorn)
			return true, nil
		}
		h, items, err := open(record)
		if err != nil {
			s.damage, s.cut = err, false
			return true, nil
		}
		switch {
		case !s.any || h.number == s.last.number+1:
			if err := s.reader.take(s.held); err != nil {
				return false, fmt.Errorf("%s, before byte %d: %w", segmentName(s.dir, n), r.offset(), err)
			}
		case h.number == s.last.number:
			// The write of the last one failed, though all of it arrived.
		default:
			s.damage, s.cut = fmt.Errorf("batch %d follows batch %d", h.number, s.last.number), false
			return false, nil
		}
		s.held = append(s.held[:0], items...)
		s.any, s.last, s.end = true, h, place{n, r.offset()}
		s.damage = nil // what was torn before was a write that failed
	}
}

// tail is how much of the end of a log may be damaged: more than one write.
const tail = 1 << 18

// judge decides what the damage at the end means. A process that is killed
// leaves at most one write that ends too early, and nobody got an answer that
// stood on it. A system that loses power leaves anything in what was not on the
// disk yet. Other damage to the last write may have cost answers: lossy. Damage
// with something whole behind it has, and the store must not start.
func (s *scan) judge(last int, rebooted bool) (lossy bool, err error) {
	if s.damage == nil {
		return false, nil
	}
	found, synced, size, err := s.behind(last)
	switch {
	case err != nil:
		return false, err
	case rebooted && synced <= s.last.number:
		return true, nil
	case found || rebooted || size > tail:
		return false, fmt.Errorf("%s: the log is damaged after byte %d (%w): deliveries that it remembered could pass once more",
			segmentName(s.dir, s.end.segment), s.end.offset, s.damage)
	}
	return !s.cut, nil
}

// behind looks at what lies behind the last good batch.
func (s *scan) behind(last int) (found bool, synced uint64, size int, err error) {
	for n := s.end.segment; n <= last; n++ {
		data, err := os.ReadFile(segmentName(s.dir, n))
		if err != nil {
			return false, 0, 0, err
		}
		if n == s.end.segment {
			data = data[min(s.end.offset, int64(len(data))):]
		}
		f, on := holdsBatch(data)
		found, synced, size = found || f, max(synced, on), size+len(data)
	}
	return found, synced, size, nil
}

// trim cuts off what lies behind the last good batch, so that the next start
// does not find it between that and what is written now.
func (s *scan) trim(last int) (bytes int64, err error) {
	if s.damage == nil {
		return 0, nil
	}
	for n := last; n > s.end.segment; n-- {
		name := segmentName(s.dir, n)
		if info, err := os.Stat(name); err == nil {
			bytes += info.Size()
		}
		if err := os.Remove(name); err != nil {
			return bytes, err
		}
	}
	name := segmentName(s.dir, s.end.segment)
	info, err := os.Stat(name)
	if err != nil {
		return bytes, err
	}
	if cut := info.Size() - s.end.offset; cut > 0 {
		bytes += cut
		if err := os.Truncate(name, s.end.offset); err != nil {
			return bytes, err
		}
	}
	return bytes, syncDir(s.dir)
}
