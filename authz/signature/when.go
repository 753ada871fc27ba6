package signature

import (
	"slices"

	"github.com/hookbastion/hookbastion/authz"
)

// Condition tells deliveries of one scheme from those of another: a header, in lower
// case, or a text of the JSON body that has one of the values.
type Condition struct {
	Header, JSON string
	Values       []string
}

func (c *Condition) holds(req *authz.Request) bool {
	if c.Header != "" {
		value, count := req.Headers.Lookup(c.Header)
		return count == 1 && slices.Contains(c.Values, string(value))
	}
	texts, err := req.Body.JSON(c.JSON)
	return err == nil && len(texts) == 1 && slices.Contains(c.Values, texts[0])
}

// meets reports whether all conditions of a scheme hold.
func (c *Check) meets(i int, req *authz.Request) bool {
	if i >= len(c.When) {
		return true
	}
	for n := range c.When[i] {
		if !c.When[i][n].holds(req) {
			return false
		}
	}
	return true
}

// signWhen makes the first scheme's conditions hold.
func (c *Check) signWhen(req *authz.Request) {
	if len(c.When) == 0 {
		return
	}
	for i := range c.When[0] {
		switch when := &c.When[0][i]; {
		case when.holds(req):
		case when.Header != "":
			req.Set(when.Header, when.Values[0])
		default:
			setJSON(req, map[string]string{when.JSON: when.Values[0]})
		}
	}
}
