package files

import (
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many links one name may go through, as in Linux.
const maxLinks = 40

// Directories returns where a change of what the names lead to can be seen: a
// directory itself, of a file its directory, and the directories of all links on the
// way. Where a part of a name is not there, the last directory that is. They are
// without links themselves.
func Directories(names []string) map[string]bool {
	found := map[string]bool{}
	parents := map[string]string{}
	for _, name := range names {
		path, err := filepath.Abs(name)
		if err != nil {
			continue // there is no working directory
		}
		dir, base := filepath.Split(path)
		behind, known := parents[dir]
		if !known {
			volume := filepath.VolumeName(dir)
			behind = walk(found, volume+string(filepath.Separator), dir[len(volume):])
			parents[dir] = behind
		}
		if behind == "" {
			continue
		}
		if end := walk(found, behind, base); end != "" {
			found[end] = true
		}
	}
	return found
}

// walk goes on from a directory without links by the rest of a path, and returns the
// directory that it ends at, or that of the file, without links. It adds the directories
// of the links on the way. Where something is not there it adds the last directory that
// is, and ends nowhere.
func walk(found map[string]bool, at, rest string) string {
	links := 0
	for rest != "" {
		step, after, _ := strings.Cut(rest, string(filepath.Separator))
		rest = after
		switch step {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, step)
		info, err := os.Lstat(next)
		if err != nil {
			found[at] = true
			return ""
		}
		switch {
		case info.IsDir():
			at = next
			continue
		case info.Mode()&os.ModeSymlink == 0 && strings.Trim(rest, string(filepath.Separator)) == "":
			return at
		case info.Mode()&os.ModeSymlink == 0:
			found[at] = true // a file in the place of a directory
			return ""
		}
		found[at] = true
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return ""
		}
		if filepath.IsAbs(target) {
			volume := filepath.VolumeName(target)
			at, target = volume+string(filepath.Separator), target[len(volume):]
		}
		rest = target + string(filepath.Separator) + rest // not joined: .. counts from behind a link
	}
	return at
}
