package posture

import (
	"slices"
	"testing"

	"github.com/hookbastion/hookbastion/policy/lint"
)

// TestNumbers: each rule that is looked for is one of lint's.
func TestNumbers(t *testing.T) {
	for _, n := range slices.Concat(openWays, badSecrets, weakAlgorithms, unrecorded, unwatched) {
		found := 0
		for _, r := range lint.Rules() {
			if (numbers{n}).has(r.ID) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d rules have the number %d", found, n)
		}
	}
	for _, id := range []string{"", "HE010", "10x", "HB"} {
		if openWays.has(id) || Topic(id) != "" {
			t.Errorf("%q is taken for a rule", id)
		}
	}
}
