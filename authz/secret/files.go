package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/files"
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
	stamp files.Stamp
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

// Refresh looks at all files and replaces the values of those that changed, if after
// reading them all same, unless it is nil, says that they belong to what serves.
// What cannot be a key stays as it was. It returns what is new: an error that
// was there before is not.
func (f *Files) Refresh(now time.Time, same func() bool) []Change {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.count()
	read := map[string]content{}
	names := slices.Sorted(maps.Keys(f.files))
	for _, name := range names {
		if c := f.files[name].look(name, now); !c.same {
			read[name] = c
		}
	}
	if len(read) == 0 || same != nil && !same() {
		return nil
	}
	var changes []Change
	for _, name := range names {
		if c, ok := read[name]; ok {
			changes = append(changes, f.files[name].take(name, c)...)
		}
	}
	return changes
}

// content is what stands in a file now.
type content struct {
	text  Value
	stamp files.Stamp
	err   error
	same  bool // as the last time
}

// look reads a file unless it is as it was.
func (f *file) look(name string, now time.Time) content {
	seen, err := files.Look(name, now)
	if err == nil && f.err == nil && f.stamp.Same(seen) {
		return content{same: true}
	}
	text, stamp, err := readStable(name)
	return content{text: text, stamp: stamp, err: err}
}

// take replaces the values that are made of the file.
func (f *file) take(name string, c content) []Change {
	if c.err != nil {
		return f.failed(name, c.err)
	}
	wasBroken := f.err != nil
	f.stamp, f.err = c.stamp, nil
	var changes []Change
	for i := range f.uses {
		use := &f.uses[i]
		before := use.err
		key, err := use.Accept(c.text)
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
func readStable(name string) (Value, files.Stamp, error) {
	text, stamp, err := files.Read(name, MaxBytes)
	return textOf(text, stamp, err)
}

// ReadFrom reads the secret in an open file.
func ReadFrom(file fs.File) (Value, files.Stamp, error) {
	text, stamp, err := files.ReadFrom(file, MaxBytes)
	return textOf(text, stamp, err)
}

func textOf(text []byte, stamp files.Stamp, err error) (Value, files.Stamp, error) {
	if errors.Is(err, files.ErrTooLarge) {
		err = ErrTooLarge
	}
	if text = trimLineBreak(text); err == nil && len(text) == 0 {
		err = ErrEmpty
	}
	if err != nil {
		return Value{}, files.Stamp{}, err
	}
	return hold(text), stamp, nil
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
