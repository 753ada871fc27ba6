package oracle

import (
	"slices"
	"sync"
	"time"
)

// Kind is what was broken for a while.
type Kind uint8

// The kinds.
const (
	Service Kind = iota // a replica was killed, stopped or held
	Proxy               // Envoy was
	Store               // the Redis could not be asked, or its memory was doubted
	Part                // so it was with a part of a cluster: whoever asks for Store asks for that, too
	Log                 // entries of the access log were lost
	Forgot              // a moment at which the store may have lost what it knew
	Reload              // policies were on their way
	Busy                // the machine was: nothing is as fast as it should be
)

type span struct {
	kind     Kind
	from, to time.Time // to is zero while it lasts
}

// Weather is what was broken when. It excuses answers that docs/replay.md has for such
// times, and nothing else. It is safe for concurrent use.
type Weather struct {
	mu    sync.Mutex
	spans []*span
	lost  []time.Time // when the store forgot: for as long as a nonce without a time lives
	aways []*away
}

// remembered is how long ago something may have been broken and still count: as long as
// copies are sent of what was delivered then.
const remembered = 70 * time.Minute

// Begin says that something is broken until the returned function is called.
func (w *Weather) Begin(k Kind) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &span{kind: k, from: time.Now()}
	old := 0
	for old < len(w.spans) && !w.spans[old].to.IsZero() && time.Since(w.spans[old].to) > remembered {
		old++
	}
	w.spans = append(w.spans[old:], s)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.to = time.Now()
	}
}

// Pulse notes when the machine is busy, by how late a sleep ends, until it is told to stop.
func (w *Weather) Pulse(stop <-chan struct{}) {
	const beat, late = 10 * time.Millisecond, 40 * time.Millisecond
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		if now := time.Now(); now.Sub(last) > beat+late {
			w.Was(Busy, last, now)
		}
		last = time.Now()
	}
}

// Was says that something was broken.
func (w *Weather) Was(k Kind, from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if s.kind == k && !s.to.IsZero() && !from.After(s.to.Add(time.Second)) && !from.Before(s.from) {
			s.to = later(s.to, to) // one long time rather than many short ones
			return
		}
	}
	w.spans = append(w.spans, &span{kind: k, from: from, to: to})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Lost says that the store may have forgotten all until now.
func (w *Weather) Lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = append(w.lost, time.Now())
}

// Broken reports whether one of the kinds was broken at some time from from to to.
func (w *Weather) Broken(from, to time.Time, which ...Kind) bool {
	return w.broken(from, to, true, which...)
}

// broken is Broken, with Part in Store or not.
func (w *Weather) broken(from, to time.Time, parts bool, which ...Kind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(which, Forgot) && slices.ContainsFunc(w.lost, func(at time.Time) bool { return !at.After(to) && !at.Before(from) }) {
		return true
	}
	for _, s := range w.spans {
		for _, k := range which {
			if (s.kind == k || parts && s.kind == Part && k == Store) && !s.from.After(to) && (s.to.IsZero() || !s.to.Before(from)) {
				return true
			}
		}
	}
	return false
}

// Calm reports whether nothing was broken.
func (w *Weather) Calm(from, to time.Time) bool {
	return !w.Broken(from, to, Service, Proxy, Store, Log, Forgot, Reload, Busy)
}

// Doubtful reports whether the store may have forgotten something before a time.
func (w *Weather) Doubtful(at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lost) > 0 && w.lost[0].Before(at) || slices.ContainsFunc(w.aways, func(a *away) bool { return a.again && a.to.Before(at) })
}
