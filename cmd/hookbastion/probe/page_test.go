package probe

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/probe"
)

var update = flag.Bool("update", false, "rewrite the table of docs/probe.md")

const page = "../../../docs/probe.md"

// TestPage holds the page's table equal to the catalogue.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const from, to = "<!-- attacks -->\n", "<!-- end of attacks -->\n"
	before, rest, _ := strings.Cut(string(text), from)
	_, after, ok := strings.Cut(rest, to)
	if !ok {
		t.Fatal("the page has no table")
	}
	var b strings.Builder
	b.WriteString("| attack | what is sent | what follows if it passes |\n| --- | --- | --- |\n")
	for _, a := range probe.Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", a.ID, a.Sent, a.Harm)
	}
	want := before + from + b.String() + to + after
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("the table is not the catalogue; run go test ./cmd/hookbastion/probe -run TestPage -update")
	}
}

// TestExamples runs the commands of the help and of the page, at listeners of ours.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range regexp.MustCompile("(?s)<!-- probe: [a-z]+ -->\n```sh\n(.*?)```\n").FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(m[1]), "\n")...)
	}
	if len(lines) != 3 {
		t.Fatalf("the page has %d commands", len(lines))
	}
	lines = append(lines, strings.Split(New().Example, "\n")...)
	b := newBench(t)
	b.prepare()
	b.add("plain", b.service(hook(""), ""), false, false, nil)
	b.add("secure", b.service(hook(""), ""), true, false, nil)
	b.start()
	t.Chdir(filepath.Dir(filepath.Dir(b.write("user/policies/hooks.yaml", hook("")))))
	for _, line := range lines {
		line = strings.NewReplacer("http://localhost:10000", "http://"+b.envoy.Listeners["plain"], "https://hooks.example.com", "https://"+b.envoy.Listeners["secure"]+" --insecure", "--rate 5", "", "--target", "--rate 1000 --target").Replace(line)
		line, file, _ := strings.Cut(line, " > ")
		args := strings.Fields(line)
		if len(args) < 2 || args[0] != "hookbastion" || args[1] != "probe" {
			t.Fatalf("%q is no command of probe", line)
		}
		var out, errs bytes.Buffer
		cmd := New()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		cmd.SetArgs(args[2:])
		if exit := cli.Finish(&errs, cmd.ExecuteContext(t.Context())); exit != cli.Good {
			t.Errorf("%s: exit %d\n%s%s", line, exit, &out, &errs)
		}
		if want := map[bool]string{true: `<testcase classname="hook" name="no-proof">`, false: "no-proof"}[file != ""]; !strings.Contains(out.String(), want) {
			t.Errorf("%s:\n%s", line, &out)
		}
	}
}
