package file

import (
	"errors"
	"os"
)

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

// Delay calls a function before each operation that may take long on a busy disk:
// create, sync and remove, with the file's name, and as "created" after the first. It may not be called while others
// use the store.
func (s *Store) Delay(before func(operation, name string)) {
	d := s.log.disk
	s.log.disk = disk{
		create: func(name string) (*os.File, error) {
			before("create", name)
			defer before("created", name)
			return d.create(name)
		},
		sync:   func(f *os.File) error { before("sync", f.Name()); return d.sync(f) },
		remove: func(name string) error { before("remove", name); return d.remove(name) },
	}
}

// Repair is what follows a write that failed: the log goes on in another segment.
func (s *Store) Repair() error {
	s.log.lose(errors.New("a write that failed"))
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if err := s.log.repair(); err != nil {
		return err
	}
	s.log.broken = nil
	s.log.isBroken.Store(false)
	return nil
}
