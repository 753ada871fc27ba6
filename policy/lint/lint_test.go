package lint_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// now is when all policies of this room are looked at.
var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestRules: each rule has an archive of its name, with policies that have it and some
// that do not. What bad.yaml has stands in want, besides findings of other rules;
// good.yaml has nothing of this rule.
func TestRules(t *testing.T) {
	for _, r := range lint.Rules() {
		t.Run(r.ID, func(t *testing.T) {
			name := filepath.Join("testdata", r.ID+".txtar")
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, f := range archive.Files {
				write(t, filepath.Join(dir, f.Name), f.Data)
			}
			if found := of(r.ID, input(t, dir, "good.yaml", archive)); len(found) > 0 {
				t.Errorf("good.yaml: %s", lines(dir, found))
			}
			found := of(r.ID, input(t, dir, "bad.yaml", archive))
			got := lines(dir, found)
			i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
			if i < 0 || len(found) == 0 {
				t.Fatalf("want is missing, or nothing is found: %s", got)
			}
			if *update {
				archive.Files[i].Data = []byte(got)
				write(t, name, txtar.Format(archive))
			}
			if want := string(archive.Files[i].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for _, f := range found {
				if f.Severity != r.Severity && r.Else == "" {
					t.Errorf("%s has the severity %s, and the rule has no word of it", f, f.Severity)
				}
				if f.Risk != r.Risk || f.Fix != r.Fix || f.Link != r.URL() {
					t.Errorf("not the rule's words: %+v", f)
				}
			}
		})
	}
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) != len(lint.Rules()) {
		t.Errorf("%d archives for %d rules, %v", len(archives), len(lint.Rules()), err)
	}
}

// input is what validate makes of a policy file under the archive's options.
func input(t *testing.T, dir, file string, archive *txtar.Archive) lint.Input {
	t.Helper()
	var all []keys.Key
	set, err := policy.Load(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	keeper := ranges.NewKeeper(ranges.Config{Every: time.Hour})
	for _, f := range archive.Files {
		if f.Name == "options" && strings.Contains(string(f.Data), "no refresh") {
			keeper = nil
		}
	}
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes: 1 << 20, Now: time.Now(), Ranges: keeper, OnKey: func(k keys.Key) { all = append(all, k) },
	})
	if err != nil {
		t.Fatal(err)
	}
	in := lint.Input{Set: set, Table: table, Keys: all, Now: now}
	for _, f := range archive.Files {
		switch f.Name {
		case "options":
			text := string(f.Data)
			in.OnePhase = strings.Contains(text, "one phase")
			if file == "bad.yaml" {
				in.Watching = watching(text)
			}
			if strings.Contains(text, "store unread") && file == "bad.yaml" {
				in.Store = lint.Store{Name: filepath.Join(dir, "nonces"), Err: errors.New("permission denied")}
			}
		case "beside":
			in.Beside = map[string][]string{filepath.Join(dir, "tenants"): strings.Fields(string(f.Data))}
		case "known":
			if err := json.Unmarshal(f.Data, &in.Store.Known); err != nil {
				t.Fatal(err)
			}
		}
	}
	return in
}

// watching is what the options say of the settings.
func watching(options string) lint.Watching {
	w := lint.Watching{File: "hookbastion.yaml", DenialsPerSecond: 100, OnlyErrors: strings.Contains(options, "only errors")}
	if strings.Contains(options, "few records") {
		w.DenialsPerSecond = 2
	}
	if strings.Contains(options, "left out") {
		w.LeftOut = []authz.Reason{authz.NoWebhook, authz.SignatureInvalid}
	}
	return w
}

func of(id string, in lint.Input) []finding.Finding {
	found, err := lint.Lint(in)
	if err != nil {
		panic(err)
	}
	return slices.DeleteFunc(found, func(f finding.Finding) bool { return f.ID != id })
}

// lines are the findings without the directory.
func lines(dir string, found []finding.Finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(strings.ReplaceAll(f.String(), dir+string(filepath.Separator), "") + " [" + f.Path + "]\n")
	}
	return b.String()
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTable: ids are in order, and all words are there.
func TestTable(t *testing.T) {
	last := ""
	for _, r := range lint.Rules() {
		if !regexp.MustCompile(`^HB\d{3}$`).MatchString(r.ID) || r.ID <= last {
			t.Errorf("%s comes after %s", r.ID, last)
		}
		if r.Title == "" || strings.HasSuffix(r.Title, ".") || !strings.HasSuffix(r.Risk, ".") || !strings.HasSuffix(r.Fix, ".") || r.Link == "" {
			t.Errorf("rule %+v", r)
		}
		last = r.ID
	}
}

// TestBroken: of a set that has errors, what can be known is found.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), []byte("short"))
	write(t, filepath.Join(dir, "p.yaml"), []byte(`webhooks:
- {name: a, match: {path: /a}, provider: github, secrets: [{file: key}]}
- {name: a, match: {path: /b}, unverified: {reason: a test needs it}}
`))
	set, _ := policy.Load(dir)
	var all []keys.Key
	_, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes: 1 << 20, OnKey: func(k keys.Key) { all = append(all, k) },
	})
	if err == nil {
		t.Fatal("no error")
	}
	found, err := lint.Lint(lint.Input{Set: set, Keys: all})
	if err != nil || len(found) != 1 || found[0].ID != "HB050" || found[0].Line != 2 {
		t.Errorf("%v, %v", found, err)
	}
}

// TestSuppressed: what a policy suppresses is listed and does not count; errors, other
// webhooks' findings and what has ended count as before.
func TestSuppressed(t *testing.T) {
	archive := txtar.Parse([]byte(`-- key --
a secret that nobody can guess, 7f3a9c
-- short --
hunter2
-- p.yaml --
webhooks:
  - name: known
    match: {path: /a}
    provider: github
    secrets: [{file: key}]
    suppress: [{finding: HB073, reason: the application knows the ids, until: 2026-12-01T00:00:00Z}]
  - name: ended
    match: {path: /b}
    provider: shopify
    secrets: [{file: key}]
    suppress: [{finding: HB073, reason: the application knows the ids, until: 2026-11-29T12:00:00Z}]
  - {name: other, match: {path: /c}, provider: linear, secrets: [{file: key}]}
  - name: error
    match: {path: /d}
    provider: github
    secrets: [{file: short}]
    suppress: [{finding: HB050, reason: we have always had it, until: 2026-12-01T00:00:00Z}]
`))
	dir := t.TempDir()
	for _, f := range archive.Files {
		write(t, filepath.Join(dir, f.Name), f.Data)
	}
	in := input(t, dir, "p.yaml", archive)
	var suppressed []string
	for _, f := range append(of("HB073", in), of("HB050", in)...) {
		if f.Suppressed != "" {
			suppressed = append(suppressed, f.Path)
		}
	}
	if len(suppressed) != 1 || !strings.HasPrefix(suppressed[0], "webhooks[0]") {
		t.Errorf("suppressed: %q", suppressed)
	}
	if found := of("HB050", in); !finding.Worst(found, finding.Error) {
		t.Errorf("the error is gone: %v", found)
	}
}
