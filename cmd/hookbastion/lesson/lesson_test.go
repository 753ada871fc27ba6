package lesson

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/finding"
)

var update = flag.Bool("update", false, "rewrite docs/lessons")

const pages = "../../../docs/lessons"

// TestPages holds docs/lessons equal to the lessons.
func TestPages(t *testing.T) {
	lessons, err := all()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"README.md": index(lessons)}
	for _, l := range lessons {
		want[l.rule.ID+".md"] = l.markdown()
	}
	for name, text := range want {
		name = filepath.Join(pages, name)
		if *update {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // a page
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != text {
			t.Errorf("%s is not what the lesson says; run go test ./cmd/hookbastion/lesson -update (%v)", name, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(pages, "*"))
	if err != nil || len(there) != len(want) {
		t.Errorf("%d pages for %d lessons, %v", len(there)-1, len(lessons), err)
	}
}

// TestForm: stories fit a screen, reasons are those that there are, and bad and good differ.
func TestForm(t *testing.T) {
	lessons, err := all()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lessons {
		if n := strings.Count(l.story, "\n"); n < 5 || n > 14 {
			t.Errorf("%s: the story has %d lines", l.rule.ID, n)
		}
		for line := range strings.Lines(l.story + l.mend + l.question + l.answer) {
			if utf8.RuneCountInString(line) > 100 {
				t.Errorf("%s: a long line: %s", l.rule.ID, line)
			}
		}
		for _, word := range append(slices.Clone(l.reasons), reasonOf(l.bad), reasonOf(l.good)) {
			var reason authz.Reason
			if reason.UnmarshalText([]byte(word)) != nil {
				t.Errorf("%s: there is no reason %q", l.rule.ID, word)
			}
		}
		if !strings.Contains(l.question, "?") {
			t.Errorf("%s: the question asks nothing", l.rule.ID)
		}
	}
}

// TestOrder: what the reader has comes first, the worst of it before the rest, and nothing
// is left out.
func TestOrder(t *testing.T) {
	lessons, err := all()
	if err != nil {
		t.Fatal(err)
	}
	last, other := lessons[len(lessons)-1], lessons[len(lessons)-2]
	own := map[string][]finding.Finding{last.rule.ID: {{Severity: finding.Info}, {Severity: finding.Warning}}, other.rule.ID: {{Severity: finding.Info}}}
	ordered := inOrder(lessons, own)
	if ordered[0] != last || ordered[1] != other || ordered[2] != lessons[0] || len(ordered) != len(lessons) {
		t.Errorf("%s, %s, %s of %d", ordered[0].rule.ID, ordered[1].rule.ID, ordered[2].rule.ID, len(ordered))
	}
}
