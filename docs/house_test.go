// Package docs_test holds what pages and files of the repository say about it.
package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestImages: the image from a program built outside runs as the one that is built
// inside, and has the same files.
func TestImages(t *testing.T) {
	last := func(name string) []string {
		_, text, ok := strings.Cut(read(t, name), "FROM scratch\n")
		if !ok {
			t.Fatalf("%s does not begin with nothing", name)
		}
		var lines []string
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			switch fields[0] {
			case "ARG":
				continue // where the programs lie
			case "COPY":
				fields = []string{"COPY to", fields[len(fields)-1]}
			}
			lines = append(lines, strings.Join(fields, " "))
		}
		return lines
	}
	if inside, outside := last("Dockerfile"), last("Dockerfile.binary"); !slices.Equal(inside, outside) {
		t.Errorf("Dockerfile:\n%s\nDockerfile.binary:\n%s", strings.Join(inside, "\n"), strings.Join(outside, "\n"))
	}
	if strings.Count(read(t, "Dockerfile.binary"), "FROM ") != 1 {
		t.Error("Dockerfile.binary needs another image")
	}
}

// TestPlain: Envoy's configuration without TLS differs from the other in nothing else, but
// for what stands in for an application.
func TestPlain(t *testing.T) {
	parse := func(name string) map[string]any {
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(read(t, "examples/quickstart/"+name)), &tree); err != nil {
			t.Fatal(err)
		}
		return tree
	}
	whole, plain := parse("envoy.yaml"), parse("plain.yaml")
	resources := plain["static_resources"].(map[string]any)
	resources["listeners"] = resources["listeners"].([]any)[:1]
	listener := whole["static_resources"].(map[string]any)["listeners"].([]any)[0].(map[string]any)
	chain := listener["filter_chains"].([]any)[0].(map[string]any)
	if chain["transport_socket"] == nil {
		t.Error("envoy.yaml has no TLS")
	}
	delete(chain, "transport_socket")
	if !reflect.DeepEqual(whole, plain) {
		t.Error("plain.yaml is not envoy.yaml without TLS")
	}
}

var named = regexp.MustCompile("`((?:\\.ci|\\.golangci|authz|cmd|docs|envoy|policy|proto)[a-zA-Z0-9_./-]*)`")

// TestNamedPaths: the files that CONTRIBUTING.md and RELEASE.md send people to are there.
func TestNamedPaths(t *testing.T) {
	seen := 0
	for _, page := range []string{"CONTRIBUTING.md", "RELEASE.md"} {
		text := read(t, page)
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			seen++
			path := m[1]
			if i := strings.Index(path, "NAME"); i >= 0 { // yet to be made
				path = filepath.Dir(path[:i] + "x")
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, m := range regexp.MustCompile("(?m)(?:^ *|`)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(read(t, "Makefile")) {
				t.Errorf("%s: there is no make %s", page, m[1])
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d paths are seen", seen)
	}
}

var target = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)

// TestHelp: each target of the Makefile says what it is for.
func TestHelp(t *testing.T) {
	command := exec.Command("make", "-s", "help")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	targets := target.FindAllStringSubmatch(read(t, "Makefile"), -1)
	for _, m := range targets {
		if !regexp.MustCompile(`(?m)^` + m[1] + ` +\S`).Match(out) {
			t.Errorf("make help does not say what %s is for", m[1])
		}
	}
	if len(targets) < 10 {
		t.Errorf("only %d targets are seen", len(targets))
	}
}

// TestForms: what GitHub reads is YAML with what it asks for.
func TestForms(t *testing.T) {
	forms, err := filepath.Glob(filepath.Join(root, ".github/ISSUE_TEMPLATE/*.yml"))
	if err != nil || len(forms) < 3 {
		t.Fatalf("%d forms, error %v", len(forms), err)
	}
	for _, name := range forms {
		var form struct {
			Name, Description string
			Body              []struct {
				Type, ID   string
				Attributes map[string]any
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, strings.TrimPrefix(name, root))), &form); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if filepath.Base(name) == "config.yml" {
			continue
		}
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s has no name, description or body", name)
		}
		for _, b := range form.Body {
			if b.Type != "markdown" && (b.ID == "" || b.Attributes["label"] == nil) {
				t.Errorf("%s: a field has no id or label", name)
			}
		}
	}
}

// TestUpdates: each directory whose dependencies are kept up to date is there.
func TestUpdates(t *testing.T) {
	var config struct {
		Version int
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &config); err != nil {
		t.Fatal(err)
	}
	manifest := map[string]string{
		"gomod": "go.mod", "docker": "Dockerfile", "docker-compose": "compose.yaml", "pip": "requirements.txt", "npm": "package-lock.json",
	}
	for _, u := range config.Updates {
		for _, dir := range append(u.Directories, u.Directory) {
			if dir == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, dir, manifest[u.Ecosystem])); err != nil {
				t.Error(err)
			}
		}
	}
	if len(config.Updates) < 4 {
		t.Errorf("only %d kinds are kept up to date", len(config.Updates))
	}
}

// TestRelease: a release builds the program as make build does.
func TestRelease(t *testing.T) {
	makefile, release := read(t, "Makefile"), read(t, ".goreleaser.yaml")
	_, flags, ok := strings.Cut(makefile, "\nBUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags \"")
	flags, _, ended := strings.Cut(flags, "$(VERSION)\"\n")
	if !ok || !ended {
		t.Fatal("the Makefile's BUILD is not as it was")
	}
	for _, line := range []string{"env: [CGO_ENABLED=0]", "flags: [-trimpath]", "- " + flags + "v{{ .Version }}", "dockerfile: Dockerfile.binary"} {
		if !strings.Contains(release, line+"\n") {
			t.Errorf(".goreleaser.yaml lacks %s", line)
		}
	}
}

// TestDependencies: each module that go.mod asks for has a reason.
func TestDependencies(t *testing.T) {
	_, required, _ := strings.Cut(read(t, "go.mod"), "require (\n")
	required, _, _ = strings.Cut(required, "\n)")
	var modules []string
	for line := range strings.Lines(required) {
		modules = append(modules, strings.Fields(line)[0])
	}
	if len(modules) < 20 {
		t.Fatalf("%d modules in go.mod", len(modules))
	}
	reasons := map[string]bool{}
	for line := range strings.Lines(read(t, "docs/dependencies.md")) {
		if name, reason, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` | "); ok && name != line {
			reasons[name] = len(strings.TrimSpace(strings.Trim(strings.TrimSpace(reason), "|"))) > 10
		}
	}
	for _, name := range modules {
		if !reasons[name] {
			t.Errorf("docs/dependencies.md does not say why %s is there", name)
		}
		delete(reasons, name)
	}
	for name := range reasons {
		t.Errorf("docs/dependencies.md has %s, which go.mod does not ask for", name)
	}
}
