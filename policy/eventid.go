package policy

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// eventIDs returns the headers with the sender's own id of a delivery, and whether a
// signature covers them. Webhooks of one provider share them.
func (c *compiler) eventIDs(w *policyv1.Webhook) []authz.EventID {
	if w.GetEventId() == "" && w.GetProvider() == "" {
		return nil
	}
	alike := ""
	if w.GetScheme() == nil {
		alike = strings.Join([]string{w.GetProvider(), w.GetProviderScheme(), w.GetEventId()}, "\n")
		if ids, ok := c.eventIDsOf[alike]; ok {
			return ids
		}
	}
	var names []string
	var schemes []*policyv1.Scheme
	if p, err := provider.Get(w.GetProvider()); err == nil && p != nil {
		names, schemes = p.GetEventId(), provider.Accepted(p, w.GetProviderScheme())
	}
	if w.GetEventId() != "" {
		names = []string{strings.ToLower(w.GetEventId())}
	}
	if w.GetScheme() != nil {
		schemes = []*policyv1.Scheme{w.GetScheme()}
	}
	ids := signedIDs(names, schemes)
	if alike != "" {
		if c.eventIDsOf == nil {
			c.eventIDsOf = map[string][]authz.EventID{}
		}
		c.eventIDsOf[alike] = ids
	}
	return ids
}

// signedIDs tells which of the headers the schemes sign. Which scheme has held is not
// known later: where each signs one of them, but not the same, the one that is there
// alone is the one.
func signedIDs(names []string, schemes []*policyv1.Scheme) []authz.EventID {
	signing := make(map[string]int, len(names)) // schemes that sign it
	each := len(schemes) > 0
	for _, s := range schemes {
		some := false
		for _, name := range names {
			if signs(s, name) {
				signing[name]++
				some = true
			}
		}
		each = each && some
	}
	ids := make([]authz.EventID, 0, len(names))
	for _, name := range names {
		id := authz.EventID{Header: name}
		switch n := signing[name]; {
		case n > 0 && n == len(schemes):
			id.Covered = authz.CoveredAlways
		case n > 0 && each:
			id.Covered = authz.CoveredAlone
		}
		ids = append(ids, id)
	}
	return ids
}

// signs reports whether the scheme's content has the header's value.
func signs(s *policyv1.Scheme, header string) bool {
	return slices.ContainsFunc(s.Signed().GetContent(), func(part *policyv1.Part) bool {
		return strings.EqualFold(part.GetHeader().GetName(), header)
	})
}
