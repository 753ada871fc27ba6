// Package watch keeps the newest valid policy set in memory.
//
// A new set is read and compiled whole and then takes the place of the old one
// in one step; requests in flight finish with the table they began with. A set
// with errors changes nothing: the last good one keeps serving, and the errors
// go to OnReload.
//
// Changes are noticed through the file system's notifications on the
// directories of the policy files and secrets, which also sees the way
// Kubernetes swaps a mounted ConfigMap, and by looking at names, sizes and
// times now and then where there are no notifications.
package watch

import (
	"context"
	"fmt"
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
	"github.com/hookbastion/hookbastion/policy"
)

const (
	// debounce lets an editor or a sync finish what it writes.
	debounce = 100 * time.Millisecond
	// patience is how long changes without a pause are waited for.
	patience = 2 * time.Second
	// pollInterval is how often names, sizes and times are compared.
	pollInterval = 10 * time.Second
)

// Watcher has the current table. It is safe for concurrent use.
type Watcher struct {
	// Paths are the policy files and directories.
	Paths []string
	// Compile makes the table of a set, given the one before.
	Compile func(set *policy.Set, previous *authz.Table) (*authz.Table, error)
	// OnReload is told the outcome of every load after the first.
	OnReload func(table *authz.Table, err error)

	table atomic.Pointer[authz.Table]
	mu    sync.Mutex // held during a load
	// seen describes the directories that hold what was read last, as they
	// were before it was read: what changes meanwhile is noticed afterwards.
	seen map[string]string
}

// Table returns the newest valid table, or nil before the first.
func (w *Watcher) Table() *authz.Table { return w.table.Load() }

// Load reads and compiles the files and takes the table into service. After an
// error the last good table stays.
func (w *Watcher) Load() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := look(w.directories(nil))
	set, err := policy.Load(w.Paths...)
	for dir, state := range look(w.directories(set)) {
		if _, ok := seen[dir]; !ok {
			seen[dir] = state // of secrets, which are read from here on
		}
	}
	w.seen = seen
	if err != nil {
		return err
	}
	table, err := w.Compile(set, w.table.Load())
	if err != nil {
		return err
	}
	w.table.Store(table)
	return nil
}

func (w *Watcher) reload() {
	err := w.Load()
	if w.OnReload != nil {
		w.OnReload(w.Table(), err)
	}
}

// directories lists what to watch: the given paths, everything below them, and
// the directories of secrets.
func (w *Watcher) directories(set *policy.Set) []string {
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
	if set != nil {
		for _, name := range set.SecretFiles() {
			dirs = append(dirs, filepath.Dir(name))
		}
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
	for {
		w.subscribe(notifier)
		if w.changed() {
			w.reload()
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-kick:
			w.reload()
		case _, ok := <-events:
			if !ok {
				events = nil
			}
			if !settle(ctx, events) {
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

// subscribe asks for notifications on the directories of the last load. What
// cannot be watched is polled.
func (w *Watcher) subscribe(notifier *fsnotify.Watcher) {
	if notifier == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, old := range notifier.WatchList() {
		if _, ok := w.seen[old]; !ok {
			_ = notifier.Remove(old) // it is gone already
		}
	}
	for dir := range w.seen {
		_ = notifier.Add(dir) // or polled
	}
}

// changed reports whether a directory is not as it was at the last load.
func (w *Watcher) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir, state := range w.seen {
		if look([]string{dir})[dir] != state {
			return true
		}
	}
	return false
}

// look describes the files in the directories without reading them.
func look(dirs []string) map[string]string {
	states := map[string]string{}
	for _, dir := range dirs {
		var b strings.Builder
		entries, err := os.ReadDir(dir)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
		for _, entry := range entries {
			name := filepath.Join(dir, entry.Name())
			if info, err := os.Stat(name); err == nil { // through symbolic links
				fmt.Fprintf(&b, "%s %d %d %s\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode())
			}
		}
		states[dir] = b.String()
	}
	return states
}
