package console

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// window is a time that a chart shows.
type window struct {
	word, title string
	slot        time.Duration
	slots       int
}

func (w *window) length() time.Duration { return w.slot * time.Duration(w.slots) }

// windows are what can be chosen, the first unless another one is.
var windows = [...]window{
	{"1h", "last hour", time.Minute, 60},
	{"24h", "last 24 hours", 15 * time.Minute, 96},
}

// maxSeries is how many webhooks are counted by themselves. A webhook takes 18 KiB, and 8
// bytes more for each reason in each slot.
const maxSeries = 500

// others counts the webhooks beyond maxSeries. No webhook has such a name.
const others = "(others)"

// buckets of durations: of 16 µs and less, then each up to double of the one before, and
// the last without a bound.
const (
	buckets     = 16
	firstBucket = 16 * time.Microsecond
)

// slot counts the decisions of one stretch of time.
type slot struct {
	number  int64 // since 1970, in lengths of a slot
	tally   tally
	reasons []reasonCount
}

// tally counts decisions.
type tally struct {
	allowed, denied uint32
	wouldDeny       uint32 // denied in SHADOW, and forwarded
	durations       [buckets]uint32
}

func (t *tally) total() int { return int(t.allowed) + int(t.denied) + int(t.wouldDeny) }

func (t *tally) add(other *tally) {
	t.allowed += other.allowed
	t.denied += other.denied
	t.wouldDeny += other.wouldDeny
	for i := range t.durations {
		t.durations[i] += other.durations[i]
	}
}

// quantile is the duration that a share of decisions does not exceed, as if those of a
// bucket were spread evenly in it. It is 0 if there are none.
func (t *tally) quantile(share float64) time.Duration {
	left := share * float64(t.total())
	for i, n := range t.durations {
		if n > 0 && left <= float64(n) {
			upper := float64(firstBucket << i)
			lower := upper / 2
			if i == 0 {
				lower = 0
			}
			return time.Duration(lower + (upper-lower)*max(left, 0)/float64(n))
		}
		left -= float64(n)
	}
	return 0
}

// bucket is that of a duration.
func bucket(d time.Duration) int {
	steps := max(int64(d), 1) - 1
	return min(bits.Len64(uint64(steps/int64(firstBucket))), buckets-1) //nolint:gosec // not negative
}

// reasonCount is how often something was denied for a reason.
type reasonCount struct {
	reason authz.Reason
	count  uint32
}

// reasonOf is a reason by its word.
var reasonOf = func() map[string]authz.Reason {
	all := map[string]authz.Reason{}
	for r := authz.Unset; int(r) < authz.ReasonCount; r++ {
		all[r.String()] = r
	}
	return all
}()

func addReason(to []reasonCount, reason authz.Reason, count uint32) []reasonCount {
	for i := range to {
		if to[i].reason == reason {
			to[i].count += count
			return to
		}
	}
	return append(to, reasonCount{reason, count})
}

// series has the slots of one webhook, of each window, each slot at its number modulo
// how many there are.
type series struct {
	last  time.Time // of the last decision
	slots [len(windows)][]slot
}

func newSeries() *series {
	s := &series{}
	for i := range windows {
		s.slots[i] = make([]slot, windows[i].slots)
	}
	return s
}

// add counts a decision. One of the future, since the clock was set back, counts as of now;
// a slot of the future is one from before that.
func (s *series) add(p *recent.Point, now time.Time) {
	if p.Time.After(now) {
		p.Time = now
	}
	if p.Time.After(s.last) || s.last.After(now) {
		s.last = p.Time
	}
	for i := range windows {
		number := p.Time.UnixNano() / int64(windows[i].slot)
		at := &s.slots[i][number%int64(windows[i].slots)]
		if ahead := at.number > now.UnixNano()/int64(windows[i].slot); number < at.number && !ahead {
			continue // too old for this window
		}
		if number != at.number {
			*at = slot{number: number, reasons: at.reasons[:0]}
		}
		switch {
		case p.Verdict == authz.Allow:
			at.tally.allowed++
		case p.Shadow:
			at.tally.wouldDeny++
		default:
			at.tally.denied++
		}
		if p.Verdict != authz.Allow {
			at.reasons = addReason(at.reasons, reasonOf[p.Reason], 1)
		}
		at.tally.durations[bucket(p.Duration)]++
	}
}

// history counts decisions for charts, by webhook. It follows the last decisions, so that
// it costs those who decide nothing. It is safe for concurrent use.
type history struct {
	from *recent.Ring
	now  func() time.Time

	mu     sync.Mutex
	seen   uint64 // number of the last decision that was counted
	missed uint64 // decisions that were gone before they were counted
	since  time.Time
	all    *series
	by     map[string]*series
}

func newHistory(from *recent.Ring, now func() time.Time) *history {
	return &history{from: from, now: now, since: now(), all: newSeries(), by: map[string]*series{}}
}

// run follows until the context ends.
func (h *history) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		h.follow(h.now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// follow counts what was decided since it was called last.
func (h *history) follow(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.from.Last()
	if last == h.seen {
		return
	}
	counted := uint64(0)
	for p := range h.from.Points(recent.Query{After: h.seen, Before: last + 1}) {
		counted++
		if p.Time.Before(h.since) {
			h.since = p.Time
		}
		h.all.add(&p, now)
		h.of(p.Webhook).add(&p, now)
	}
	h.missed += last - h.seen - counted
	h.seen = last
}

// of is the series of a webhook. The empty name is that of requests that matched none.
func (h *history) of(webhook string) *series {
	if s := h.by[webhook]; s != nil {
		return s
	}
	if len(h.by) >= maxSeries {
		webhook = others
		if s := h.by[webhook]; s != nil {
			return s
		}
	}
	s := newSeries()
	h.by[webhook] = s
	return s
}

// traffic is what one webhook, or all, had in a window.
type traffic struct {
	webhook string
	tally   tally
	reasons []reasonCount // the most frequent first
	slots   []tally       // the oldest first
	start   time.Time     // of the first slot
	last    time.Time     // of the last decision; zero: none
}

// in is what the series had in the window that ends now.
func (s *series) in(which int, now time.Time) traffic {
	w := &windows[which]
	newest := now.UnixNano() / int64(w.slot)
	t := traffic{slots: make([]tally, w.slots), last: s.last, start: time.Unix(0, (newest-int64(w.slots)+1)*int64(w.slot)).UTC()}
	for i := range t.slots {
		number := newest - int64(w.slots) + 1 + int64(i)
		at := &s.slots[which][number%int64(w.slots)]
		if at.number != number {
			continue
		}
		t.slots[i] = at.tally
		t.tally.add(&at.tally)
		for _, r := range at.reasons {
			t.reasons = addReason(t.reasons, r.reason, r.count)
		}
	}
	slices.SortFunc(t.reasons, func(a, b reasonCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason))
	})
	return t
}

// total is what all webhooks had, and since when and how much of it is not known.
func (h *history) total(which int, now time.Time) (t traffic, since time.Time, missed uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.in(which, now), h.since, h.missed
}

// webhooks is what each webhook had that had anything.
func (h *history) webhooks(which int, now time.Time) []traffic {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []traffic
	for name, s := range h.by {
		if t := s.in(which, now); t.tally.total() > 0 {
			t.webhook = name
			list = append(list, t)
		}
	}
	return list
}

// webhook is what one webhook had; nothing if it is not counted by itself.
func (h *history) webhook(name string, which int, now time.Time) (t traffic, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.by[name]
	if s == nil {
		return newSeries().in(which, now), false
	}
	t = s.in(which, now)
	t.webhook = name
	return t, true
}
