package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// NewFile is a file that a command makes.
type NewFile struct {
	Name   string
	Data   []byte
	Secret bool // nobody but its owner may read it, nor list its directory
}

// StillFree is an error if there is such a file.
func StillFree(dir, name string) error {
	name = filepath.Join(dir, name)
	switch _, err := os.Lstat(name); {
	case err == nil:
		return fmt.Errorf("%s is there already, and nothing is written: move it away, or name another directory", name)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

// WriteNew writes files into a directory, all or none. One that is there already is an
// error, whatever it has, and stays as it is.
func WriteNew(dir string, files []NewFile) (err error) {
	for _, f := range files { // before anything is made
		if err := StillFree(dir, f.Name); err != nil {
			return err
		}
	}
	var made []string
	defer func() {
		if err != nil {
			for _, name := range made {
				_ = os.Remove(name) // what is left is ours, and whole or empty
			}
		}
	}()
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		mode, around := os.FileMode(0o644), os.FileMode(0o755)
		if f.Secret {
			mode, around = 0o600, 0o700
		}
		if err := os.MkdirAll(filepath.Dir(name), around); err != nil {
			return err
		}
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		made = append(made, name)
		_, err = file.Write(f.Data)
		if err = cmp.Or(err, file.Sync(), file.Close()); err != nil { // all are done, whatever fails
			return err
		}
	}
	return nil
}
