package file

import (
	"os"

	"github.com/prometheus/prometheus/tsdb/wlog"
)

// Kill leaves the store as the end of the process would.
func (s *Store) Kill() {
	close(s.stop)
	s.stopped.Wait()
	s.log.mu.Lock()
	s.log.fail(ErrClosed)
	s.log.mu.Unlock()
	if s.log.wal == nil {
		_ = s.lock.Close()
		return
	}
	name := wlog.SegmentName(s.logDir(), int(s.log.segment.Load()))
	info, err := os.Stat(name)
	_ = s.log.wal.Close() // fills the page
	if err == nil {
		_ = os.Truncate(name, info.Size())
	}
	for _, f := range append(s.log.files.old, s.log.files.current, s.log.tip, s.lock) {
		_ = f.Close()
	}
}

// Dir is the store's directory.
func (s *Store) Dir() string { return s.config.Dir }

// Tip is the tip after so many batches.
func Tip(batches uint64) []byte { return tip(batches).bytes() }
