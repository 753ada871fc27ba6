package files

import (
	"io/fs"
	"syscall"
)

// identity tells two files of one name apart, also where size and time are the same,
// and two states of one file whose time was set back. The time of change is that of
// the inode, which nobody can set.
type identity struct{ device, inode, changed uint64 }

func identityOf(info fs.FileInfo) identity {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity{uint64(s.Dev), uint64(s.Ino), uint64(s.Ctim.Nano())} //nolint:unconvert // some are narrower on other processors
	}
	return identity{}
}
