package strictyaml_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// each reads a policy webhook by webhook. Those that were bad are nil.
func each(text string) (*strictyaml.Document, []*policyv1.Webhook, error) {
	var hooks []*policyv1.Webhook
	doc, err := strictyaml.Options{}.DecodeEach("f", []byte(text), &policyv1.Policy{}, "webhooks", func(i int, item proto.Message, wrong *strictyaml.Wrong) {
		if wrong != nil {
			return
		}
		for len(hooks) < i {
			hooks = append(hooks, nil)
		}
		hooks = append(hooks, item.(*policyv1.Webhook))
	})
	return doc, hooks, err
}

// long has more webhooks than are read at once.
func long(form string, join string) string {
	var hooks []string
	for i := range 100 {
		hooks = append(hooks, strings.ReplaceAll(form, "N", fmt.Sprint(i)))
	}
	return strings.Join(hooks, join)
}

// Reading webhook by webhook is reading, whatever the form of the file.
func FuzzEach(f *testing.F) {
	archives, err := filepath.Glob("../testdata/golden/*.txtar")
	if err != nil || len(archives) < 5 {
		f.Fatalf("%d seeds, error %v", len(archives), err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(string(file.Data))
		}
	}
	for _, text := range []string{
		"webhooks:\n" + long("- {name: aN, match: {path: /N}}\n", ""),
		"webhooks:\n" + long("   - name: aN\n     match: {path: /N}\n\n   # a remark\n", ""),
		"---\n# a remark\nwebhooks:\n" + long("  -\n    name: aN\n    match: {path: /N, x: N}\n", ""),
		"webhooks:\r\n" + long("  - name: aN\r\n    match: {path: /N}\r\n", ""),
		"{\"webhooks\": [" + long(`{"name": "éN", "match": {"path": "/N"}}`, ",") + "]}",
		"{\n \"webhooks\": [" + long("\n  {\n\"name\": \"N\", \"match\":\n {\"path\": \"/N\", \"x\": 1}}", ",") + "]}\n",
		"webhooks:\n" + long("  - {name: aN, match: {path: N, x: 1}}\n", ""),
		"webhooks:\n  - name: \"a\n  - b\"\n    match: {path: /a}\n  - name: c\n    match: {path: /c}\n",
		"webhooks:\n  - name: a\n    match: {path: /a,\n  - }\n",
		"webhooks:\n  - &x {name: a, match: {path: /a}}\n  - *x\n",
		"webhooks:\n  - name: |\n      a\n      - b\n    match: {path: /a}\n  -\n  - []\n  - - name: a\n",
		"webhooks:\n  - a: 1\n   b: 2\n", "webhooks:\n- a\nwebhook: 1\n", "webhooks:\n  - a\n...\nb: 1\n",
		"{\"webhooks\": [1, \"a\", null, [], {}]}", "{\"webhooks\": []}", "webhooks: \n- a\n\t\n- b",
		"webhooks:\n  - name: a\u2028\n  - name: b\n", "\ufeffwebhooks:\n  - name: a\n", "webhooks:\n  - name: a\r  - name: b\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole := &policyv1.Policy{}
		_, want := strictyaml.Options{}.Decode("f", []byte(text), whole)
		doc, hooks, got := each(text)
		if want == nil {
			if got != nil || !slices.EqualFunc(hooks, whole.GetWebhooks(), func(a, b *policyv1.Webhook) bool { return proto.Equal(a, b) }) {
				t.Fatalf("error %v\n%v\nwant\n%v", got, hooks, protojson.Format(whole))
			}
		} else if got == nil || !full(want) && !strings.Contains(want.Error(), "not YAML") && !strings.Contains(want.Error(), "anchors") && got.Error() != want.Error() {
			t.Fatalf("error %v\nwant %v", got, want)
		}
		lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text), "\n") + 1
		var errs strictyaml.Errors
		if errors.As(got, &errs); len(errs) > strictyaml.MaxErrors+1 {
			t.Fatalf("%d errors", len(errs))
		}
		for _, e := range errs {
			if e.Line < 1 || e.Line > lines+1 || e.Column < 1 {
				t.Fatalf("%d lines: %v", lines, e)
			}
		}
		for i := range hooks {
			if line, column := doc.Place(strictyaml.Path{"webhooks", i, "name"}); hooks[i] != nil && (line < 1 || line > lines || column < 1) {
				t.Fatalf("webhook %d is at %d:%d of %d lines", i, line, column, lines)
			}
		}
	})
}

// full reports whether there are more errors than are reported. Which they are
// depends on the order: the rules of the .proto file are looked at last, of each
// webhook or of the whole.
func full(err error) bool {
	var errs strictyaml.Errors
	return errors.As(err, &errs) && len(errs) > strictyaml.MaxErrors
}

