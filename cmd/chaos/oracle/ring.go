package oracle

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Ring is the keys of an endpoint over time: two that count, which are one at rest, one
// that has ended, one that has not begun, and one that nobody has configured. It is safe
// for concurrent use.
type Ring struct {
	Ended, Early, Stranger Key

	mu                sync.Mutex
	kind              kind
	current, previous Key
	begun             time.Time // when current counts for sure
	gone              Key       // what was taken away last
	over              time.Time // when it counts no more for sure
}

// State says whether a key counts.
type State uint8

// The states.
const (
	Counts State = iota
	Gone
	Either // a change is on its way
)

func newRing(k kind) *Ring {
	r := &Ring{kind: k, current: newKey(k), Ended: newKey(k), Early: newKey(k), Stranger: newKey(k)}
	r.previous = r.current
	return r
}

// entries are the policy's list of keys.
func (r *Ring) entries(name, dir string) string {
	var b strings.Builder
	for _, k := range []struct{ id, more string }{
		{"current", ""}, {"previous", ""}, {"ended", ", not_after: 2026-01-01T00:00:00Z"}, {"early", ", not_before: 2099-01-01T00:00:00Z"},
	} {
		format := ""
		switch r.kind {
		case rsaSet, p521Set, edSet:
			format = ", format: JWKS"
		default:
		}
		fmt.Fprintf(&b, "{id: %s, file: %s/%s.%s%s%s}, ", k.id, dir, name, k.id, format, k.more)
	}
	return "[" + strings.TrimSuffix(b.String(), ", ") + "]"
}

// Files are the contents of the files by their endings.
func (r *Ring) Files() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return map[string]string{"current": r.current.File, "previous": r.previous.File, "ended": r.Ended.File, "early": r.Early.File}
}

// Key is one that counts for sure, and the newest of these.
func (r *Ring) Key(now time.Time) Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.begun) {
		return r.previous
	}
	return r.current
}

// Retired is the key that was taken away last, if it counts no more for sure.
func (r *Ring) Retired(now time.Time) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone, r.gone.File != "" && now.After(r.over)
}

// State is that of a key for what was sent at a time.
func (r *Ring) State(k Key, sent time.Time) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case k.File == r.previous.File, k.File == r.current.File && !sent.Before(r.begun):
		return Counts
	case k.File == r.current.File, k.File == r.gone.File && !sent.After(r.over):
		return Either
	default:
		return Gone
	}
}

// Begin makes a new current key beside the old one, which counts for sure when settled.
func (r *Ring) Begin(settled time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.begun = newKey(r.kind), settled
}

// End takes the old key away, which counts no more for sure when settled.
func (r *Ring) End(settled time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.previous.File != r.current.File {
		r.gone, r.previous, r.over = r.previous, r.current, settled
	}
}
