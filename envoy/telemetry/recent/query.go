package recent

import (
	"iter"
	"math"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// Query says which decisions are wanted. The zero value wants all.
type Query struct {
	// Webhook, Reason and Verdict, as the record has them; empty: any.
	Webhook, Reason, Verdict string
	// Content is that of which all decisions are wanted; zero: any.
	Content authz.Fingerprint
	// Since leaves out what was decided before.
	Since time.Time
	// After and Before bound the numbers of the decisions: only those between them, and
	// neither of these. Before 0 is no bound.
	After, Before uint64
	// Limit is how many [Ring.Query] returns; 0: 100.
	Limit int
}

// defaultLimit is that of a query without one.
const defaultLimit = 100

// Page is the newest decisions of a query, the newest first.
type Page struct {
	Decisions []record.Record
	// Next is the number before which there are more, to be asked for next; 0 if there
	// are none.
	Next uint64
	// Last is the number of the newest decision of all that could have been returned:
	// whoever follows asks for what comes after it.
	Last uint64
}

// Query returns the newest decisions that match.
func (r *Ring) Query(q Query) Page {
	if r == nil {
		return Page{}
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	lanes, f := r.look(q)
	var all []kept
	for _, chunks := range lanes {
		left := q.Limit + 1 // by the one too many we know that there are more
		for _, found := range f.chunks(chunks, &left) {
			all = append(all, found...)
		}
	}
	slices.SortFunc(all, func(a, b kept) int {
		if a.number() > b.number() {
			return -1
		}
		return 1
	})
	page := Page{Last: f.before - 1}
	if len(all) > q.Limit {
		all = all[:q.Limit]
		page.Next = all[q.Limit-1].number()
	}
	page.Decisions = make([]record.Record, len(all))
	for i, k := range all {
		page.Decisions[i] = k.record(r.replica)
	}
	return page
}

// Find returns the newest decision of this id.
func (r *Ring) Find(id string) (record.Record, bool) {
	if r == nil || id == "" {
		return record.Record{}, false
	}
	lanes, f := r.look(Query{})
	f.id = id
	var newest kept
	for _, chunks := range lanes {
		left := 1
		for _, found := range f.chunks(chunks, &left) {
			for _, k := range found {
				if newest == nil || k.number() > newest.number() {
					newest = k
				}
			}
		}
	}
	if newest == nil {
		return record.Record{}, false
	}
	return newest.record(r.replica), true
}

// Point is what a chart wants of a decision.
type Point struct {
	Time            time.Time
	Webhook, Reason string
	Verdict         authz.Verdict
	Shadow          bool
	Duration        time.Duration
	BodyBytes       int64
}

// Points goes through all decisions that match, without a limit: those that were
// allowed, the newest first, and then those that were denied.
func (r *Ring) Points(q Query) iter.Seq[Point] {
	return func(yield func(Point) bool) {
		if r == nil {
			return
		}
		names := map[string]string{} // one text for each webhook
		lanes, f := r.look(q)
		for _, chunks := range lanes {
			left := int(^uint(0) >> 1)
			for _, found := range f.chunks(chunks, &left) {
				for _, k := range found {
					if !yield(k.point(names)) {
						return
					}
				}
			}
		}
	}
}

// filter is a query that is compared with decisions as they lie.
type filter struct {
	id, webhook   string
	reason        authz.Reason
	anyReason     bool
	since         int64
	after, before uint64
	content       authz.Fingerprint
}

// look returns the chunks that a query must look through, the oldest first.
func (r *Ring) look(q Query) (lanes [2][]*chunk, f filter) {
	f = filter{webhook: q.Webhook, after: q.After, before: q.Before, anyReason: q.Reason == "", since: math.MinInt64, content: q.Content}
	if !q.Since.IsZero() {
		f.since = q.Since.UnixMicro()
	}
	known := f.anyReason || f.reason.UnmarshalText([]byte(q.Reason)) == nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.before == 0 || f.before > r.last {
		f.before = r.last + 1 // what comes from now on may take the place of what is there
	}
	for i, verdict := range []authz.Verdict{authz.Allow, authz.Deny} {
		if known && (q.Verdict == "" || q.Verdict == verdict.String()) {
			lanes[i] = slices.Clone(r.lanes[i].chunks)
		}
	}
	return lanes, f
}

func (f *filter) matches(k kept) bool {
	n := k.number()
	return n < f.before && n > f.after && k.micros() >= f.since &&
		(f.anyReason || authz.Reason(k[atReason]) == f.reason) &&
		(f.webhook == "" || string(k.text(textWebhook)) == f.webhook) &&
		(f.id == "" || string(k.text(textID)) == f.id) &&
		(f.content.IsZero() || [contentBytes]byte(k[atContent:]) == [contentBytes]byte(f.content[:]))
}

// chunks copies what matches out of one chunk after the other, the newest first, until
// there is as much as is left to find.
func (f *filter) chunks(chunks []*chunk, left *int) iter.Seq2[int, []kept] {
	return func(yield func(int, []kept) bool) {
		for i := len(chunks) - 1; i >= 0 && *left > 0; i-- {
			found, older := f.copies(chunks[i], *left)
			*left -= len(found)
			if !yield(i, found) || older {
				return
			}
		}
	}
}

// copies returns copies of what matches in a chunk, and whether it ends with what is
// too old by its number.
func (f *filter) copies(c *chunk, most int) (found []kept, older bool) {
	var copied []byte
	var sizes []int
	c.mu.Lock()
	if c.newest >= f.since {
		for rest := c.data; len(rest) > 0 && len(sizes) < most; {
			var k kept
			rest, k = lastOf(rest)
			if k.number() <= f.after {
				older = true
				break
			}
			if f.matches(k) {
				copied = append(copied, k...)
				sizes = append(sizes, len(k))
			}
		}
	}
	c.mu.Unlock()
	found = make([]kept, len(sizes))
	for i, n := range sizes {
		found[i], copied = copied[:n:n], copied[n:]
	}
	return found, older
}

func (k kept) point(names map[string]string) Point {
	name, ok := names[string(k.text(textWebhook))]
	if !ok {
		name = k.plain(textWebhook)
		names[string(k.text(textWebhook))] = name
	}
	return Point{
		Time: time.UnixMicro(k.micros()).UTC(), Webhook: name, Reason: authz.Reason(k[atReason]).String(),
		Verdict: authz.Verdict(k[atVerdict]), Shadow: k[atFlags]&flagShadow != 0,
		Duration: k.duration(), BodyBytes: k.body(),
	}
}
