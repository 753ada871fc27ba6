package secret

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Accept makes a key of the text of a secret, or says why it cannot be one. Its
// errors never hold any of it.
type Accept func(text Value) (Value, error)

// Use is a key that is made of a secret.
type Use struct {
	// Webhook and Key name it in reports.
	Webhook, Key string
	Accept       Accept
}

// Files are secrets that are read from files, again and again. Each Use has a
// cell of its own, since two schemes can read one file in two ways. It is safe
// for concurrent use.
type Files struct {
	mu    sync.Mutex
	files map[string]*file
	// counts is read while files are, which may take long.
	counts atomic.Pointer[Counts]
}

// file is one file with what is made of it.
type file struct {
	stamp Stamp
	text  Value // until Forget
	err   error // why it could not be read the last time
	uses  []filled
}

type filled struct {
	Use
	cell *Cell
	err  error // why the text of the last time cannot be the key
}

// NewFiles returns no files.
func NewFiles() *Files { return &Files{files: map[string]*file{}} }

// Read reads a file, once.
func (f *Files) Read(name string) (Value, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.files[name]; known != nil && known.text.Len() > 0 {
		return known.text, nil
	}
	text, stamp, err := readStable(name)
	if err != nil {
		return Value{}, fmt.Errorf("%s: %w", name, err)
	}
	f.files[name] = &file{stamp: stamp, text: text}
	return text, nil
}

// Add returns the cell of a use of a file that was read.
func (f *Files) Add(name string, use Use) (*Cell, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.files[name]
	if known == nil {
		return nil, ErrNotFile
	}
	key, err := use.Accept(known.text)
	if err != nil {
		return nil, err
	}
	cell := NewCell(key)
	known.uses = append(known.uses, filled{Use: use, cell: cell})
	return cell, nil
}

// Forget drops the texts, which only Add needs, and the files without a use.
func (f *Files) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.count()
	for name, known := range f.files {
		known.text = Value{}
		known.uses = slices.Clip(known.uses)
		if len(known.uses) == 0 {
			delete(f.files, name)
		}
	}
}

// Names lists the files.
func (f *Files) Names() []string {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.files))
}

// Change is what became of a file that changed.
type Change struct {
	// File is its name.
	File string
	// Webhook and Key name the use; empty where the whole file cannot be read.
	Webhook, Key string
	// Err is why the last good value stays. Nil: there is a new one, or the old
	// one is good again.
	Err error
}

// Refresh looks at all files and replaces the values of those that changed.
// What cannot be a key stays as it was. It returns what is new: an error that
// was there before is not.
func (f *Files) Refresh(now time.Time) []Change {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.count()
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		changes = append(changes, f.files[name].refresh(name, now)...)
	}
	return changes
}

func (f *file) refresh(name string, now time.Time) []Change {
	info, err := os.Stat(name)
	if err == nil && f.err == nil && f.stamp.Same(StampOf(info, now)) {
		return nil
	}
	text, stamp, err := readStable(name)
	if err != nil {
		return f.failed(name, err)
	}
	wasBroken := f.err != nil
	f.stamp, f.err = stamp, nil
	var changes []Change
	for i := range f.uses {
		use := &f.uses[i]
		before := use.err
		key, err := use.Accept(text)
		use.err = err
		switch changed := err == nil && use.cell.replace(key); {
		case err != nil && before != nil && before.Error() == err.Error():
		case err != nil, changed, before != nil, wasBroken:
			changes = append(changes, Change{File: name, Webhook: use.Webhook, Key: use.Key, Err: err})
		}
	}
	return changes
}

func (f *file) failed(name string, err error) []Change {
	again := f.err != nil && f.err.Error() == err.Error()
	f.err = err
	if again {
		return nil
	}
	return []Change{{File: name, Err: err}}
}

// readStable reads a file that does not change meanwhile. After three tries it
// is an error, and read again at the next look.
func readStable(name string) (Value, Stamp, error) {
	const tries = 3
	for range tries {
		text, before, err := readFile(name)
		if err != nil {
			return Value{}, Stamp{}, err
		}
		info, err := os.Stat(name)
		if err != nil {
			return Value{}, Stamp{}, withoutPath(err)
		}
		after := StampOf(info, time.Now())
		before.racy = after.racy
		if before != after {
			continue
		}
		return text, before, nil
	}
	return Value{}, Stamp{}, errUnstable
}

func readFile(name string) (Value, Stamp, error) {
	file, err := openFile(name)
	if err != nil {
		return Value{}, Stamp{}, withoutPath(err)
	}
	defer func() { _ = file.Close() }() // only read
	return ReadFrom(file)
}

// ReadFrom reads the secret in an open file.
func ReadFrom(file fs.File) (Value, Stamp, error) {
	info, err := file.Stat()
	if err != nil {
		return Value{}, Stamp{}, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return Value{}, Stamp{}, ErrNotFile
	}
	text, err := readAll(file)
	if err == nil && len(text) == 0 {
		err = ErrEmpty
	}
	if err != nil {
		return Value{}, Stamp{}, err
	}
	return hold(text), StampOf(info, time.Now()), nil
}

// Counts are numbers of keys.
type Counts struct {
	// Current have the value that their file has.
	Current int
	// LastGood have an earlier one, since that of the file cannot be used.
	LastGood int
}

// Count counts the keys that are made of files, as of the last look.
func (f *Files) Count() Counts {
	if f == nil {
		return Counts{}
	}
	if n := f.counts.Load(); n != nil {
		return *n
	}
	return Counts{}
}

func (f *Files) count() {
	n := &Counts{}
	for _, known := range f.files {
		for i := range known.uses {
			if known.err != nil || known.uses[i].err != nil {
				n.LastGood++
			} else {
				n.Current++
			}
		}
	}
	f.counts.Store(n)
}
