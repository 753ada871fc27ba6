// Package watermark gives webhooks of a new policy the time up to which nothing is
// accepted any more, since the store may have forgotten what came before it.
//
// A webhook that accepts older deliveries than before, or that is new, refuses those
// that could have come before now: their nonces may be gone. One that certainly
// accepted nothing before, or keeps its nonces for at least as long, has none.
package watermark

import (
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// KeptAs is the name that a webhook's nonces are kept under: the first that it
// had. So they are found again after a rename, by replicas with the old policy
// and the new one, and each delivery has one nonce.
func KeptAs(w *policyv1.Webhook) string {
	if first := w.GetFormerly(); len(first) > 0 {
		return first[0]
	}
	return w.GetName()
}

// Marks has what is known of the time before a new set. It is not safe for concurrent
// use.
type Marks struct {
	// Now is the time of the load; Previous the table that served until now,
	// nil at the start.
	Now      time.Time
	Previous *authz.Table
	// Kept takes the place of Previous at the start, where the store remembers
	// what an earlier process accepted; nil if it remembers nothing.
	Kept map[string]Kept
	// Identities returns what the webhooks of the new set keep their nonces under.
	Identities func() map[string]bool

	// before is what was accepted until now, and furthest how far ahead a signed
	// time could be then; nil until they are asked for.
	before   map[string]Kept
	furthest time.Duration
	// previous are the names of all webhooks that served until now, and gone says
	// that one of them is there no more; nil until they are asked for.
	previous map[string]bool
	gone     bool
}

// Of is the watermark of a webhook with this check. It is not zero for one that accepts
// deliveries that it did not accept before, or whose nonces were kept for a shorter time
// or by another tenant or name: what came before now may be forgotten, or soon will be.
// Times may have been signed ahead of now.
func (m *Marks) Of(w *policyv1.Webhook, check *replay.Check) time.Time {
	if m.Previous == nil && m.Kept == nil {
		return time.Time{} // the store has a guard of its own
	}
	if m.before == nil {
		m.remember()
	}
	k, ok := m.before[KeptAs(w)]
	same := k.Tolerance >= check.Tolerance
	if check.Tolerance == 0 {
		same = k.Tolerance == 0 && k.Span >= check.Window
		if !ok && m.isNew(w) {
			return time.Time{}
		}
	}
	if ok && same && k.Tenant == authz.TenantSegment(w.GetMatch().GetPath()) {
		return k.Watermark
	}
	ok = ok && k.Tolerance > 0
	future := max(check.Future, m.furthest) // it may have had another name
	if ok {
		future = max(check.Future, k.future())
	}
	mark := m.Now.Add(future + replay.Skew)
	if k.Watermark.After(mark) {
		return k.Watermark
	}
	return mark
}

// remember looks up what was accepted until now.
func (m *Marks) remember() {
	m.before = m.Kept
	if m.Previous != nil {
		m.before = KeptBy(m.Previous)
	}
	for _, k := range m.before {
		m.furthest = max(m.furthest, k.future())
	}
}

// isNew reports whether a webhook has certainly accepted nothing before: the ones
// that served until now are all there, and it is none of them. At a start nobody
// knows: what a store keeps lacks webhooks that were about to change.
func (m *Marks) isNew(w *policyv1.Webhook) bool {
	if m.Previous == nil {
		return false
	}
	if m.previous == nil {
		named := m.Identities()
		m.previous = map[string]bool{}
		for _, before := range m.Previous.Webhooks() {
			m.previous[before.Identity()] = true
			m.gone = m.gone || !named[before.Identity()]
		}
	}
	return !m.gone && !m.previous[KeptAs(w)]
}

// Kept is what a store remembers of one webhook whose content is signed.
type Kept struct {
	// Tolerance is how old a signed time could be, 0 if none is signed; Span is
	// how long its nonces were kept, Tenant the segment of the path that their
	// tenants were in.
	Tolerance time.Duration `json:"tolerance"`
	Span      time.Duration `json:"span"`
	Tenant    int           `json:"tenant"`
	// Watermark is that of its check.
	Watermark time.Time `json:"watermark"`
}

// future is how far ahead a signed time could be.
func (k Kept) future() time.Duration {
	if k.Tolerance == 0 {
		return 0
	}
	return max(k.Span-k.Tolerance-replay.Skew, 0)
}

// KeptBy returns what a store keeps for the webhooks of a table, by the names
// that their nonces are kept under.
func KeptBy(t *authz.Table) map[string]Kept {
	all := map[string]Kept{}
	for _, w := range t.Webhooks() {
		for _, check := range w.Chain {
			if r, ok := check.(*replay.Check); ok {
				all[w.Identity()] = Kept{Tolerance: r.Tolerance, Span: r.Span(), Tenant: t.TenantOf(w.Name), Watermark: r.Watermark}
			}
		}
	}
	return all
}
