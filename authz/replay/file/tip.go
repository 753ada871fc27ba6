package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"syscall"
)

// tipName is the file that says where the log ends.
const tipName = "tip"

// tip is the number of the last batch that was written. It is kept beside the
// log, written over in place after each batch and before its answers are given:
// without it, a log that was cut short, or lacks its last segment, looks like
// one that has ended there.
type tip uint64

const (
	tipVersion = 1
	tipSize    = 1 + 8 + crcSize
)

func (t tip) bytes() []byte {
	b := binary.LittleEndian.AppendUint64([]byte{tipVersion}, uint64(t))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crcTable))
}

func loadTip(dir string) (tip, error) {
	path := filepath.Join(dir, tipName)
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	end := tipSize - crcSize
	if len(data) != tipSize || data[0] != tipVersion || crc32.Checksum(data[:end], crcTable) != binary.LittleEndian.Uint32(data[end:]) {
		return 0, fmt.Errorf("%s is damaged", path)
	}
	return tip(binary.LittleEndian.Uint64(data[1:])), nil
}

// point makes the file, and keeps it open.
func (l *log) point() (err error) {
	dir := filepath.Dir(l.dir)
	if err := replace(dir, tipName, tip(l.number).bytes()); err != nil {
		return err
	}
	l.tip, err = os.OpenFile(filepath.Join(dir, tipName), os.O_WRONLY, 0o600)
	return err
}

// short decides what it means that batches are missing at the end of a log whose
// writer did not lose them with the system's memory. One is as much as other
// damage to the last write.
func (s *scan) short(at tip, err error) (lossy bool, _ error) {
	switch last := tip(s.last.number); {
	case err != nil:
		s.damage = errors.Join(s.damage, err)
		return true, nil //nolint:nilerr // it does not say where the log ends
	case at <= last:
		return false, nil
	case at == last+1:
		if s.damage == nil {
			s.damage = fmt.Errorf("batch %d is missing", at)
		}
		return true, nil
	default:
		return false, fmt.Errorf("%s: the log ends with batch %d, and %d was written: deliveries that it remembered could pass once more", s.dir, last, at)
	}
}

// noSpace reports whether an error goes away when there is room on the disk.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
