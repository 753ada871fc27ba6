package file

// Kill leaves the store as the end of the process would.
func (s *Store) Kill() {
	close(s.stop)
	s.stopped.Wait()
	s.log.mu.Lock()
	s.log.fail(ErrClosed)
	s.log.mu.Unlock()
	if s.log.file == nil {
		_ = s.lock.Close()
		return
	}
	for _, f := range append(s.log.files.old, s.log.files.current, s.log.tip, s.lock) {
		_ = f.Close()
	}
}

// Dir is the store's directory.
func (s *Store) Dir() string { return s.config.Dir }

// Tip is the tip after so many batches.
func Tip(batches uint64) []byte { return tip(batches).bytes() }