// Places after reading are those of a tree, in every form.
func TestEachPlaces(t *testing.T) {
	for _, text := range []string{
		"# head\nwebhooks:\n  - name: a\n    match: {path: /a, methods: [POST, GET]}\n  - name: b\n    match: {path: /b}\n",
		"---\nwebhooks:\n-\n  name: a\n  match: {path: /a, methods: [POST, GET]}\n- {name: b, match: {path: /b}}\n",
		"\n {\"webhooks\": [{\"name\": \"a\", \"match\": {\"path\": \"/a\", \"methods\": [\"POST\", \"GET\"]}},\n {\"name\": \"b\", \"match\": {\"path\": \"/b\"}}]}",
		"webhooks: [{name: a, match: {path: /a, methods: [POST, GET]}},\n {name: b, match: {path: /b}}]",
	} {
		tree, err := strictyaml.Options{}.Decode("f", []byte(text), &policyv1.Policy{})
		doc, hooks, eachErr := each(text)
		if err != nil || eachErr != nil || len(hooks) != 2 {
			t.Fatalf("%q: %d webhooks, %v, %v", text, len(hooks), err, eachErr)
		}
		for _, path := range []strictyaml.Path{
			nil, {"webhooks"}, {"webhooks", 0}, {"webhooks", 1, "name"}, {"webhooks", 0, "match", "methods", 1}, {"webhooks", 1, "match", "hosts"}, {"webhooks", 7},
		} {
			line, column := doc.Place(path)
			wantLine, wantColumn := tree.Place(path)
			if line != wantLine || column != wantColumn {
				t.Errorf("%q: %s is at %d:%d, want %d:%d", text, path, line, column, wantLine, wantColumn)
			}
		}
	}
}

// What is no YAML in one webhook does not hide what is wrong with the others,
// nor keep back the good ones.
func TestEachGoesOn(t *testing.T) {
	_, hooks, err := each("webhooks:\n  - name: a\n    match: {path: /a}\n  - name: b\n    match: {path: /b\n    mode: SHADOW\n  - nam: c\n    match: {path: /c}\n  - name: d\n    match: {path: /d}\n")
	want := "f:5:12: not YAML: did not find expected ',' or '}'; is this bracket closed?\nf:7:5: webhooks[2]: unknown key \"nam\"; did you mean name?"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	if len(hooks) != 4 || hooks[0].GetName() != "a" || hooks[3].GetName() != "d" || hooks[1] != nil || hooks[2] != nil {
		t.Errorf("%v", hooks)
	}
}

func TestEachLimits(t *testing.T) {
	big := strings.Repeat("x", strictyaml.MaxTree)
	for name, test := range map[string]struct{ text, want string }{
		"a flow":        {"webhooks: [" + strings.Repeat("{},\n", 2<<20) + "]", "f:1:1: a file of more than 4 MiB must be JSON, or have webhooks: on a line of its own"},
		"bad JSON":      {"{\"webhooks\": [\n" + strings.Repeat("{},\n", 2<<20) + "]}", "not JSON: invalid character ']' looking for beginning of value"},
		"one webhook":   {"webhooks:\n  - name: a\n  - name: \"" + big + "\"\n", "f:3:3: not YAML: more than 4 MiB in one item"},
		"many mistakes": {"webhooks:\n" + strings.Repeat("  - {nam: a}\n", 50_000), "f:102:6: more than 100 errors; the others show once these are mended"},
		"many keys":     {"webhooks:\n  - {" + strings.Repeat("toleranse: 1,\n", 100_000) + "}", "f:102:1: more than 100 errors; the others show once these are mended"},
	} {
		_, _, err := each(test.text)
		var errs strictyaml.Errors
		if !errors.As(err, &errs) || !strings.Contains(err.Error(), test.want) || len(errs) > strictyaml.MaxErrors+1 {
			t.Errorf("%s: %d errors, %.1000v", name, len(errs), err)
		}
	}
}

// A document without its text asks for it again, and does not point into
// another text.
func TestRelease(t *testing.T) {
	text := "webhooks:\n" + long("  - name: aN\n    match: {path: /N}\n", "")
	path := strictyaml.Path{"webhooks", 70, "match", "path"}
	for want, again := range map[string]string{"143:13": text, "142:1": "# " + text} {
		doc, _, err := each(text)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		doc.Release(func() ([]byte, error) { asked++; return []byte(again), nil })
		for range 2 {
			if line, column := doc.Place(path); fmt.Sprintf("%d:%d", line, column) != want || asked != 1 {
				t.Errorf("%d:%d, want %s; asked %d times", line, column, want, asked)
			}
		}
	}
}
