package cli

import (
	"cmp"
	"os"
	"path/filepath"
)

// Replace writes a file anew, with the mode that it has. Behind a link it is the file that
// the link leads to.
func Replace(name string, text []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return WriteWhole(name, text, info.Mode().Perm())
}

// WriteWhole writes a file, whole or not at all.
func WriteWhole(name string, text []byte, mode os.FileMode) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".hookbastion-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(text)
	err = cmp.Or(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()) // all are done, whatever fails
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
