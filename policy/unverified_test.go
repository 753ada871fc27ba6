package policy_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy"
)

// Whoever reviews a policy is told what it takes without any proof, and why.
func TestUnverifiedFindings(t *testing.T) {
	for text, want := range map[string]string{
		"unverified: {reason: a public status page}": "a public status page",
		"provider: stripe":                           "",
	} {
		set, err := policy.Load(hookFile(t, text))
		if err != nil {
			t.Fatal(err)
		}
		found, err := set.UnverifiedFindings()
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if len(found) > 0 {
				t.Errorf("%s: %v", text, found)
			}
			continue
		}
		if len(found) != 1 || found[0].ID != "HB040" || found[0].Line != 2 || !strings.HasSuffix(found[0].Message, want) {
			t.Errorf("%s: %v", text, found)
		}
	}
}
