package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// TestBrackets: an error within brackets stands where the bracket begins that is not closed,
// whatever looks like one; where that is not sure, where the text of the line begins.
func TestBrackets(t *testing.T) {
	const comma, value = "did not find expected ',' or ']'", "did not find expected node content"
	for text, want := range map[string]string{
		// The text ends within them.
		"webhooks: [\n":    "1:11 " + value,
		"webhooks: [":      "1:11 " + value,
		"webhooks: [\n\n ": "1:11 " + value,
		"webhooks:\n  - name: a\n    match: {path: /a\n": "3:12 did not find expected ',' or '}'",
		"webhooks: [{name: a,\n":                         "1:12 " + value,
		"a: \"[\" # [\nb: [1, \"]\", # ]\n":              "2:4 " + value,
		"a: '['\nb: [it's, ']'\n":                        "2:4 " + comma,
		"a: |\n  [x\nb: {c: [1, 2], d: [\n":              "3:19 " + value,
		"a: >-\n  {x\n\n  ]\nb: c[d\ne:\n  - [f\n":       "7:5 " + comma,
		"é: [[1], {ü: b\n":                               "1:10 did not find expected ',' or '}'",
		"a: [b: {c: d\n":                                 "1:8 did not find expected ',' or '}'",
		"a: [b: c\n":                                     "1:4 " + comma,
		"a:\r\n  [b\r\n":                                 "2:3 " + comma,
		"\"a\": [\"b \\\n  [\",\n  {\"c\": [1]":          "3:3 did not find expected ',' or '}'",
		// It goes on with what has no place in them.
		"match: {path: /a\nprovider: github\n":       "1:8 did not find expected ',' or '}'",
		"a: b\nc: [1, [2], 3\nd: 4\n":                "2:4 " + comma,
		"a: b\nc: {d: e, f: [1]\ng: {h: 4}\n":        "2:4 did not find expected ',' or '}'",
		"a: [[1\n  ], 2\nb: 4\n":                     "1:1 " + comma, // either
		"  a: [\"b\" \"c\"]\n":                       "1:3 " + comma,
		strings.Repeat("[", 9) + "a":                 "1:1 " + comma,
		"a: [" + strings.Repeat("b, ", 1<<17) + "\n": "2:1 " + value,
		// It has none.
		"a: ]\n":           "1:1 " + value,
		"a: 1\nb: [1, ]]]": "2:1 did not find expected key",
	} {
		_, err := strictyaml.Options{}.Decode("f", []byte(text), &policyv1.Policy{})
		var errs strictyaml.Errors
		if !errors.As(err, &errs) || len(errs) != 1 {
			t.Errorf("%.60q: %v", text, err)
			continue
		}
		said, _, _ := strings.Cut(strings.TrimPrefix(errs[0].Message, "not YAML: "), ";")
		if got := fmt.Sprintf("%d:%d %s", errs[0].Line, errs[0].Column, said); got != want {
			t.Errorf("%.60q: %s, want %s", text, got, want)
		}
		begins := false // a bracket, at the place
		if line := []rune(strings.Split(text, "\n")[min(errs[0].Line-1, strings.Count(text, "\n"))]); len(line) >= errs[0].Column {
			begins = strings.ContainsRune("[{", line[errs[0].Column-1])
		}
		if asks := strings.HasSuffix(errs[0].Message, "; is this bracket closed?"); asks && !begins {
			t.Errorf("%.60q: %s", text, errs[0])
		}
	}
}
