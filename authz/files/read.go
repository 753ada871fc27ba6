package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Errors of Read.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("the file is too large")
	ErrUnstable   = errors.New("the file changes while it is read")
)

// tries is how often a file that changes while it is read is read again.
const tries = 3

// Read returns the content of a regular file, behind all links, and the stamp of the
// state that was read. It is an error if there are more than that many bytes. Neither a pipe
// nor a device blocks it. Errors of the system do not name the file: the caller does.
//
// What is read is what one state of the file had: one that changes meanwhile is read
// again, and is [ErrUnstable] after three tries. That says nothing of whether a writer
// has ended.
func Read(name string, most int) ([]byte, Stamp, error) {
	for range tries {
		data, before, err := readOnce(name, most)
		if err != nil {
			return nil, Stamp{}, WithoutPath(err)
		}
		after, err := Look(name, time.Now())
		if err != nil {
			return nil, Stamp{}, WithoutPath(err)
		}
		if before.sameState(after) {
			return data, after, nil
		}
	}
	return nil, Stamp{}, ErrUnstable
}

func readOnce(name string, most int) ([]byte, Stamp, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, Stamp{}, err
	}
	defer func() { _ = file.Close() }() // only read
	return ReadFrom(file, most)
}

// ReadFrom reads an open file once. It may change meanwhile.
func ReadFrom(file fs.File, most int) ([]byte, Stamp, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, Stamp{}, WithoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, Stamp{}, ErrNotRegular
	}
	var data bytes.Buffer
	data.Grow(int(min(info.Size(), int64(most))) + bytes.MinRead)
	if _, err := data.ReadFrom(io.LimitReader(file, int64(most)+1)); err != nil {
		return nil, Stamp{}, WithoutPath(err)
	}
	if data.Len() > most {
		return nil, Stamp{}, ErrTooLarge
	}
	return data.Bytes(), StampOf(info, time.Now()), nil
}

// ReadAll reads several files whole, each of at most that many bytes. The error names the file.
func ReadAll(names []string, most int) ([][]byte, error) {
	all := make([][]byte, len(names))
	for i, name := range names {
		data, _, err := Read(name, most)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[i] = data
	}
	return all, nil
}

// WithoutPath takes the path out of an error of the system, for one that says the path
// itself.
func WithoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
