package policy_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// seeds are the files of the golden archives and of the examples.
func seeds(tb testing.TB) (texts []string) {
	tb.Helper()
	archives, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(archives) < 10 {
		tb.Fatalf("%d seeds, error %v", len(archives), err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for _, file := range archive.Files {
			if ext := filepath.Ext(file.Name); ext == ".yaml" || ext == ".json" {
				texts = append(texts, string(file.Data))
			}
		}
	}
	return texts
}

// FuzzPolicyPrints: what is read without an error is, written out again, read as
// the same.
func FuzzPolicyPrints(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	f.Add("webhooks: [{name: a, match: {path: /a}, unverified: {reason: \"é\\u2028\\U0001F600\\x7f\\0 and more\"}}]")
	f.Add("webhooks: [{name: a, match: {path: /a}, secrets: [{file: x, not_before: 0000-01-01T00:00:00Z}]}]")
	options := strictyaml.Options{EmptyLists: []protoreflect.FullName{"hookbastion.policy.v1.SourceIP.deny"}}
	f.Fuzz(func(t *testing.T, text string) {
		first, second := &policyv1.Policy{}, &policyv1.Policy{}
		if _, err := options.Decode("f", []byte(text), first); err != nil {
			return
		}
		printed, err := printPolicy(first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := options.Decode("printed", []byte(printed), second); err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		if !proto.Equal(first, second) {
			t.Fatalf("%v\nwas printed as\n%s\nand read as\n%v", first, printed, second)
		}
	})
}

// printPolicy writes a policy as JSON, which is YAML once everything but ASCII
// is escaped.
func printPolicy(p *policyv1.Policy) (string, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p)
	var b strings.Builder
	for _, c := range string(text) {
		switch {
		case c > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, c)
		case c > '~':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String(), err
}

// Files that are made to cost much cost little: a bounded number of errors, in
// less than a second.
func TestBombs(t *testing.T) {
	const hook = "  - name: a\n    match: {path: /a}\n"
	for name, text := range map[string]string{
		"aliases":       "webhooks:\n  - &a {x: [1, 1]}\n" + strings.Repeat("  - &b [*a, *a, *a, *a, *a, *a, *a, *a]\n", 5000),
		"nested flow":   "webhooks: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"nested maps":   "webhooks: [" + strings.Repeat("{a: ", 9000) + "1" + strings.Repeat("}", 9000) + "]",
		"nested block":  "webhooks:\n" + strings.Repeat("- ", 9000) + "a\n",
		"huge key":      "webhooks:\n  - " + strings.Repeat("k", 1<<20) + ": 1\n",
		"huge value":    "webhooks:\n  - name: " + strings.Repeat("v", 1<<20) + "\n",
		"huge JSON key": `{"webhooks": [{"` + strings.Repeat("k", 1<<20) + `": 1}]}`,
		"unknown keys":  "webhooks:\n  - {" + strings.Repeat("tolerancetolerancetolerancetolerancetolerancetolerancetoleranc: 1, ", 5000) + "}\n",
		"same keys":     "webhooks:\n  - {" + strings.Repeat("name: a, ", 20_000) + "}\n",
		"same webhooks": "webhooks:\n" + strings.Repeat(hook, 5000),
		"bad webhooks":  "webhooks:\n" + strings.Repeat("  - name: '\n", 20_000),
		"comments":      "webhooks:\n" + hook + strings.Repeat("# remark\n", 50_000),
		"documents":     strings.Repeat("---\na: 1\n", 20_000),
		"a cut quote":   "webhooks:\n  - name: \"" + strings.Repeat("a\n", 20_000),
		"spaces":        "webhooks:\n" + strings.Repeat(" ", 1<<20) + "- a\n",
		"questions":     "webhooks:\n" + strings.Repeat("? ", 9000),
		"a long list":   "webhooks: [" + strings.Repeat("{},", 20_000) + "]",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.yaml"), text)
		for tries := 1; ; tries++ {
			begin := time.Now()
			_, err := compile(dir)
			took := time.Since(begin)
			var errs policy.Errors
			if !errors.As(err, &errs) || len(errs) > 2*strictyaml.MaxErrors+2 || len(err.Error()) > 100<<10 {
				t.Errorf("%s: %d errors, %.200v", name, len(errs), err)
			}
			if took < slowness*time.Second {
				break
			}
			if tries == 3 { // not because the machine was busy
				t.Errorf("%s: %s for %d bytes", name, took, len(text))
				break
			}
		}
	}
}
