//go:build unix && !linux

package files

import (
	"io/fs"
	"syscall"
)

// identity tells two files of one name apart, also where size and time are the
// same.
type identity struct{ device, inode uint64 }

func identityOf(info fs.FileInfo) identity {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity{uint64(s.Dev), uint64(s.Ino)} //nolint:unconvert // is 32 bits wide on some systems
	}
	return identity{}
}
