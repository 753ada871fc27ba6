package file

import "os"

// identity tells a file from a copy of it. A copy may get the number of a file
// that was removed, but not the time at which that was made, and who overwrites a
// file does not make it again.
type identity struct {
	Inode uint64 `json:"inode,omitempty"`
	// Born is in nanoseconds since 1970; 0 where the file system does not say.
	Born int64 `json:"born,omitempty"`
}

// identify returns the zero value if there is no such file.
func identify(path string) identity {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}
	}
	return identity{Inode: inode(info), Born: born(path)}
}
