package policy

import (
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// names looks at the name of a webhook and at those that it had. A former name
// may belong to nobody else: two webhooks would take each other's deliveries for
// copies.
func (c *compiler) names(w *policyv1.Webhook, at strictyaml.Place) {
	name := w.GetName()
	if name == "" {
		return // that it is missing was said when it was read
	}
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

// identities returns what the set's webhooks keep their nonces under.
func (s *Set) identities() map[string]bool {
	all := map[string]bool{}
	_ = s.Each(func(w *policyv1.Webhook, _ strictyaml.Place) { all[watermark.KeptAs(w)] = true }) // an error is Compile's, too
	return all
}
