package policytest

import (
	"fmt"
	"slices"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy/edit"
	testv1 "github.com/hookbastion/hookbastion/proto/hookbastion/test/v1"
)

// Update returns the text of a file with what the results of its cases say in place of what
// was expected: the reason and status of a denial, the webhook and the key. It never changes
// a verdict, nor anything of a step whose verdict was otherwise, nor the reason of what is
// allowed. It says what it has changed, and what could be written and must be done by hand.
func (f *File) Update(results []Result) (text []byte, changed, byHand []string) {
	text = f.text
	for _, result := range results {
		i := slices.IndexFunc(f.tests.GetTests(), func(c *testv1.Case) bool { return c.GetName() == result.Name })
		for j := range result.Steps {
			step := &result.Steps[j]
			for _, d := range step.Wrong {
				if !updatable(step, d.Key) {
					continue
				}
				place := fmt.Sprintf("%s:%d:%d: %s", f.Name, d.Line, d.Column, d.Key)
				if d.Got == "" {
					byHand = append(byHand, place+": there is none, so the key must be taken out by hand")
					continue
				}
				after, err := edit.Replace(text, d.Got, "tests", i, "steps", j, "expect", d.Key)
				if err != nil {
					byHand = append(byHand, fmt.Sprintf("%s: is %s, and is written in a way that only a person can change", place, d.Got))
					continue
				}
				text = after
				changed = append(changed, fmt.Sprintf("%s: %s, was %s", place, d.Got, d.Want))
			}
		}
	}
	return text, changed, byHand
}

// Changed reports whether a text is another than that of the file.
func (f *File) Changed(text []byte) bool { return !secret.Equal(text, f.text) }

// updatable reports whether a key may be written.
func updatable(step *StepResult, key string) bool {
	if slices.ContainsFunc(step.Wrong, func(d Difference) bool { return d.Key == "verdict" }) {
		return false
	}
	switch key {
	case "reason":
		return step.Verdict == authz.Deny.String()
	case "status":
		// Of a denial that is forwarded, as in SHADOW, the status is as good as a verdict.
		return step.Verdict == authz.Deny.String() && !step.Forwarded
	case "webhook", "key_id":
		return step.Problem == ""
	default: // what the application is told of the proof is as good as a verdict
		return false
	}
}
