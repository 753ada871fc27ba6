package files

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// racyTime is how long after a file was written another write might leave the
// same time behind, as the clocks of file systems are coarse.
const racyTime = 2 * time.Second

// Stamp tells two states of a file apart without reading it: its size, its times, its
// mode and which file it is.
type Stamp struct {
	size, modified int64
	mode           fs.FileMode
	identity       identity
	racy           bool
}

// StampOf returns the stamp of a file that is looked at now.
func StampOf(info fs.FileInfo, now time.Time) Stamp {
	return Stamp{
		size: info.Size(), modified: info.ModTime().UnixNano(), mode: info.Mode(), identity: identityOf(info),
		racy: now.Sub(info.ModTime()).Abs() < racyTime,
	}
}

// Look returns the stamp of the file behind all links of a name.
func Look(name string, now time.Time) (Stamp, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Stamp{}, err
	}
	return StampOf(info, now), nil
}

// Same reports whether a file whose stamp was s and is now must have the same
// content. It is false for a file that was written just before it was read.
func (s Stamp) Same(now Stamp) bool {
	now.racy = false
	return s == now
}

// sameState reports whether the stamps are of the same state, as far as stamps tell.
func (s Stamp) sameState(other Stamp) bool {
	s.racy, other.racy = false, false
	return s == other
}

// String is the same for stamps of the same state, whenever the file was looked
// at.
func (s Stamp) String() string {
	return fmt.Sprintf("%d %d %s %v", s.size, s.modified, s.mode, s.identity)
}

// State stands for the stamps of many files in a few bytes.
type State [sha256.Size]byte

// StateOf looks at the files behind all links. What is not there is part of the state.
func StateOf(names []string) State {
	h := sha256.New()
	for _, name := range names {
		stamp, err := Look(name, time.Time{})
		if err != nil {
			_, _ = fmt.Fprintf(h, "%s: %v\n", name, err) // hashes never fail
			continue
		}
		_, _ = fmt.Fprintf(h, "%s %s\n", name, stamp)
	}
	return State(h.Sum(nil))
}
