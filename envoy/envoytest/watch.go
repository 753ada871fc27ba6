package envoytest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
)

// Watch looks for secrets in what a program lets out: it is told the secrets,
// and shown everything. A secret that is registered after it was let out is
// found too. It is safe for concurrent use.
type Watch struct {
	mu      sync.Mutex
	secrets map[string]string // what must not appear → what it is
	seen    map[string][]byte
}

// Watched is the watch of the process, for tests whose TestMain asks it at the
// end.
var Watched = &Watch{}

// shortest is how long a text must be to be looked for: shorter ones appear by
// chance.
const shortest = 12

// Secret registers what must not appear, also in hexadecimal and base64.
func (w *Watch) Secret(what, secret string) {
	raw := []byte(secret)
	for _, form := range []string{
		secret, hex.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	} {
		w.Literal(what, form)
	}
}

// Literal registers a text that must not appear.
func (w *Watch) Literal(what, text string) {
	if len(text) < shortest {
		panic(fmt.Sprintf("%s is too short to be looked for", what))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.secrets == nil {
		w.secrets = map[string]string{}
	}
	w.secrets[text] = what
}

// Saw shows what came out of a kind of sink. It is copied.
func (w *Watch) Saw(sink string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[string][]byte{}
	}
	w.seen[sink] = append(append(w.seen[sink], data...), '\n')
}

// Leaks returns "a github secret in span" and so on, sorted; nothing if nothing
// was let out.
func (w *Watch) Leaks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	// There are thousands of secrets and megabytes to search: one walk, with
	// the secrets by their first bytes.
	byPrefix := map[[shortest]byte][]string{}
	for form := range w.secrets {
		prefix := [shortest]byte([]byte(form))
		byPrefix[prefix] = append(byPrefix[prefix], form)
	}
	var leaks []string
	for sink, seen := range w.seen {
		for i := range max(0, len(seen)-shortest+1) {
			for _, form := range byPrefix[[shortest]byte(seen[i:])] {
				if bytes.HasPrefix(seen[i:], []byte(form)) {
					leaks = append(leaks, w.secrets[form]+" in "+sink)
				}
			}
		}
	}
	slices.Sort(leaks)
	return slices.Compact(leaks)
}

// Sinks returns the kinds of sinks that something came out of, sorted, and the
// number of secrets.
func (w *Watch) Sinks() (sinks []string, secrets int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for sink := range w.seen {
		sinks = append(sinks, sink)
	}
	slices.Sort(sinks)
	return sinks, len(w.secrets)
}
