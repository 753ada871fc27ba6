package finding_test

import (
	"encoding/json"
	"testing"

	"github.com/hookbastion/hookbastion/policy/finding"
)

func TestSeverities(t *testing.T) {
	all := finding.Severities()
	for i, s := range all {
		for j, other := range all {
			if s.AtLeast(other) != (i <= j) {
				t.Errorf("%s at least %s: %v", s, other, s.AtLeast(other))
			}
		}
	}
	rule := finding.Rule{ID: "HB001", Severity: finding.Warning, Title: "a title", Risk: "A risk.", Fix: "A fix.", Link: "page.md#part"}
	found := []finding.Finding{rule.At(finding.Place{File: "f"}, "here")}
	if finding.Worst(found, finding.Error) || !finding.Worst(found, finding.Warning) || !finding.Worst(found, finding.Info) || finding.Worst(nil, finding.Info) {
		t.Error("a warning counts for something else")
	}
	if finding.Count(found, finding.Warning) != 1 || finding.Count(found, finding.Info) != 0 {
		t.Error("it is counted for something else")
	}
	found[0].Suppressed = "known until spring"
	if finding.Worst(found, finding.Info) || finding.Count(found, finding.Warning) != 0 {
		t.Error("what is suppressed counts")
	}
}

// Machines rely on the names.
func TestJSON(t *testing.T) {
	rule := finding.Rule{ID: "HB001", Severity: finding.Info, Risk: "A risk.", Fix: "A fix.", Link: "page.md#part"}
	f := rule.At(finding.Place{File: "a.yaml", Line: 2, Column: 3, Path: "webhooks[0]"}, "here")
	const want = `{"file":"a.yaml","line":2,"column":3,"path":"webhooks[0]","id":"HB001","severity":"info","message":"here","risk":"A risk.","fix":"A fix.","link":"https://github.com/hookbastion/hookbastion/blob/main/docs/page.md#part"}`
	if got, err := json.Marshal(f); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if f.String() != "a.yaml:2:3: info HB001: here" || (finding.Place{File: "a"}).String() != "a" {
		t.Errorf("%s", f)
	}
}
