// Package watch keeps the newest valid policy set in memory.
//
// A new set is read and compiled whole and then takes the place of the old one
// in one step; requests in flight finish with the table they began with. A set
// with errors changes nothing: the last good one keeps serving, and the errors
// go to OnReload. So does a set whose files changed while they were read, which
// may be half of one version and half of another: it is read again.
//
// A secret that changes needs no new set: its value is replaced in the table that
// serves. One that becomes empty, unreadable or weak keeps the value that it had,
// and OnSecrets is told. Only a set that could not be loaded is tried again when
// one of its secrets changes.
//
// Changes are noticed as package files does. What counts is the policy files and
// secrets: which there are, and the stamp of each behind all links. What else happens
// beside them is no reason to load.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/diff"
)

// tries is how often files that change while they are read are read again.
const tries = 5

// ErrUnstable is the error of files that never were the same before and after
// they were read. Run tries again.
var ErrUnstable = errors.New("the policy files or secrets change while they are read")

// Report is the outcome of a load.
type Report struct {
	// Table serves now; nil before the first good load.
	Table *authz.Table
	// Err is why the newest files do not serve. Repeated says that the load
	// before failed with the same errors.
	Err      error
	Repeated bool
	// Changes is what changed since the last good load. It is empty after an
	// error and after the first load.
	Changes diff.Changes
	// Held says that the newest files are good and do not serve yet, since they
	// protect less: Changes says what they would change.
	Held bool
}

// Watcher has the current table. It is safe for concurrent use.
type Watcher struct {
	// Paths are the policy files and directories.
	Paths []string
	// Compile makes the table of a set, given the one before.
	Compile func(set *policy.Set, previous *authz.Table) (*authz.Table, error)
	// Hold is how long the files of a set that protects less must have been still
	// before it serves. 0: not at all.
	Hold time.Duration
	// OnReload is told the outcome of every load after the first.
	OnReload func(Report)
	// OnSecrets is told what became of secrets that changed.
	OnSecrets func([]secret.Change)
	// OnPolled is told why changes are noticed late, by looking now and then alone, and
	// nil when that is over.
	OnPolled func(error)

	table atomic.Pointer[authz.Table]
	err   atomic.Pointer[error] // of the last load
	mu    sync.Mutex            // held during a load
	good  *policy.Set           // what serves, without its text
	held  *policy.Set           // what is good and does not serve yet
	// secrets and others are the files of the set that was read last, seen the
	// state of all files before they were read.
	secrets, others []string
	seen            state
}

// Table returns the newest valid table, or nil before the first.
func (w *Watcher) Table() *authz.Table { return w.table.Load() }

// Err returns why the newest files do not serve, or nil if they do.
func (w *Watcher) Err() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Load reads and compiles the files and takes the table into service. After an
// error the last good table stays.
func (w *Watcher) Load() error { return w.load(nil, false).Err }

// load reads the files, unless they were read before and are as they were. May they be
// held back if they protect less?
func (w *Watcher) load(before *policy.Set, hold bool) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	set, table, err := w.readStable(before)
	report := Report{Table: w.table.Load(), Err: err}
	last := w.Err()
	w.err.Store(&err)
	w.held = nil
	if err != nil {
		report.Repeated = last != nil && last.Error() == err.Error()
		return report
	}
	if w.good != nil {
		report.Changes, report.Err = diff.Compare(w.good, set)
	}
	if hold && report.Changes.Weaker() {
		report.Held = true
		w.held = set
		return report
	}
	set.Forget()
	w.good = set
	w.table.Store(table)
	report.Table = table
	return report
}

// readStable reads the files until nothing changed meanwhile. A set that was read
// before is compiled again: its secrets, and the time from which on it serves, may be
// others.
func (w *Watcher) readStable(before *policy.Set) (*policy.Set, *authz.Table, error) {
	for range tries {
		set, loadErr := before, error(nil)
		if before == nil {
			w.seen.policies, w.seen.wrong = lookAtPolicies(w.Paths)
			set, loadErr = policy.Load(w.Paths...)
			w.secrets, w.others = set.SecretFiles(), set.OtherFiles()
		}
		before = nil
		w.seen.others, w.seen.secrets = files.StateOf(w.others), files.StateOf(w.secrets)
		table, err := w.Compile(set, w.table.Load())
		if err == nil {
			err = loadErr
		}
		if w.seen == w.look() {
			return set, table, err
		}
	}
	return nil, nil, ErrUnstable
}

// reload loads, and returns what to wait for if the set is held back: its files are
// to be as they are now.
func (w *Watcher) reload(before *policy.Set, hold bool) <-chan time.Time {
	report := w.load(before, hold && w.Hold > 0)
	if w.OnReload != nil {
		w.OnReload(report)
	}
	if report.Held {
		return time.After(w.Hold)
	}
	return nil
}

// refresh replaces the secrets of the table that serves. They may have been swapped
// together with the policies, whose next table they belong to: then they are left alone.
func (w *Watcher) refresh() {
	table := w.Table()
	if table == nil {
		return
	}
	same := func() bool { return !w.changed(w.lookNow()) }
	if changes := table.Secrets.Refresh(time.Now(), same); len(changes) > 0 && w.OnSecrets != nil {
		w.OnSecrets(changes)
	}
}

// follow lists what to watch: the given paths, everything below them, and the files of
// secrets.
func (w *Watcher) follow() []string {
	names := slices.Clone(w.Paths)
	for _, path := range w.Paths {
		root, err := filepath.EvalSymlinks(path) // as policy.Load does
		if err != nil {
			continue
		}
		_ = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && name != root {
				if strings.HasPrefix(entry.Name(), ".") {
					return fs.SkipDir
				}
				names = append(names, name)
			}
			return nil
		})
	}
	found, _ := policy.Find(w.Paths...) // what is wrong is an error of the next load
	w.mu.Lock()
	defer w.mu.Unlock()
	names = slices.Concat(names, found, w.secrets, w.others)
	if table := w.Table(); table != nil && w.Err() != nil {
		names = append(names, table.Secrets.Names()...) // not those of the newest set
	}
	return names
}

// Run reloads after changes and whenever kick receives, until the context
// ends. It works without file notifications, only later.
func (w *Watcher) Run(ctx context.Context, kick <-chan os.Signal) {
	watcher := files.NewWatcher()
	defer watcher.Close()
	polled := files.Once{Tell: w.OnPolled}
	var held <-chan time.Time
	sign := files.Polled
	for filled := w.lookNow().secrets; ; {
		// Followed first: what changes from here on is noticed.
		polled.Say(watcher.Follow(w.follow()))
		now := w.lookNow()
		changed := w.changed(now)
		if (changed || filled != now.secrets) && sign != files.Notified && !files.Still(ctx, w.lookNow) {
			return
		}
		if sign = files.Polled; changed {
			held = w.reload(nil, true)
			continue
		}
		w.refresh()
		filled = now.secrets
		select {
		case <-ctx.Done():
			return
		case <-kick:
			held = w.reload(nil, false) // somebody says that all is written
		case <-held:
			if held = nil; !w.changed(w.lookNow()) {
				w.reload(w.isHeld(), false)
			}
		case sign = <-watcher.Changed:
		}
	}
}

func (w *Watcher) isHeld() *policy.Set {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}
