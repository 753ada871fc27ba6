package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

// shownElsewhere are examples that need more than the directory and the service of
// TestHelpExamples, with the test or script that does what they say.
var shownElsewhere = map[string]string{
	"hookbastion demo":        "TestDemoAsRows",
	"hookbastion demo --stay": "TestDemoStays",
	"hookbastion redeliver --admin http://127.0.0.1:9003 --decision 9c1185a5c5e9fc54612808977ee8f548": "TestRedeliverThroughEnvoy",
	"hookbastion ranges accept github --admin http://127.0.0.1:9003":                                  "TestRangesAreRefreshed",
	"hookbastion ranges diff github --admin http://127.0.0.1:9003":                                    "TestRangesAreRefreshed",
	"hookbastion keys accept --policy policies --webhook asana":                                       "testdata/script/handshake.txtar",
	"hookbastion capture --admin http://127.0.0.1:9003 --decision 2f6c1a --file denied.age":           "TestCaptures",
	"hookbastion envoy audit --admin http://127.0.0.1:9901":                                           "audit/TestAdmin",
}

// ownExamples are commands whose package runs what their help shows, and the test that does.
var ownExamples = map[string]string{"hookbastion probe": "probe/TestExamples"}

// TestHelpExamples: the help of each command has an example, and each example does what it
// says: here, or line by line in a script, or in a test that is named above.
func TestHelpExamples(t *testing.T) {
	scripts := scriptLines(t)
	used, seen := map[string]bool{}, 0
	var here []string
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !isCommand(cmd) {
			return
		}
		seen++
		if own := ownExamples[cmd.CommandPath()]; own != "" {
			used[cmd.CommandPath()] = true
			namedTest(t, own)
		}
		lines := 0
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			lines++
			switch {
			case !strings.HasPrefix(line, cmd.CommandPath()+" ") && line != cmd.CommandPath():
				t.Errorf("%s has the example %q", cmd.CommandPath(), line)
			case ownExamples[cmd.CommandPath()] != "", scripts[line]:
			case shownElsewhere[line] != "":
				used[line] = true
				namedTest(t, shownElsewhere[line])
			default:
				here = append(here, line)
			}
		}
		if lines == 0 {
			t.Errorf("the help of %s has no example", cmd.CommandPath())
		}
	}
	walk(newRoot())
	for _, names := range []map[string]string{shownElsewhere, ownExamples} {
		for line := range names {
			if !used[line] {
				t.Errorf("%q is no example of any help", line)
			}
		}
	}
	if seen < 20 || len(here) < 20 {
		t.Fatalf("%d commands, of which %d lines run here", seen, len(here))
	}
	runExamples(t, here)
}

// isCommand tells commands from groups, whose help says no more than what is below them, and
// from cobra's own.
func isCommand(cmd *cobra.Command) bool {
	group := cmd.HasSubCommands() && !cmd.HasAvailableLocalFlags()
	return cmd.HasParent() && !group && !strings.HasPrefix(cmd.CommandPath(), "hookbastion completion") && cmd.Name() != "help"
}

// scriptLines are the lines of all scripts that begin with the program's name.
func scriptLines(t *testing.T) map[string]bool {
	t.Helper()
	lines := map[string]bool{}
	names, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d scripts, %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "hookbastion ") {
				lines[line] = true
			}
		}
	}
	return lines
}

// namedTest looks for a script, or for a test in this room or one below it.
func namedTest(t *testing.T, name string) {
	t.Helper()
	if strings.HasSuffix(name, ".txtar") {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
		return
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte("func "+filepath.Base(name)+"(t *testing.T)")) {
			return
		}
	}
	t.Errorf("there is no test %s", name)
}

// runExamples runs command lines in a directory that has what they name, with a service that
// listens where they say.
func runExamples(t *testing.T, lines []string) {
	t.Helper()
	dir := exampleFiles(t)
	t.Chdir(dir)
	unix := socket(t)
	p := start(t, append(serveArgs("policies", unix), "--admin-listen", "127.0.0.1:0")...)
	admin := p.stderr.await(t, `admin=(\S+)`)[1]
	page := p.stderr.await(t, `http=(\S+)`)[1]
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	there := strings.NewReplacer("http://127.0.0.1:9003", "http://"+admin, "http://127.0.0.1:9002", "http://"+page, "http://localhost:10000", upstream.URL)
	for _, line := range lines {
		words := strings.Fields(there.Replace(strings.TrimPrefix(line, "hookbastion ")))
		into := ""
		if n := len(words); n > 2 && words[n-2] == ">" {
			words, into = words[:n-2], words[n-1]
		}
		if words[0] == "serve" {
			served := start(t, append(words, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")...)
			served.stderr.await(t, `msg=serving`)
			continue
		}
		out, code := printedBy(t, words...)
		silent := words[0] == "healthcheck" || strings.HasPrefix(line, "hookbastion records --verdict deny") // nothing was denied
		if code != 0 || out == "" != silent {
			t.Errorf("%s: exit %d\n%s", line, code, out)
		}
		if into != "" {
			if err := os.WriteFile(into, []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(line, "--output json") && !json.Valid([]byte(out)) {
			t.Errorf("%s prints no JSON:\n%s", line, out)
		}
	}
}

// exampleFiles is a directory with the quickstart, and the files that examples name.
func exampleFiles(t *testing.T) string {
	t.Helper()
	dir, _ := quickstart(t)
	files := map[string]string{
		"hookbastion.yaml": "policy: {directories: [policies]}\n",
		"records.json":     `{"time":"2026-11-24T06:00:01.000000Z","decision_id":"9c1185a5c5e9fc54612808977ee8f548","verdict":"allow","reason":"ok"}` + "\n",
		"meta.json":        `{"hooks": ["192.30.252.0/22", "185.199.108.0/22", "140.82.112.0/20", "143.55.64.0/20", "2a0a:a440::/29", "2606:50c0::/32"]}`,
	}
	plain, err := os.ReadFile(repository + "/examples/quickstart/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files["envoy.yaml"] = string(plain)
	policies := filepath.Join(dir, "policies")
	for name, args := range map[string][]string{
		"delivery.http": {"sign", "--policy", policies, "--webhook", "github", "--now", "2026-11-24T10:00:00Z"},
		"mesh.yaml":     {"envoy", "config", "--policy", policies, "--for", "istio", "--host", "hooks.example.com"},
	} {
		out, code := printedBy(t, args...)
		if code != 0 {
			t.Fatalf("%v: exit %d", args, code)
		}
		files[name] = out
	}
	for name, text := range files {
		if err := sample.WriteFile(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
