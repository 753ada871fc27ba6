package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

// printedBy runs a command line and returns what it prints.
func printedBy(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	code = int(cli.Finish(&errs, root.Execute()))
	if errs.Len() > 0 {
		t.Logf("%s: %s", strings.Join(args, " "), errs.String())
	}
	return out.String(), code
}

// shownCommand is a command line with what it says of the request, as on a lesson's page.
var shownCommand = regexp.MustCompile(`(?m)^(hookbastion explain --policy lesson/(bad|good) .*?)   # (.+)$`)

// TestLessons follows each page: the request of the lesson is let through by the one policy
// and refused by the other, or what the page says, and the first policy alone has the
// finding.
func TestLessons(t *testing.T) {
	pages, err := filepath.Glob(repository + "/docs/lessons/HB*.md")
	if err != nil || len(pages) < 60 {
		t.Fatalf("%d lessons, %v", len(pages), err)
	}
	for _, page := range pages {
		id := strings.TrimSuffix(filepath.Base(page), ".md")
		t.Run(id, func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			t.Chdir(dir)
			if !strings.Contains(string(text), "hookbastion lesson "+id+" --write lesson\n") {
				t.Fatal("the page does not say how to try it")
			}
			printed, code := printedBy(t, "lesson", id, "--write", "lesson")
			if code != 0 {
				t.Fatalf("exit %d: %s", code, printed)
			}
			shown := shownCommand.FindAllStringSubmatch(string(text), -1)
			if len(shown) != 2 || shown[0][2] != "bad" || shown[1][2] != "good" {
				t.Fatalf("the page shows %q", shown)
			}
			for _, m := range shown {
				if !strings.Contains(printed, m[1]+"\n") {
					t.Errorf("--write does not say %s, but %s", m[1], printed)
				}
				out, _ := printedBy(t, strings.Fields(m[1])[1:]...)
				if first, _, _ := strings.Cut(out, "\n"); first != m[3] && !strings.HasPrefix(first, m[3]+", status ") {
					t.Errorf("%s:\n%s\nwant %s", m[1], out, m[3])
				}
			}
			for policy, want := range map[string]bool{"bad": true, "good": false} {
				if found := findings(t, policy, string(text)); slices.Contains(found, id) != want {
					t.Errorf("%s: findings %q, want %s: %v", policy, found, id, want)
				}
			}
		})
	}
}

var nowFlag = regexp.MustCompile(`--now (\S+)`)

// findings are the ids of what validate finds in a policy of a lesson.
func findings(t *testing.T, policy, page string) []string {
	t.Helper()
	args := []string{"validate", "--output", "json", "lesson/" + policy}
	if m := nowFlag.FindStringSubmatch(page); m != nil {
		args = append(args, "--now", m[1])
	}
	if _, err := os.Stat("lesson/" + policy + "-settings.yaml"); err == nil {
		args = append(args[:len(args):len(args)], "--config", "lesson/"+policy+"-settings.yaml")
	}
	out, _ := printedBy(t, args...)
	var found struct {
		Errors   []json.RawMessage
		Findings []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Errors) > 0 {
		t.Fatalf("%s: %v", out, err)
	}
	var ids []string
	for _, f := range found.Findings {
		ids = append(ids, f.ID)
	}
	return ids
}
