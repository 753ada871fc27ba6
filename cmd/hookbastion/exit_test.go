package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	gobuild "go/build"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the table of docs/exit-codes.md")

const (
	exitPage = repository + "/docs/exit-codes.md"
	exitFrom = "<!-- exit codes -->\n"
	exitTo   = "<!-- end of exit codes -->\n"
)

// TestExitCodes holds the table of the page equal to the codes.
func TestExitCodes(t *testing.T) {
	var b strings.Builder
	b.WriteString("| code | means |\n| --- | --- |\n")
	for _, e := range cli.Exits() {
		fmt.Fprintf(&b, "| %d | %s |\n", int(e), e.Meaning())
	}
	text, err := os.ReadFile(exitPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), exitFrom)
	_, after, ok := strings.Cut(rest, exitTo)
	if !ok {
		t.Fatal("the page has no table")
	}
	want := before + exitFrom + b.String() + exitTo + after
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(exitPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("the page is not what the code says; run go test ./cmd/hookbastion -run TestExitCodes -update")
	}
}

// exits are command lines for each cell of the page's second table. Those that need a
// running service, a real Envoy or a gateway that fails have their own tests.
var exits = map[string]string{
	"validate 0":       "validate good",
	"validate 2":       "validate nowhere",
	"validate 3":       "validate --fail-on info good",
	"test 0":           "test good",
	"test 2":           "test bad",
	"test 3":           "test --policy bad good",
	"test 4":           "test --now 2026-11-24T10:00:00Z --policy good failing_test.yaml",
	"lesson 0":         "lesson HB012",
	"lesson 2":         "lesson HB999",
	"lesson 3":         "lesson --course --policy bad",
	"explain 0":        "explain --policy good --now 2026-11-24T10:00:01Z delivery.http",
	"explain 1":        "explain --policy good --now 2026-11-25T10:00:00Z delivery.http",
	"explain 2":        "explain --policy good missing.http",
	"explain 3":        "explain --policy bad delivery.http",
	"sign 0":           "sign --policy good --webhook stripe",
	"sign 1":           "sign --policy good --webhook stripe --url READY/denied --send",
	"sign 2":           "sign --policy good --webhook nobody",
	"sign 3":           "sign --policy bad --webhook stripe",
	"keys 0":           "keys --policy good",
	"keys 2":           "keys --policy nowhere",
	"keys 3":           "keys --policy bad",
	"keys accept 2":    "keys accept --policy good --webhook stripe",
	"keys accept 3":    "keys accept --policy bad --webhook stripe",
	"providers list 0": "providers list stripe",
	"providers list 2": "providers list paypol",
	"providers show 0": "providers show stripe",
	"providers show 2": "providers show paypol",
	"ranges list 0":    "ranges list",
	"ranges list 2":    "ranges list --admin http://127.0.0.1:1",
	"ranges show 0":    "ranges show github",
	"ranges show 2":    "ranges show githup",
	"ranges diff 0":    "ranges diff github ips.json",
	"ranges diff 2":    "ranges diff github nowhere.json",
	"ranges diff 3":    "ranges diff github envoy.yaml",
	"ranges accept 2":  "ranges accept github",
	"envoy audit 0":    "envoy audit filter.yaml",
	"envoy audit 2":    "envoy audit nowhere.yaml",
	"envoy audit 3":    "envoy audit envoy.yaml",
	"envoy config 0":   "envoy config --policy good",
	"envoy config 2":   "envoy config --policy good --for nginx",
	"envoy config 3":   "envoy config --policy good --check filter.yaml",
	"serve 2":          "serve --policy nowhere",
	"serve 3":          "serve --policy bad --http-listen 127.0.0.1:0",
	"config print 0":   "config print",
	"config print 2":   "config print --config nowhere.yaml",
	"config print 3":   "config print --config envoy.yaml",
	"capture 2":        "capture --admin http://127.0.0.1:1",
	"import 0":         "import --from ngrok --into imported traffic.yaml",
	"import 2":         "import --from ngrok nowhere.yaml",
	"import 3":         "import --from ngrok filter.yaml",
	"init 0":           "init --dir begun --provider github",
	"init 2":           "init --dir other --provider githup",
	"init 3":           "init --dir other --provider github --secret github=short",
	"monitor 0":        "monitor today.json",
	"monitor 2":        "monitor nowhere.json",
	"monitor 3":        "monitor delivery.http",
	"records 0":        "records today.json",
	"records 2":        "records nowhere.json",
	"records 3":        "records delivery.http",
	"redeliver 2":      "redeliver --admin http://127.0.0.1:1 --decision 4f",
	"healthcheck 0":    "healthcheck --url READY",
	"healthcheck 1":    "healthcheck --url http://127.0.0.1:1/readyz",
	"healthcheck 2":    "healthcheck --uri",
	"demo 2":           "demo --no-such-flag",
	"probe 2":          "probe --policy good --target http://127.0.0.1:1",
	"probe 3":          "probe --policy bad --target http://127.0.0.1:1",
	"probe 4":          "probe --policy good --target READY --webhook open",
	"probe 5":          "probe --policy good --target READY --rate 1000",
	"version 0":        "version",
	"version 2":        "version 2",
}

