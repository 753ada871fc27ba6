// Package reload calls a function again when files may have changed.
//
// Changes are noticed through the file system's notifications on the
// directories of the files, which also sees the way Kubernetes swaps a mounted
// secret, and by calling now and then where there are no notifications. The
// function must therefore see for itself whether anything is new.
package reload

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// debounce lets whoever writes a certificate write its key, too.
	debounce = 100 * time.Millisecond
	// patience is how long changes without a pause are waited for.
	patience = 2 * time.Second
	// pollInterval is how often load is called without a notification.
	pollInterval = 10 * time.Second
)

// Run calls load after changes beside the files, and every ten seconds, until
// the context ends.
func Run(ctx context.Context, files []string, load func()) {
	var events chan fsnotify.Event
	var errs chan error
	notifier, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = notifier.Close() }() // nothing to do about it
		events, errs = notifier.Events, notifier.Errors
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		subscribe(notifier, files)
		load() // what changed before the subscription
		select {
		case <-ctx.Done():
			return
		case <-events:
			if !settle(ctx, events) {
				return
			}
		case _, ok := <-errs: // an overflow: look
			if !ok {
				errs = nil
			}
		case <-poll.C:
		}
	}
}

// subscribe asks for notifications on the directories, also on those that have
// taken the place of others since. What cannot be watched is polled.
func subscribe(notifier *fsnotify.Watcher, files []string) {
	if notifier == nil {
		return
	}
	var dirs []string
	for _, file := range files {
		dirs = append(dirs, filepath.Dir(file))
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		_ = notifier.Add(dir)
	}
}

// settle waits until nothing has happened for a moment, but not for ever.
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
		case <-events:
			quiet.Reset(debounce)
		}
	}
}
