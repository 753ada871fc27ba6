package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tables are the pages that are mostly links: each line says where more stands.
var tables = []string{"docs/threat-model.md", "docs/troubleshooting.md"}

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("`([^`]+)`")
)

// TestTables: the pages that are mostly links have them.
func TestTables(t *testing.T) {
	for _, page := range tables {
		if n := len(link.FindAllString(read(t, page), -1)); n < 50 {
			t.Errorf("%s has only %d links", page, n)
		}
	}
}

// fenced is what stands on a page as it is.
var fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```")

// TestLinks: each link of a page leads to a file, and each anchor to a heading of it.
func TestLinks(t *testing.T) {
	seen := 0
	for _, name := range tracked(t) {
		if filepath.Ext(name) == ".md" {
			seen += leads(t, name)
		}
	}
	if seen < 1500 {
		t.Errorf("only %d links", seen)
	}
}

// leads follows the links of a page, and says how many there are.
func leads(t *testing.T, page string) int {
	t.Helper()
	links := link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1)
	for _, m := range links {
		file, at, _ := strings.Cut(m[1], "#")
		if strings.Contains(file, ":") {
			continue // elsewhere
		}
		name := page
		if file != "" {
			name = filepath.Join(filepath.Dir(page), file)
		}
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		if at != "" && !slices.Contains(parts(read(t, name)), at) {
			t.Errorf("%s: %s has no heading #%s", page, name, at)
		}
	}
	return len(links)
}

// TestThreatsHaveHolders: what is said to be held, and what is not, says where.
func TestThreatsHaveHolders(t *testing.T) {
	_, held, ok := strings.Cut(read(t, "docs/threat-model.md"), "## What is held\n")
	if !ok {
		t.Fatal("the page does not say what is held")
	}
	rows := 0
	for line := range strings.Lines(held) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| attack |") || line == "| what | what helps |\n" {
			continue
		}
		if rows++; !link.MatchString(line) {
			t.Errorf("nothing is said to hold: %s", line)
		}
	}
	if rows < 60 {
		t.Errorf("only %d rows", rows)
	}
}

// TestLogLines: the lines of the log that the page explains are in the program.
func TestLogLines(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "docs/troubleshooting.md"), "<!-- log lines -->\n")
	table, _, ok := strings.Cut(table, "<!-- end -->")
	if !ok {
		t.Fatal("the page has no lines of the log")
	}
	var program strings.Builder
	err := filepath.WalkDir(filepath.Join(root, "cmd/hookbastion/serve"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		program.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for row := range strings.Lines(table) {
		line, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range code.FindAllStringSubmatch(line, -1) {
			part := m[1]
			if !strings.HasPrefix(part, " ") { // else it is the end of one
				part = `"` + part
			}
			if seen++; !strings.Contains(program.String(), part) {
				t.Errorf("the program logs no %q", m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d lines", seen)
	}
}

// TestMetricsExist: the metrics that the pages name are those of the page that is made
// from the code.
func TestMetricsExist(t *testing.T) {
	known, seen := read(t, "docs/telemetry.md"), 0
	for _, page := range tables {
		for _, name := range regexp.MustCompile(`\bhookbastion_[a-z_]+`).FindAllString(read(t, page), -1) {
			if seen++; !strings.Contains(known, "`"+name+"`") {
				t.Errorf("%s: there is no %s", page, name)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d metrics", seen)
	}
}
