package posture_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/posture"
)

func parsed(t *testing.T, name string) *posture.Report {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := posture.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCompare: each change is on the right side, and the way back is on the other.
func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*posture.Report)
		better string
	}{
		"a grade":              {func(r *posture.Report) { webhook(r, "chat").Grade = posture.GradeA }, "chat: grade A, was B"},
		"the grade of all":     {func(r *posture.Report) { r.Grade = posture.GradeB }, "all webhooks: grade B, was C"},
		"a practice":           {func(r *posture.Report) { webhook(r, "chat").Practices[2].State = posture.Holds }, "chat: encryption: holds, was partly"},
		"a practice known now": {func(r *posture.Report) { webhook(r, "token").Practices[1].State = posture.Holds }, "token: rotation: holds, was unknown"},
		"a finding":            {func(r *posture.Report) { webhook(r, "code").Findings = nil }, "code: HB073 no longer found"},
		"a control":            {func(r *posture.Report) { control(r, "10.6.1").Evidence = true }, "PCI DSS 4.0 10.6.1: evidence for, was not covered"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := parsed(t, "mixed"), parsed(t, "mixed")
			c.change(after)
			forth, back := posture.Compare(before, after), posture.Compare(after, before)
			if !slices.Contains(forth.Better, c.better) || len(forth.Worse)+len(forth.Other) > 0 {
				t.Errorf("forth: %+v", forth)
			}
			if len(back.Worse) != len(forth.Better) || len(back.Better)+len(back.Other) > 0 {
				t.Errorf("back: %+v", back)
			}
		})
	}
	same := posture.Compare(parsed(t, "weak"), parsed(t, "weak"))
	if len(same.Better)+len(same.Worse)+len(same.Other) > 0 {
		t.Errorf("the same: %+v", same)
	}
	both := posture.Compare(parsed(t, "weak"), parsed(t, "strong"))
	for _, line := range []string{"open is gone, with grade F", "payments is new, with grade A"} {
		if !slices.Contains(both.Other, line) {
			t.Errorf("%q is not said: %q", line, both.Other)
		}
	}
}

func webhook(r *posture.Report, name string) *posture.Webhook {
	i := slices.IndexFunc(r.Webhooks, func(w posture.Webhook) bool { return w.Name == name })
	return &r.Webhooks[i]
}

func control(r *posture.Report, id string) *posture.Control {
	i := slices.IndexFunc(r.Controls, func(c posture.Control) bool { return c.ID == id })
	return &r.Controls[i]
}

// TestParse: what the program did not write is no report.
func TestParse(t *testing.T) {
	good, err := json.Marshal(parsed(t, "mixed"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":         "",
		"half":            string(good[:len(good)/2]),
		"a list":          "[]",
		"an empty object": "{}",
		"another version": strings.Replace(string(good), `"version":1`, `"version":2`, 1),
		"another grade":   strings.Replace(string(good), `"grade":"C"`, `"grade":"A+"`, 1),
		"another state":   strings.Replace(string(good), `"state":"holds"`, `"state":"held"`, 1),
		"no name":         strings.Replace(string(good), `"name":"chat"`, `"name":""`, 1),
		"no time":         strings.Replace(string(good), `"time":"2026-11-29T12:00:00Z"`, `"time":"0001-01-01T00:00:00Z"`, 1),
	} {
		if text == string(good) {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := posture.Parse([]byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
