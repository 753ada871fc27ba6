package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find lists the policy files that Load would read, each once, in order.
func Find(paths ...string) ([]string, error) {
	names, errs := find(paths)
	return names, errs.Err()
}

// find is Find with a list of errors.
func find(paths []string) ([]string, Errors) {
	var names []string
	var errs Errors
	for _, path := range paths {
		found, err := Below(path, isPolicyFile)
		switch {
		case err != nil:
			errs = append(errs, Error{File: path, Message: reason(err), Unread: true})
		case len(found) == 0:
			errs = append(errs, Error{File: path, Message: "the directory has no policy files (*.yaml, *.yml, *.json)"})
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	return slices.Compact(names), errs
}

// Below lists the files of a directory whose names are wanted, or the file itself. It follows
// a symbolic link at the root and none to directories below, and passes over what is hidden
// and what is no file.
func Below(path string, wanted func(name string) bool) (names []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{filepath.Clean(path)}, nil
	}
	// A symbolic link to a directory is followed at the root only.
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := name != root && strings.HasPrefix(entry.Name(), ".")
		switch {
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case entry.IsDir() || hidden || !wanted(entry.Name()):
			return nil
		case entry.Type()&^fs.ModeSymlink != 0:
			return nil // a pipe, a socket, a device
		}
		if rel, err := filepath.Rel(root, name); err == nil {
			names = append(names, filepath.Join(path, rel))
		}
		return nil
	})
	return names, err
}

func isPolicyFile(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml" || ext == ".json") &&
		!strings.HasSuffix(strings.TrimSuffix(name, ext), "_test")
}
