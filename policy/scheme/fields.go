package scheme

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func fieldsPart(f *policyv1.Fields) signature.Part {
	part := signature.Part{Kind: signature.JSONFields, Beside: f.GetBeside()}
	for _, key := range f.GetKeys() {
		name, optional := strings.CutSuffix(key, "?")
		part.Keys = append(part.Keys, signature.FieldKey{Name: name, Optional: optional})
	}
	return part
}

// checkFields looks for fields that could be read in two ways, or that miss what the
// scheme relies on.
func (c *Plans) checkFields(config *signature.Config, f *policyv1.Fields, at strictyaml.Place) {
	part := fieldsPart(f)
	seen := map[string]bool{}
	for i, key := range part.Keys {
		if seen[key.Name] {
			c.faults.Fail(at.At("keys", i), "is there already")
		}
		seen[key.Name] = true
	}
	for i, name := range part.Beside {
		if seen[name] {
			c.faults.Fail(at.At("beside", i), "is there already")
		}
		seen[name] = true
	}
	if part.Keys[0].Optional {
		c.faults.Fail(at.At("keys", 0), "must be there: only the first may have line breaks, and which one is first must be known")
	}
	if len(config.Content) > 1 {
		c.faults.Fail(at, "must be all of content")
	}
	time := config.Time.JSON
	if time != "" && !slices.ContainsFunc(part.Keys, func(k signature.FieldKey) bool { return k.Name == time && !k.Optional }) {
		c.faults.Fail(at.At("keys"), "do not have "+time+", which timestamp.json names")
	}
}

// When returns what tells the deliveries of a scheme from those of others.
func (c *Plans) When(s *policyv1.Scheme, at strictyaml.Place) []signature.Condition {
	var when []signature.Condition
	for i, w := range s.GetWhen() {
		if (w.GetHeader() == "") == (w.GetJson() == "") {
			c.faults.Fail(at.At("scheme", "when", i), "needs one of header and json")
		}
		when = append(when, signature.Condition{Header: strings.ToLower(w.GetHeader()), JSON: w.GetJson(), Values: w.GetValues()})
	}
	return when
}

// WhenReadsBody reports whether that is looked for in the body.
func WhenReadsBody(s *policyv1.Scheme) bool {
	return slices.ContainsFunc(s.GetWhen(), func(w *policyv1.When) bool { return w.GetJson() != "" })
}
