package signature

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// OneOf is a text in the JSON body that must be one of a webhook's own values. Where a
// provider signs the deliveries of all its customers with one key, it tells whose
// they are: without it, anybody's own account could send to any other's webhook.
type OneOf struct {
	// JSON is the path of keys, with dots between and [] for each item of a list.
	JSON   string
	Values []string
}

func (c *Check) pinned(i int) []OneOf {
	if i < len(c.Pinned) {
		return c.Pinned[i]
	}
	return nil
}

// addressed looks for the texts in a body whose signature held.
func addressed(call *authz.Call, pinned []OneOf) authz.Reason {
	for i := range pinned {
		p := &pinned[i]
		texts, err := call.Request.Body.JSON(p.JSON)
		if err == nil && p.fits(texts) {
			continue
		}
		if call.Explanation != nil {
			found := "a body in which it is not there once"
			if err == nil && len(texts) > 0 {
				found = fmt.Sprintf("%.200q", texts)
			}
			call.Explain(p.JSON+" of the body to be "+strings.Join(p.Values, " or "), found)
		}
		disprove(call)
		return authz.TokenInvalid
	}
	return authz.OK
}

// fits reports whether there are texts and each is one of the values.
func (p *OneOf) fits(texts []string) bool {
	return len(texts) > 0 && !slices.ContainsFunc(texts, func(text string) bool { return !slices.Contains(p.Values, text) })
}

// disprove takes back what a signature proved that does not count.
func disprove(call *authz.Call) {
	call.Fingerprint, call.Alternate = authz.Fingerprint{}, authz.Fingerprint{}
	call.Proof, call.SignedTime = authz.ProofNone, time.Time{}
}

// sign gives the body the text, unless it has it.
func (p *OneOf) sign(req *authz.Request) bool {
	texts, err := req.Body.JSON(p.JSON)
	if err == nil && p.fits(texts) {
		return true
	}
	if strings.Contains(p.JSON, "[]") {
		return false
	}
	setJSON(req, map[string]string{p.JSON: p.Values[0]})
	return true
}
