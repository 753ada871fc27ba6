package file

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// The names in the directory.
const (
	lockName = "lock"
	keysName = "keys"
	markName = "mark"
	logName  = "log"
)

// keys are what fingerprints, seals and the numbers of partitions are made with.
// Without them the log means nothing.
type keys struct {
	fingerprint authz.FingerprintKey
	seal        replay.SealKey
	partition   [32]byte
}

const keysSize = 3 * 32

// loadKeys reads the keys, or returns fs.ErrNotExist.
func loadKeys(dir string) (k keys, err error) {
	path := filepath.Join(dir, keysName)
	data, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if len(data) != keysSize+crcSize || crc32.Checksum(data[:keysSize], crcTable) != binary.LittleEndian.Uint32(data[keysSize:]) {
		return k, fmt.Errorf("%s is damaged: without these keys what the log remembers cannot be recognised", path)
	}
	copy(k.fingerprint[:], data)
	copy(k.seal[:], data[32:])
	copy(k.partition[:], data[64:])
	return k, nil
}

// makeKeys makes keys, which are yet to be kept.
func makeKeys() (k keys) {
	_, _ = rand.Read(k.fingerprint[:]) // never fails
	_, _ = rand.Read(k.seal[:])
	_, _ = rand.Read(k.partition[:])
	return k
}

func (k *keys) keep(dir string) error {
	data := slices.Concat(k.fingerprint[:], k.seal[:], k.partition[:])
	return replace(dir, keysName, binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, crcTable)))
}

// replace puts a file into the directory, whole or not at all.
func replace(dir, name string, data []byte) error {
	return replaceKnown(dir, name, func(identity) ([]byte, error) { return data, nil })
}

// replaceKnown is replace of what may say which file it stands in.
func replaceKnown(dir, name string, content func(self identity) ([]byte, error)) (err error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	data, err := content(identify(path + ".new"))
	if err == nil {
		_, err = f.Write(data)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

// keptName is what [Store.Keep] keeps.
const keptName = "kept"

// Keep keeps what goes with the nonces, whole or not at all, in place of what
// was kept before. Where there is no room for it, nothing is accepted until it
// is kept.
func (s *Store) Keep(data []byte) error {
	s.keeping.Lock()
	err := replace(s.config.Dir, keptName, data)
	full := noSpace(err)
	s.toKeep = nil
	if full {
		s.toKeep = slices.Clone(data)
	}
	s.keeping.Unlock()
	if !full {
		return err
	}
	s.log.lose(err)
	return nil
}

// prepare keeps what must be there before anything is accepted.
func (s *Store) prepare() error {
	if _, err := os.Stat(filepath.Join(s.config.Dir, keysName)); errors.Is(err, fs.ErrNotExist) {
		if err := s.keys.keep(s.config.Dir); err != nil {
			return err
		}
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if s.toKeep == nil {
		return nil
	}
	if err := replace(s.config.Dir, keptName, s.toKeep); err != nil {
		return err
	}
	s.toKeep = nil
	return nil
}

// keepMark says how the directory is left if the process ends now.
func (s *Store) keepMark(clean bool) error {
	guard := s.Guarded()
	err := mark{
		Boot: s.config.Boot, Clean: clean, Sync: s.config.Sync, Tip: true, Keys: identify(filepath.Join(s.config.Dir, keysName)).Inode, Guard: guard,
	}.keep(s.config.Dir)
	if err == nil {
		s.guard.Store(guard.UnixNano())
	}
	return err
}

// Kept returns what was kept last; nil if nothing was.
func (s *Store) Kept() ([]byte, error) { return ReadKept(s.config.Dir) }

// ReadKept is Kept of a store that another process may have open. It changes
// nothing.
func ReadKept(dir string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, keptName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// mark says how the directory was left.
type mark struct {
	// Boot is the boot of the system in which the process ran.
	Boot string `json:"boot"`
	// Clean: the process ended by itself, and everything is on the disk.
	Clean bool `json:"clean"`
	// Sync is how far the disk may be behind.
	Sync time.Duration `json:"sync"`
	// Tip: there is a tip. Keys is the number of the file with the keys, and Self
	// the file that this stands in; a copy of the directory has others. Those of
	// the first version have neither, and those of the second no Self.
	Tip  bool     `json:"tip,omitempty"`
	Keys uint64   `json:"keys,omitempty"`
	Self identity `json:"self,omitzero"`
	// Guard is the time before which deliveries may be forgotten.
	Guard time.Time `json:"guard,omitzero"`
}

func loadMark(dir string) (m mark, err error) {
	data, err := os.ReadFile(filepath.Join(dir, markName))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return mark{Sync: 1}, nil //nolint:nilerr // as after a loss of power
	}
	return m, nil
}

func (m mark) keep(dir string) error {
	return replaceKnown(dir, markName, func(self identity) ([]byte, error) {
		m.Self = self
		data, err := json.Marshal(m)
		return append(data, '\n'), err
	})
}

// copied reports whether the directory is not the one in which the mark was left.
func (m mark) copied(dir string) bool {
	return m.Keys != 0 && m.Keys != identify(filepath.Join(dir, keysName)).Inode ||
		m.Self != (identity{}) && m.Self != identify(filepath.Join(dir, markName))
}

// bootID names the boot of this system; empty if it has none.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// fits reports whether the files belong together. A new directory has none.
func fits(dir string, segments int, markErr, keysErr error) (isNew bool, err error) {
	for _, err := range []error{markErr, keysErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	switch {
	case keysErr != nil && (markErr == nil || segments > 0):
		return false, fmt.Errorf("%s is missing: without these keys what the log remembers cannot be recognised", filepath.Join(dir, keysName))
	case markErr == nil && segments == 0:
		return false, fmt.Errorf("%s has no segments, and there was a log", filepath.Join(dir, logName))
	}
	return markErr != nil && segments == 0, nil
}
