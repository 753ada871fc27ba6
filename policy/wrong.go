package policy

import (
	"slices"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// all compiles the webhooks of a set. Those that were read with errors take part, each
// at its place among the others, so that all that is wrong is said at once.
func (c *compiler) all(set *Set) error {
	for i := range set.files {
		f, next := &set.files[i], 0
		if len(f.wrong) >= strictyaml.MaxErrors { // there is enough to read already
			next = len(f.wrong)
		}
		wrongUntil := func(index int) {
			for ; next < len(f.wrong) && f.wrong[next].index < index; next++ {
				c.wrong(&f.wrong[next], f.doc)
			}
		}
		for j := range f.webhooks {
			wrongUntil(f.webhooks[j].index)
			w, err := f.webhooks[j].Decode()
			if err != nil {
				return err
			}
			c.webhook(w, f.doc.At("webhooks", f.webhooks[j].index))
		}
		wrongUntil(int(^uint(0) >> 1))
	}
	return nil
}

// wrong looks for what else is wrong with a webhook that was read with errors.
func (c *compiler) wrong(e *wrongEntry, doc *strictyaml.Document) {
	w, err := e.Decode()
	if err != nil {
		return
	}
	c.faults.Follows = func(p strictyaml.Place) bool { return e.follows(p.Path()) }
	defer func() {
		c.faults.Follows = nil
		// Values that break rules are not meant to come this far. Whatever they do
		// here, the set is refused, and another one goes on serving.
		_ = recover()
	}()
	at := doc.At("webhooks", e.index)
	if w.GetName() == "" || e.follows(at.At("name").Path()) {
		w.Formerly = nil
		w.Name = ""
	}
	c.webhook(w, at)
}

// follows reports whether an error at a path may only follow from what is wrong with
// the webhook already. It is true too often rather than not often enough: what was left
// out is said once the rest is mended, and what is not so would send people astray.
func (e *wrongEntry) follows(path strictyaml.Path) bool {
	alone := standsAlone(path)
	for _, unread := range e.Unread {
		if isNarrow(unread) {
			if n := min(len(unread), len(path)); slices.Equal(unread[:n], path[:n]) || !alone && !sameKey(unread, path) {
				return true
			}
			continue
		}
		if sameKey(unread, path) || ofProof(unread) && !alone {
			return true
		}
	}
	for _, ruled := range e.Ruled {
		below := len(ruled) <= len(path) && slices.Equal(ruled, path[:len(ruled)])
		if below && len(ruled) > own || ofProof(ruled) && (sameItem(ruled, path) || !alone) {
			return true
		}
	}
	return false
}

// isNarrow reports whether a value of a scheme, as long as nobody could read it, says
// nothing of the others.
func isNarrow(path strictyaml.Path) bool {
	if len(path) <= own || path[own] != "scheme" {
		return false
	}
	last, _ := path[len(path)-1].(string)
	return slices.Contains([]string{"hash", "encoding", "key_encoding", "unit", "retry", "algorithm"}, last)
}

// own is how many steps lead to a webhook: webhooks[i].
const own = 2

// sameKey reports whether two values stand under the same key of a webhook.
func sameKey(a, b strictyaml.Path) bool { return len(a) > own && len(b) > own && a[own] == b[own] }

// sameItem is sameKey, and where both are items of a list, that they are the same one.
func sameItem(a, b strictyaml.Path) bool {
	if !sameKey(a, b) || len(a) <= own+1 || len(b) <= own+1 {
		return sameKey(a, b)
	}
	i, ok := a[own+1].(int)
	j, alsoOK := b[own+1].(int)
	return !ok || !alsoOK || i == j
}

// others are the keys of a webhook that say nothing of what proves a delivery.
var others = []string{"name", "match", "limits", "source_ip", "transport", "conditions", "assertion", "mode", "respond", "formerly", "shadow_until", "suppress"}

// ofProof reports whether a value is one of those that what proves a delivery is read
// from, or a key that nobody knows, and that may be meant for one, or the webhook itself.
func ofProof(path strictyaml.Path) bool {
	if len(path) <= own {
		return true
	}
	key, _ := path[own].(string)
	return !slices.Contains(others, key)
}

// standsAlone reports whether what is wrong with a value does not depend on what proves
// a delivery.
func standsAlone(path strictyaml.Path) bool {
	if len(path) <= own {
		return false
	}
	switch path[own] {
	case "respond", "assertion":
		return false
	case "provider", "provider_scheme", "public_url":
		return true
	case "secrets", "token":
		// The file or variable, and not what is in it.
		last, _ := path[len(path)-1].(string)
		return len(path) > own+2 && (path[own] == "secrets" || last == "file" || last == "env")
	default:
		return !ofProof(path)
	}
}
