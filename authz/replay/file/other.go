//go:build !unix

package file

import (
	"errors"
	"io/fs"
	"os"
)

// lock refuses: neither a lock that ends with the process nor a directory's sync,
// on which the store's promises rest, is what it is on Unix.
func lock(string) (*os.File, error) {
	return nil, errors.New("the store FILE needs Linux, macOS or another Unix")
}

func inode(fs.FileInfo) uint64 { return 0 }
