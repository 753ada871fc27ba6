package policy

import (
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// keptAs is the name that a webhook's nonces are kept under: the first that it
// had. So they are found again after a rename, by replicas with the old policy
// and the new one, and each delivery has one nonce.
func keptAs(w *policyv1.Webhook) string {
	if first := w.GetFormerly(); len(first) > 0 {
		return first[0]
	}
	return w.GetName()
}

// names looks at the name of a webhook and at those that it had. A former name
// may belong to nobody else: two webhooks would take each other's deliveries for
// copies.
func (c *compiler) names(w *policyv1.Webhook, at strictyaml.Place) {
	name := w.GetName()
	index, _ := at.Step(1).(int) // of webhooks[index]
	if first, ok := c.places[name]; ok {
		c.faults.Fail(at.At("name"), name+" is the name of another webhook, at "+first.String())
	} else {
		c.places[name] = position{at.Document(), index}
	}
	if other, ok := c.former[name]; ok {
		c.faults.Fail(at.At("name"), name+" is a former name of another webhook, at "+other.String())
	}
	for i, former := range w.GetFormerly() {
		live, isLive := c.places[former]
		other, isFormer := c.former[former]
		switch {
		case former == name:
			c.faults.Fail(at.At("formerly", i), "is the name that the webhook has now")
		case isLive:
			c.faults.Fail(at.At("formerly", i), former+" is the name of another webhook, at "+live.String())
		case isFormer:
			c.faults.Fail(at.At("formerly", i), former+" is given twice, first at "+other.String())
		default:
			if c.former == nil {
				c.former = map[string]position{}
			}
			c.former[former] = position{at.Document(), index}
		}
	}
}

// watermark is that of a webhook which accepts deliveries that it did not accept
// before, or whose nonces were kept for a shorter time or by another tenant or
// name: what came before now may be forgotten, or soon will be. Times may have
// been signed ahead of now.
func (c *compiler) watermark(w *policyv1.Webhook, check *replay.Check) time.Time {
	if c.deps.Previous == nil && c.deps.Kept == nil {
		return time.Time{} // the store has a guard of its own
	}
	if c.before == nil {
		c.remember()
	}
	k, ok := c.before[keptAs(w)]
	same := k.Tolerance >= check.Tolerance
	if check.Tolerance == 0 {
		same = k.Tolerance == 0 && k.Span >= check.Window
		if !ok && c.isNew(w) {
			return time.Time{}
		}
	}
	if ok && same && k.Tenant == authz.TenantSegment(w.GetMatch().GetPath()) {
		return k.Watermark
	}
	ok = ok && k.Tolerance > 0
	future := max(check.Future, c.furthest) // it may have had another name
	if ok {
		future = max(check.Future, k.future())
	}
	mark := c.deps.Now.Add(future + replay.Skew)
	if k.Watermark.After(mark) {
		return k.Watermark
	}
	return mark
}

// remember looks up what was accepted until now.
func (c *compiler) remember() {
	c.before = c.deps.Kept
	if c.deps.Previous != nil {
		c.before = KeptBy(c.deps.Previous)
	}
	for _, k := range c.before {
		c.furthest = max(c.furthest, k.future())
	}
}

// isNew reports whether a webhook has certainly accepted nothing before: the ones
// that served until now are all there, and it is none of them. At a start nobody
// knows: what a store keeps lacks webhooks that were about to change.
func (c *compiler) isNew(w *policyv1.Webhook) bool {
	if c.deps.Previous == nil {
		return false
	}
	if c.previous == nil {
		named := map[string]bool{}
		_ = c.set.each(func(w *policyv1.Webhook, _ strictyaml.Place) { named[keptAs(w)] = true }) // an error is Compile's, too
		c.previous = map[string]bool{}
		for _, before := range c.deps.Previous.Webhooks() {
			c.previous[before.Identity()] = true
			c.gone = c.gone || !named[before.Identity()]
		}
	}
	return !c.gone && !c.previous[keptAs(w)]
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
