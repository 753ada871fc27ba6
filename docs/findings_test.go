package docs_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
)

var update = flag.Bool("update", false, "rewrite tables that are made of the code")

// TestFindings holds the tables of docs/findings.md equal to the rules.
func TestFindings(t *testing.T) {
	for part, rules := range map[string][]finding.Rule{"policies": lint.Rules(), "envoy": audit.Rules()} {
		made(t, "docs/findings.md", "<!-- findings: "+part+" -->\n", "<!-- end of findings -->\n", table(rules))
	}
}

// made holds a part of a page equal to what the code makes of it.
func made(t *testing.T, page, begin, end, want string) {
	t.Helper()
	text := read(t, page)
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %s", page, begin)
	}
	want = before + begin + want + end + after
	switch {
	case text == want:
	case *update:
		if err := os.WriteFile(filepath.Join(root, page), []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the code says; run go test ./docs -update", page)
	}
}

func table(rules []finding.Rule) string {
	var b strings.Builder
	b.WriteString("| id | severity | what was found | what can happen | how to mend it |\n| --- | --- | --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`)
	for _, r := range rules {
		severity := string(r.Severity)
		if r.Else != "" {
			severity += ", or " + r.Else
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s [More](%s) |\n", r.ID, severity, cell.Replace(r.Title), cell.Replace(r.Risk), cell.Replace(r.Fix), r.Link)
	}
	return b.String()
}

// TestFindingLinks: each rule's page has the part that its link names.
func TestFindingLinks(t *testing.T) {
	for _, r := range slices.Concat(lint.Rules(), audit.Rules()) {
		page, part, _ := strings.Cut(r.Link, "#")
		if text := read(t, "docs/"+page); part != "" && !slices.Contains(parts(text), part) {
			t.Errorf("%s: docs/%s has no part %s", r.ID, page, part)
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unused  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// parts are the names that code hosts give to the headings of a page.
func parts(text string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		names = append(names, strings.ReplaceAll(unused.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return names
}

var id = regexp.MustCompile(`\bH[BE]\d{3}\b`)

// TestFindingsStandOnce: an id is written in the table of its rule and nowhere else in
// the program, and pages name only those that there are.
func TestFindingsStandOnce(t *testing.T) {
	known := map[string]string{} // with the file that has it
	for _, r := range slices.Concat(lint.Rules(), audit.Rules()) {
		known[r.ID] = ""
	}
	for _, name := range tracked(t) {
		test := strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/")
		switch {
		case filepath.Ext(name) == ".md":
			for _, found := range id.FindAllString(read(t, name), -1) {
				if _, ok := known[found]; !ok {
					t.Errorf("%s: there is no %s", name, found)
				}
			}
		case filepath.Ext(name) == ".go" && !test && !strings.HasSuffix(name, ".pb.go"):
			for _, found := range regexp.MustCompile(`"(H[BE]\d{3})"`).FindAllStringSubmatch(read(t, name), -1) {
				if known[found[1]] != "" {
					t.Errorf("%s stands in %s and in %s", found[1], known[found[1]], name)
				}
				known[found[1]] = name
			}
		}
	}
	for name, file := range known {
		if file == "" {
			t.Errorf("%s stands in no file that was looked at", name)
		}
	}
}

// tracked are the files of the repository, by their paths in it.
func tracked(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".ci":
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(root, name)
		names = append(names, rel)
		return err
	})
	if err != nil || len(names) < 1000 {
		t.Fatalf("%d files, error %v", len(names), err)
	}
	return names
}
