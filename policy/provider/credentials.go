package provider

import (
	"regexp"
	"slices"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// credentialOf is {name} in what is sent.
var credentialOf = regexp.MustCompile(`\{([a-z][a-z0-9_]*)\}`)

// Credentials are the names of what must be sent to get published keys, sorted. {id} is
// that of a key, and none.
func Credentials(p *policyv1.Published) []string {
	var names []string
	note := func(text string) {
		for _, m := range credentialOf.FindAllStringSubmatch(text, -1) {
			if m[1] != "id" {
				names = append(names, m[1])
			}
		}
	}
	for _, h := range p.GetHeaders() {
		note(h.GetValue())
	}
	for _, text := range p.GetPost() {
		note(text.GetValue())
	}
	slices.Sort(names)
	return slices.Compact(names)
}
