// Package files reads files that others write while we run, and notices when they
// change. Policies, secrets, certificates and keys are all watched by it.
//
// A change is noticed by the file system's notifications on the directories of the
// files and of all links on the way to them, which also sees the way Kubernetes swaps a
// mounted ConfigMap; and by looking now and then, which is all that is left on network
// file systems and where the system has no notifications left. A notification only says
// that it is time to look: two looks are told apart by [Stamp], not by events.
//
// A file that is written in place is read half if its writer pauses for longer than a
// tenth of a second: rename whole files into place. What is read is never a mix of two
// states of one file.
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// Debounce is how long nothing must happen after a change before it is told: an
	// editor or a sync finishes what it writes.
	Debounce = 100 * time.Millisecond
	// Changes without a pause are waited for this long, and a tenth of a millisecond
	// longer for each file: a busy neighbour must not keep a change out.
	patienceBase = 500 * time.Millisecond
	patienceMost = 2 * time.Second
	// breath is for how long no event is taken after one. The system joins those that are
	// alike meanwhile: a neighbour that writes a thousand times a second wakes nobody as often.
	breath = 20 * time.Millisecond
	// Polls come after pollBase and pollEach for each file, so that they take less
	// than a hundredth of a processor, and after pollMost at the latest.
	pollBase = 500 * time.Millisecond
	pollEach = time.Millisecond
	pollMost = 10 * time.Second
)

// Sign is why it is time to look.
type Sign uint8

// The signs.
const (
	// Notified: something has happened, and nothing more for a moment.
	Notified Sign = iota + 1
	// Polled: it is only time. A writer may be at work.
	Polled
)

// Watcher tells that files may have changed.
type Watcher struct {
	// Changed receives after changes, and now and then without any. Whoever
	// receives looks for himself whether there is one.
	Changed <-chan Sign

	notifier *fsnotify.Watcher // nil: there is none
	failed   error             // why there is none
	count    chan int          // of the files that are followed
	end      context.CancelFunc
	ended    chan struct{}
}

// NewWatcher returns a watcher of nothing. It works without notifications of the
// system, only later. It must be closed.
func NewWatcher() *Watcher {
	ctx, end := context.WithCancel(context.Background())
	changed := make(chan Sign, 1)
	w := &Watcher{Changed: changed, count: make(chan int, 1), end: end, ended: make(chan struct{})}
	var events chan fsnotify.Event
	var errs chan error
	if w.notifier, w.failed = fsnotify.NewWatcher(); w.failed == nil {
		events, errs = w.notifier.Events, w.notifier.Errors
	}
	go func() {
		defer close(w.ended)
		wait(ctx, events, errs, w.count, changed)
	}()
	return w
}

// Close ends the watcher.
func (w *Watcher) Close() {
	w.end()
	<-w.ended
	if w.failed == nil {
		_ = w.notifier.Close() // nothing to do about it
	}
}

// Follow says which files and directories matter from here on. What changes after it
// returns is told. The error is why some of it is only polled; all the rest works. It
// must not be called by two at once, nor after Close.
func (w *Watcher) Follow(names []string) error {
	select {
	case <-w.count: // the last one was not taken yet
	default:
	}
	w.count <- len(names)
	if w.failed != nil {
		return fmt.Errorf("no notifications of the system: %w", w.failed)
	}
	wanted := Directories(names)
	for _, old := range w.notifier.WatchList() {
		if !wanted[old] {
			_ = w.notifier.Remove(old) // it is gone already
		}
	}
	var failed error
	for _, dir := range slices.Sorted(maps.Keys(wanted)) {
		// One that is gone again is looked for at the next event.
		if err := w.notifier.Add(dir); err != nil && failed == nil && !errors.Is(err, fs.ErrNotExist) {
			failed = fmt.Errorf("%s: %w", dir, limit(err))
		}
	}
	return failed
}

// errWatches is what ENOSPC means here.
var errWatches = errors.New("the limit fs.inotify.max_user_watches is reached")

func limit(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return errWatches
	}
	return err
}

// wait turns events and time into signs to look.
func wait(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error, count <-chan int, changed chan<- Sign) {
	n := 0
	poll := time.NewTimer(pollAfter(n))
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n = <-count:
		case <-poll.C:
			tell(changed, Polled)
		case _, ok := <-errs: // events were lost
			if !ok {
				errs = nil
			}
			tell(changed, Polled)
		case <-events:
			if !quiet(ctx, events, patience(n)) {
				return
			}
			tell(changed, Notified)
		}
		poll.Reset(pollAfter(n))
	}
}

func pollAfter(files int) time.Duration {
	return min(pollBase+time.Duration(files)*pollEach, pollMost)
}

func patience(files int) time.Duration {
	return min(patienceBase+time.Duration(files)*pollEach/10, patienceMost)
}

func tell(changed chan<- Sign, sign Sign) {
	select {
	case changed <- sign:
	default: // the last one was not taken yet
	}
}

// quiet waits until nothing has happened for a moment, but not for longer than that.
func quiet(ctx context.Context, events <-chan fsnotify.Event, atMost time.Duration) bool {
	still := time.NewTimer(Debounce)
	defer still.Stop()
	enough := time.NewTimer(atMost)
	defer enough.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-still.C:
			return true
		case <-enough.C:
			return true
		case <-events:
			still.Reset(Debounce)
		}
		select {
		case <-ctx.Done():
			return false
		case <-enough.C:
			return true
		case <-time.After(breath):
		}
		if takeAll(events) {
			still.Reset(Debounce)
		}
	}
}

// takeAll takes the events that are there, and reports whether there are any. The notifier
// has each next one ready at once, so that a moment is enough; of a neighbour that is
// faster than we are there is no last one.
func takeAll(events <-chan fsnotify.Event) (some bool) {
	moment := time.NewTimer(time.Millisecond)
	defer moment.Stop()
	for {
		select {
		case <-events:
			some = true
		case <-moment.C:
			return some
		}
	}
}

// stillTries is how many looks are compared before it is enough.
const stillTries = 5

// Still waits until two looks that are [Debounce] apart see the same, but not for ever,
// and reports whether the context has not ended. It takes the place of notifications
// where there are none.
func Still[S comparable](ctx context.Context, look func() S) bool {
	before := look()
	for range stillTries {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(Debounce):
		}
		now := look()
		if now == before {
			break
		}
		before = now
	}
	return true
}

// Run calls look at once and after changes, and now and then without any, until the
// context ends. failed is told once why some of the files are only polled, and nil when
// that is over; it may be nil.
func Run(ctx context.Context, names []string, look func(), failed func(error)) {
	w := NewWatcher()
	defer w.Close()
	said := Once{Tell: failed}
	last := StateOf(names)
	for sign := Notified; ; {
		said.Say(w.Follow(names))
		state := StateOf(names)
		if state != last && sign == Polled && !Still(ctx, func() State { return StateOf(names) }) {
			return
		}
		last = state
		look() // what changed before it was followed
		select {
		case <-ctx.Done():
			return
		case sign = <-w.Changed:
		}
	}
}

// Once passes on an error that is not the last one, and nil after errors.
type Once struct {
	Tell func(error) // nil: nobody
	last string
}

// Say passes on what is new.
func (o *Once) Say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != o.last && o.Tell != nil {
		o.Tell(err)
	}
	o.last = text
}
