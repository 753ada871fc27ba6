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
// Changes are noticed through the file system's notifications on the
// directories of the policy files and secrets, which also sees the way
// Kubernetes swaps a mounted ConfigMap, and by looking now and then where there
// are no notifications. What counts is the policy files and secrets: which there
// are, and the size, time and identity of each behind all links. What else
// happens beside them is no reason to load.
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

	"github.com/fsnotify/fsnotify"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/diff"
)

const (
	// debounce lets an editor or a sync finish what it writes.
	debounce = 100 * time.Millisecond
	// patience is how long changes without a pause are waited for.
	patience = 2 * time.Second
	// pollInterval is how often the files are looked at without notifications.
	pollInterval = 10 * time.Second
	// tries is how often files that change while they are read are read again.
	tries = 5
)

// ErrUnsettled is the error of files that never were the same before and after
// they were read. Run tries again.
var ErrUnsettled = errors.New("the policy files or secrets change while they are read")

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

	table atomic.Pointer[authz.Table]
	err   atomic.Pointer[error] // of the last load
	mu    sync.Mutex            // held during a load
	good  *policy.Set           // what serves, without its text
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
func (w *Watcher) Load() error { return w.load(false).Err }

// load reads the files. May they be held back if they protect less?
func (w *Watcher) load(hold bool) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	set, table, err := w.readSettled()
	report := Report{Table: w.table.Load(), Err: err}
	last := w.Err()
	w.err.Store(&err)
	if err != nil {
		report.Repeated = last != nil && last.Error() == err.Error()
		return report
	}
	if w.good != nil {
		report.Changes, report.Err = diff.Compare(w.good, set)
	}
	if hold && report.Changes.Weaker() {
		report.Held = true
		return report
	}
	set.Forget()
	w.good = set
	w.table.Store(table)
	report.Table = table
	return report
}

// readSettled reads the files until nothing changed meanwhile.
func (w *Watcher) readSettled() (*policy.Set, *authz.Table, error) {
	for range tries {
		w.seen.policies = lookAtPolicies(w.Paths)
		set, loadErr := policy.Load(w.Paths...)
		w.secrets, w.others = set.SecretFiles(), set.OtherFiles()
		w.seen.others = lookAt(w.others)
		w.seen.secrets = lookAt(w.secrets)
		table, err := w.Compile(set, w.table.Load())
		if err == nil {
			err = loadErr
		}
		if w.seen == w.look() {
			return set, table, err
		}
	}
	return nil, nil, ErrUnsettled
}

// reload loads, and returns what to wait for if the set is held back: its files are
// to be as they are now.
func (w *Watcher) reload(hold bool) <-chan time.Time {
	report := w.load(hold && w.Hold > 0)
	if w.OnReload != nil {
		w.OnReload(report)
	}
	if report.Held {
		return time.After(w.Hold)
	}
	return nil
}

// refresh replaces the secrets of the table that serves.
func (w *Watcher) refresh() {
	table := w.Table()
	if table == nil {
		return
	}
	if changes := table.Secrets.Refresh(time.Now()); len(changes) > 0 && w.OnSecrets != nil {
		w.OnSecrets(changes)
	}
}

// directories lists what to watch: the given paths, everything below them, and
// the directories of secrets.
func (w *Watcher) directories() []string {
	var dirs []string
	for _, path := range w.Paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			dirs = append(dirs, filepath.Dir(path))
			continue
		}
		dirs = append(dirs, path)
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			dirs = append(dirs, filepath.Dir(path)) // where the link is swapped
		}
		root, err := filepath.EvalSymlinks(path) // as policy.Load does
		if err != nil {
			continue
		}
		_ = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && name != root {
				if strings.HasPrefix(entry.Name(), ".") {
					return fs.SkipDir
				}
				dirs = append(dirs, name)
			}
			return nil
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	files := slices.Concat(w.secrets, w.others)
	if table := w.Table(); table != nil && w.Err() != nil {
		files = append(files, table.Secrets.Names()...) // not those of the newest set
	}
	for _, name := range files {
		dirs = append(dirs, filepath.Dir(name))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Run reloads after changes and whenever kick receives, until the context
// ends. It works without file notifications, only later.
func (w *Watcher) Run(ctx context.Context, kick <-chan os.Signal) {
	var events chan fsnotify.Event
	notifier, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = notifier.Close() }() // nothing to do about it
		events = notifier.Events
		go drain(notifier.Errors)
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	var held <-chan time.Time
	for settled := false; ; {
		// Subscribed first: what changes from here on is noticed.
		w.subscribe(notifier)
		if w.changed() {
			if !settled && !settle(ctx, events) {
				return
			}
			settled = false
			held = w.reload(true)
			continue
		}
		w.refresh()
		settled = false
		select {
		case <-ctx.Done():
			return
		case <-kick:
			held = w.reload(false) // somebody says that all is written
		case <-held:
			if held = nil; !w.changed() {
				w.reload(false)
			}
		case _, ok := <-events:
			if !ok {
				events = nil
			}
			if settled = settle(ctx, events); !settled {
				return
			}
		case <-poll.C:
		}
	}
}

// settle waits until nothing has happened for a moment, but not for ever: a
// busy neighbour must not keep a new policy out.
func settle(ctx context.Context, events <-chan fsnotify.Event) bool {
	quiet := time.NewTimer(debounce)
	defer quiet.Stop()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-quiet.C:
			return true
		case <-enough.C:
			return true
		case _, ok := <-events:
			if !ok {
				events = nil
			}
			quiet.Reset(debounce)
		}
	}
}

func drain(errs <-chan error) {
	for range errs { //nolint:revive // an overflow is made good by the next look
	}
}

// subscribe asks for notifications on the directories as they are now. What
// cannot be watched is polled.
func (w *Watcher) subscribe(notifier *fsnotify.Watcher) {
	if notifier == nil {
		return
	}
	dirs := w.directories()
	for _, old := range notifier.WatchList() {
		if _, ok := slices.BinarySearch(dirs, old); !ok {
			_ = notifier.Remove(old) // it is gone already
		}
	}
	for _, dir := range dirs {
		_ = notifier.Add(dir) // or polled
	}
}

// changed reports whether the set must be loaded again: its files are not as
// they were, or it could not be loaded and its secrets are not.
func (w *Watcher) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.look()
	return w.seen.policies != now.policies || w.seen.others != now.others || w.seen.secrets != now.secrets && w.Err() != nil
}

func (w *Watcher) look() state {
	return state{policies: lookAtPolicies(w.Paths), others: lookAt(w.others), secrets: lookAt(w.secrets)}
}
