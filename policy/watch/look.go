package watch

import (
	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/policy"
)

// state is how the files are, without having read them.
type state struct {
	policies, others, secrets files.State
	wrong                     string // with the paths
}

// lookAtPolicies describes the policy files at the paths, and which there are.
func lookAtPolicies(paths []string) (state files.State, wrong string) {
	names, err := policy.Find(paths...)
	if err != nil {
		wrong = err.Error()
	}
	return files.StateOf(names), wrong
}

func (w *Watcher) look() (now state) {
	now.policies, now.wrong = lookAtPolicies(w.Paths)
	now.others, now.secrets = files.StateOf(w.others), files.StateOf(w.secrets)
	return now
}

// lookNow is look for those who do not hold the lock.
func (w *Watcher) lookNow() state {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.look()
}

// changed reports whether the set must be loaded again: its files are not as
// they were, or it could not be loaded and its secrets are not.
func (w *Watcher) changed(now state) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.seen
	return was.policies != now.policies || was.wrong != now.wrong || was.others != now.others || was.secrets != now.secrets && w.Err() != nil
}
