package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

// withSecrets copies the policies of an example, with their tests, into a directory and
// writes a new secret for each that they name.
func withSecrets(t *testing.T, policies, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(policies, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", policies, len(files), err)
	}
	if err := sample.WriteQuickstart(dir); err != nil { // which has a secret for each provider
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "policies")); err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := sample.WriteFile(filepath.Join(dir, "policies", filepath.Base(name)), text); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExamplesAreTested: the policies of each example have tests beside them, which hold, and
// which miss no webhook.
func TestExamplesAreTested(t *testing.T) {
	all, err := filepath.Glob(repository + "/examples/*/policies")
	deeper, deeperErr := filepath.Glob(repository + "/examples/*/*/policies")
	all = append(all, deeper...)
	if err != nil || deeperErr != nil || len(all) < 3 {
		t.Fatalf("%d examples, %v, %v", len(all), err, deeperErr)
	}
	for _, policies := range all {
		dir := t.TempDir()
		withSecrets(t, policies, dir)
		out, code := printedBy(t, "test", filepath.Join(dir, "policies"))
		if code != 0 {
			t.Errorf("%s: exit %d\n%s", policies, code, out)
		}
		m := regexp.MustCompile(`(?m)^(\d+) of (\d+) webhooks`).FindStringSubmatch(out)
		if m == nil || m[1] != m[2] {
			t.Errorf("%s: %s", policies, out)
		}
	}
}

// TestPolicyTestsPage follows the page: its file is a test that holds, and its commands do
// what it says.
func TestPolicyTestsPage(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/policy-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```yaml\n(.*?)```\n").FindStringSubmatch(string(text))
	commands := regexp.MustCompile("<!-- run -->\n```sh\nhookbastion (.*)\n```\n").FindAllStringSubmatch(string(text), -1)
	if m == nil || len(commands) != 2 {
		t.Fatalf("the page shows %d commands", len(commands))
	}
	policies, err := filepath.Abs(repository + "/examples/quickstart/policies")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	withSecrets(t, policies, dir)
	t.Chdir(dir)
	if err := os.Remove("policies/webhooks_test.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m[1], []byte(m[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"4 cases passed", "policies/stripe_test.yaml\n"} {
		if out, code := printedBy(t, strings.Fields(commands[i][1])...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d\n%s", commands[i][1], code, out)
		}
	}
	if out, code := printedBy(t, "test", "policies"); code != 0 || !strings.Contains(out, "5 of 5 webhooks") {
		t.Errorf("the first files: exit %d\n%s", code, out)
	}
}
