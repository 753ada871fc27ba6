package policy

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// maxGone bounds the names in a finding.
const maxGone = 4

// RenameFindings lists webhooks that a store does not know, where others that it
// knows are gone: if one of them was renamed, its nonces are lost. The table is
// compiled from the set; known is what the store keeps.
func (s *Set) RenameFindings(table *authz.Table, known map[string]watermark.Kept) ([]Finding, error) {
	kept := watermark.KeptBy(table)
	var gone []string
	for name := range known {
		if _, ok := kept[name]; !ok {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	slices.Sort(gone)
	if more := len(gone) - maxGone; more > 0 {
		gone = append(gone[:maxGone], "others")
	}
	var all []Finding
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		name := watermark.KeptAs(w)
		_, signed := kept[name]
		if _, ok := known[name]; ok || !signed {
			return
		}
		p := at.At("name")
		message := "the store has no nonces of " + name + ", and those of " + strings.Join(gone, ", ") +
			" would be used no more: if the webhook had one of these names, let formerly begin with it, or copies of what was delivered then can pass"
		all = append(all, Finding{Error: p.Error(message), ID: "HB090", Severity: "warning"})
	})
	return all, err
}
