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
	dirs  []string   // that hold what was read last
}

// Table returns the newest valid table, or nil before the first.
func (w *Watcher) Table() *authz.Table { return w.table.Load() }

// Load reads and compiles the files and takes the table into service. After an
// error the last good table stays.
func (w *Watcher) Load() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	set, err := policy.Load(w.Paths...)
	w.dirs = w.directories(set)
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
		_ = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && name != path {
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
	quiet := time.NewTimer(0)
	<-quiet.C
	seen := w.rewatch(notifier)
	for {
		select {
		case <-ctx.Done():
			return
		case <-kick:
			w.reload()
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			quiet.Reset(debounce)
			continue
		case <-quiet.C:
			if w.state() == seen {
				continue // for instance a read that touched nothing
			}
			w.reload()
		case <-poll.C:
			if w.state() == seen {
				continue
			}
			w.reload()
		}
		seen = w.rewatch(notifier)
	}
}

func drain(errs <-chan error) {
	for range errs { //nolint:revive // an overflow is made good by the next look
	}
}

// rewatch subscribes to the directories of the last load and returns the state
// that was seen.
func (w *Watcher) rewatch(notifier *fsnotify.Watcher) string {
	w.mu.Lock()
	dirs := w.dirs
	w.mu.Unlock()
	if notifier != nil {
		for _, old := range notifier.WatchList() {
			if !slices.Contains(dirs, old) {
				_ = notifier.Remove(old)
			}
		}
		for _, dir := range dirs {
			_ = notifier.Add(dir) // polling sees what this one does not
		}
	}
	return w.state()
}

// state describes the files in the watched directories without reading them.
func (w *Watcher) state() string {
	w.mu.Lock()
	dirs := w.dirs
	w.mu.Unlock()
	var b strings.Builder
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", dir, err)
		}
		for _, entry := range entries {
			name := filepath.Join(dir, entry.Name())
			if info, err := os.Stat(name); err == nil { // through symbolic links
				fmt.Fprintf(&b, "%s %d %d %s\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode())
			}
		}
	}
	return b.String()
}
