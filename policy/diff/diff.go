// Package diff tells what changed from one policy set to the next, and what is accepted
// after it that was refused before. It sees what stands in the policy files, not the
// content of secrets.
package diff

import (
	"cmp"
	"slices"

	"github.com/hookbastion/hookbastion/policy"
)

// Kind says what became of a webhook.
type Kind uint8

// The kinds.
const (
	Changed Kind = iota + 1
	Added
	Removed
)

// String returns "added", "removed" or "changed".
func (k Kind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	default:
		return "changed"
	}
}

// Change is what a reload changed in one webhook.
type Change struct {
	Webhook string
	Kind    Kind
	// Keys are those of the webhook in the policy that have another value.
	Keys []string
	// Wider says in words what is accepted now and was not before; of an added
	// webhook only what is accepted without proof. Empty: nothing.
	Wider []string
}

// Changes is what a reload changed, in the order of names.
type Changes []Change

// Count returns the number of changes of a kind.
func (c Changes) Count(kind Kind) int {
	n := 0
	for i := range c {
		if c[i].Kind == kind {
			n++
		}
	}
	return n
}

// Wider returns the number of changes by which more is accepted.
func (c Changes) Wider() int {
	n := 0
	for i := range c {
		if len(c[i].Wider) > 0 {
			n++
		}
	}
	return n
}

// Weaker reports whether more is accepted than before, or a webhook is gone.
func (c Changes) Weaker() bool { return c.Wider() > 0 || c.Count(Removed) > 0 }

// Compare tells what changed from one good set to the next.
func Compare(before, after *policy.Set) (Changes, error) {
	old := map[string]*policy.Entry{}
	for w := range before.Entries() {
		old[w.Name()] = w
	}
	var changes Changes
	var failed error
	for w := range after.Entries() {
		was, err := predecessor(old, w)
		if err != nil {
			failed = err
		}
		if was != nil && was.Same(w) {
			continue
		}
		change, err := compare(was, w)
		if err != nil {
			failed = err
		}
		changes = append(changes, change)
	}
	for name := range old {
		changes = append(changes, Change{Webhook: name, Kind: Removed})
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Webhook, b.Webhook) })
	return changes, failed
}

// predecessor takes what a webhook was before out of the old ones: by its name,
// or by one that it had.
func predecessor(old map[string]*policy.Entry, w *policy.Entry) (*policy.Entry, error) {
	if was := old[w.Name()]; was != nil {
		delete(old, w.Name())
		return was, nil
	}
	is, err := w.Decode()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(is.GetFormerly()) {
		if was := old[name]; was != nil {
			delete(old, name)
			return was, nil
		}
	}
	return nil, nil //nolint:nilnil // it is new
}

// compare tells the change of one webhook; was is nil for one that is new.
func compare(was, is *policy.Entry) (Change, error) {
	change := Change{Webhook: is.Name(), Kind: Added}
	after, err := is.Decode()
	if err != nil {
		return change, err
	}
	if was == nil {
		change.Wider = append(unverifiedWider(nil, after), modeWider(nil, after)...)
		return change, nil
	}
	before, err := was.Decode()
	if err != nil {
		return change, err
	}
	change.Kind = Changed
	a, b := before.ProtoReflect(), after.ProtoReflect()
	for i := range a.Descriptor().Fields().Len() {
		field := a.Descriptor().Fields().Get(i)
		if !a.Has(field) && !b.Has(field) || a.Has(field) && b.Has(field) && a.Get(field).Equal(b.Get(field)) {
			continue
		}
		change.Keys = append(change.Keys, string(field.Name()))
	}
	for _, key := range widerOrder {
		change.Wider = append(change.Wider, widerRules[key](before, after)...)
	}
	return change, nil
}
