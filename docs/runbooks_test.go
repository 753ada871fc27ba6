package docs_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

const runbooks = "docs/runbooks"

var (
	headings = regexp.MustCompile(`(?m)^#+ .*$`)
	sentence = regexp.MustCompile(`(?s)^.*?[.:](\s|$)`)
)

// TestRunbooks: there is a page for each reason, each kind of anomaly and each alert, and
// none for anything else. All have the same three parts, and the index has them all.
func TestRunbooks(t *testing.T) {
	var reasons, kinds, alerts []string
	for r := 1; r < authz.ReasonCount; r++ { // the first is no reason: nothing has decided
		reasons = append(reasons, authz.Reason(r).String())
	}
	for _, k := range monitor.Kinds() {
		kinds = append(kinds, k.String())
	}
	for _, m := range regexp.MustCompile(`runbooks/([a-z-]+)\.md`).FindAllStringSubmatch(read(t, "examples/observability/prometheus/rules.yaml"), -1) {
		alerts = append(alerts, m[1])
	}
	made(t, runbooks+"/README.md", "<!-- alerts -->\n", "<!-- end of alerts -->\n", indexed(t, ".", alerts))
	made(t, runbooks+"/README.md", "<!-- reasons -->\n", "<!-- end of reasons -->\n", indexed(t, "reasons", reasons))
	made(t, runbooks+"/README.md", "<!-- anomalies -->\n", "<!-- end of anomalies -->\n", indexed(t, "anomalies", kinds))
}

// indexed checks the pages of a directory and makes a list of them.
func indexed(t *testing.T, dir string, names []string) string {
	t.Helper()
	slices.Sort(names)
	names = slices.Compact(names)
	files, err := filepath.Glob(filepath.Join(root, runbooks, dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" && !slices.Contains(names, name) {
			t.Errorf("%s is about nothing that there is", file)
		}
	}
	var list strings.Builder
	for _, name := range names {
		at := path.Join(dir, name+".md")
		text, err := os.ReadFile(filepath.Join(root, runbooks, at))
		if err != nil {
			t.Errorf("no page about %s: %v", name, err)
			continue
		}
		parts := headings.FindAllString(string(text), -1)
		if len(parts) != 4 || !slices.Equal(parts[1:], []string{"## What it means", "## How to check", "## What to do"}) {
			t.Errorf("%s has the parts %q", at, parts)
			continue
		}
		_, means, _ := strings.Cut(string(text), parts[1]+"\n\n")
		means, _, _ = strings.Cut(means, "\n\n")
		title := strings.TrimPrefix(parts[0], "# ")
		if dir != "." && title != "`"+name+"`" {
			t.Errorf("%s is called %s", at, title)
		}
		first := strings.TrimRight(strings.Join(strings.Fields(sentence.FindString(means)), " "), ".:")
		fmt.Fprintf(&list, "- [%s](%s): %s\n", title, at, first)
	}
	return list.String()
}