// elsewhere are the cells that other tests show: of this package, of the room before the dot,
// or the script behind the slash.
var elsewhere = map[string]string{
	"serve 0": "TestScaleDown", "capture 0": "TestCaptures", "redeliver 0": "TestRedeliverThroughEnvoy", "ranges accept 0": "TestRangesAreRefreshed",
	"keys accept 0": "TestScripts/handshake", "demo 0": "TestDemoAsRows", "demo 4": "demo.TestJudge", "demo 5": "demo.TestJudge", "probe 0": "probe.TestOurs",
}

// TestElsewhere: the tests that elsewhere names are there, and run.
func TestElsewhere(t *testing.T) {
	byRoom := map[string]map[string]bool{}
	for cell, name := range elsewhere {
		room := "."
		if before, after, ok := strings.Cut(name, "."); ok {
			room, name = before, after
		}
		if byRoom[room] == nil {
			byRoom[room] = testsIn(t, room)
		}
		name, script, isScript := strings.Cut(name, "/")
		if !byRoom[room][name] {
			t.Errorf("%s: %s has no %s", cell, room, name)
		}
		if !isScript {
			continue
		}
		command := cell[:strings.LastIndexByte(cell, ' ')]
		text, err := os.ReadFile(filepath.Join("testdata", "script", script+".txtar"))
		if err != nil || !regexp.MustCompile(`(?m)^hookbastion `+command+`\b`).Match(text) {
			t.Errorf("%s: the script %s does not run it: %v", cell, script, err)
		}
	}
}

// testsIn are the names of a room's tests, of those files that are built here.
func testsIn(t *testing.T, room string) map[string]bool {
	t.Helper()
	built, err := gobuild.ImportDir(room, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range slices.Concat(built.TestGoFiles, built.XTestGoFiles) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(room, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

func TestExitCodesOfCommands(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/exit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range archive.Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := filepath.Abs(exitPage)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/denied" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(ready.Close)
	root, delivery := newRoot(), bytes.Buffer{}
	root.SetOut(&delivery)
	root.SetArgs([]string{"sign", "--policy", "good", "--webhook", "stripe", "--now", "2026-11-24T10:00:00Z"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("delivery.http", delivery.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\|(.*)\\|$").FindAllStringSubmatch(string(text), -1) {
		for code, cell := range strings.Split(row[2], "|") {
			name := row[1] + " " + strconv.Itoa(code)
			line, shown := exits[name]
			_, other := elsewhere[name]
			switch {
			case strings.TrimSpace(cell) == "" && (shown || other):
				t.Errorf("%s is a case, and the page does not have it", name)
			case strings.TrimSpace(cell) == "":
			case !shown && !other:
				t.Errorf("%s is on the page, and no test shows it", name)
			case shown:
				cells++
				if got := run(strings.Fields(strings.ReplaceAll(line, "READY", ready.URL))); got != code {
					t.Errorf("%s: %s exits with %d", name, line, got)
				}
			}
		}
	}
	if cells != len(exits) {
		t.Errorf("%d of %d cases are on the page", cells, len(exits))
	}
}
