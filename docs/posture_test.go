package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/posture"
)

// TestPosture holds the tables of docs/posture.md equal to the code, and runs its commands.
func TestPosture(t *testing.T) {
	var grades, controls strings.Builder
	grades.WriteString("| grade | when |\n| --- | --- |\n")
	for _, r := range posture.Rules() {
		fmt.Fprintf(&grades, "| %s | %s |\n", r.Grade, r.Means)
	}
	controls.WriteString("| control | what it asks for | what this cannot see |\n| --- | --- | --- |\n")
	for _, c := range posture.Controls() {
		fmt.Fprintf(&controls, "| %s %s | %s | %s |\n", c.Standard, c.ID, c.Asks, c.Left)
	}
	made(t, "docs/posture.md", "<!-- grades -->\n", "<!-- end of grades -->\n", grades.String())
	made(t, "docs/posture.md", "<!-- controls -->\n", "<!-- end of controls -->\n", controls.String())

	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	const policies = "webhooks: [{name: app, match: {path: /app}, unverified: {reason: a page for everybody}}]\n"
	if err := os.WriteFile(filepath.Join(dir, "policies", "webhooks.yaml"), []byte(policies), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)<!-- posture: [a-z]+ -->\n```sh\n(.*?)```\n").FindAllStringSubmatch(read(t, "docs/posture.md"), -1)
	if len(commands) != 2 {
		t.Fatalf("the page has %d commands", len(commands))
	}
	for _, m := range commands {
		command := exec.Command("sh", "-ec", m[1])
		command.Dir = dir
		command.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "grade F") {
			t.Errorf("%s\n%v\n%s", m[1], err, out)
		}
	}
	for _, name := range []string{"posture.html", "posture.json", "new.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}
