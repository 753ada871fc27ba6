package secret

import (
	"fmt"
	"io/fs"
	"time"
)

// racyTime is how long after a file was written another write might leave the
// same time behind, as the clocks of file systems are coarse.
const racyTime = 2 * time.Second

// Stamp tells two states of a file apart without reading it.
type Stamp struct {
	size, modified int64
	mode           fs.FileMode
	identity       uint64
	racy           bool
}

// StampOf returns the stamp of a file that is looked at now.
func StampOf(info fs.FileInfo, now time.Time) Stamp {
	return Stamp{
		size: info.Size(), modified: info.ModTime().UnixNano(), mode: info.Mode(), identity: identity(info),
		racy: now.Sub(info.ModTime()).Abs() < racyTime,
	}
}

// Same reports whether a file whose stamp was s and is now must have the same
// content. It is false for a file that was written just before it was read.
func (s Stamp) Same(now Stamp) bool {
	now.racy = false
	return s == now
}

// String is the same for stamps of the same state, whenever the file was looked
// at.
func (s Stamp) String() string {
	return fmt.Sprintf("%d %d %s %d", s.size, s.modified, s.mode, s.identity)
}

// Modified is when the file was written.
func (s Stamp) Modified() time.Time { return time.Unix(0, s.modified) }
