package main

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// TestDocs: every page is in the index. That its links lead somewhere is tested in docs.
func TestDocs(t *testing.T) {
	index, err := os.ReadFile(repository + "/docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range indexed(t) {
		name, err := filepath.Rel(repository+"/docs", page)
		if err != nil {
			t.Fatal(err)
		}
		if name != "README.md" && !strings.Contains(string(index), "]("+filepath.ToSlash(name)+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// indexed are the pages that the index must have: all of docs/ itself, those of docs/providers
// that are of no single one, and each README below docs/ and examples/.
func indexed(t *testing.T) []string {
	t.Helper()
	entries, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, root := range []string{repository + "/docs", repository + "/examples"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			name, dir := filepath.Base(path), filepath.Base(filepath.Dir(path))
			own := dir == "docs" || dir == "providers" && !slices.Contains(entries, strings.TrimSuffix(name, ".md"))
			if err == nil && !entry.IsDir() && (name == "README.md" || own && filepath.Ext(name) == ".md") {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 45 {
		t.Fatalf("%d pages", len(all))
	}
	return all
}

// TestArchitectureNamesAllPackages holds the page's map complete.
func TestArchitectureNamesAllPackages(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, name := range strings.Fields(string(out)) {
		name = strings.TrimPrefix(name, "github.com/hookbastion/hookbastion/")
		packages = append(packages, name)
		if !strings.Contains(string(text), "\n| `"+name+"` | ") {
			t.Errorf("docs/architecture.md does not name %s", name)
		}
	}
	for _, m := range regexp.MustCompile("\n\\| `([^`]+)` \\| ").FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(packages, m[1]) {
			t.Errorf("docs/architecture.md names %s, which is not there", m[1])
		}
	}
}

// TestEnvoyPage: the filter that the page shows has no findings.
func TestEnvoyPage(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, m := range block.FindAllSubmatch(text, -1) {
		if string(m[2]) != "yaml" {
			continue
		}
		shown++
		if err := yaml.Unmarshal(m[3], new(any)); err != nil {
			t.Errorf("%v\n%s", err, m[3])
		}
		if !strings.HasPrefix(string(m[3]), "- name: envoy.filters.http.ext_authz") {
			continue
		}
		if findings := audit.Audit([]audit.File{{Name: "docs/envoy.md", Data: m[3]}}, audit.Options{}); len(findings) > 0 {
			t.Errorf("the filter: %v", findings)
		}
	}
	if shown < 3 {
		t.Errorf("the page shows %d pieces", shown)
	}
}

// TestReplayPage: the settings that the page shows are settings, and its key is
// a key.
func TestReplayPage(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, m := range block.FindAllSubmatch(text, -1) {
		switch {
		case string(m[2]) == "sh":
			dir := t.TempDir()
			cmd := exec.Command("sh", "-ec", string(m[3]))
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			value, err := secret.Ref{File: filepath.Join(dir, "replay-keys")}.Load()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := replay.ParseKeys(value.Reveal()); err != nil {
				t.Error(err)
			}
		case string(m[2]) == "yaml" && strings.HasPrefix(string(m[3]), "replay:"):
			shown++
			file := filepath.Join(t.TempDir(), "hookbastion.yaml")
			if err := os.WriteFile(file, m[3], 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := settings.Load(file, nil); err != nil {
				t.Errorf("%v\n%s", err, m[3])
			}
		}
	}
	if shown < 3 {
		t.Errorf("the page shows %d settings", shown)
	}
}

// The settings that docs/transport.md shows are good.
func TestTransportPageSettings(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/transport.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, m := range block.FindAllSubmatch(text, -1) {
		if string(m[2]) != "yaml" || !strings.HasPrefix(string(m[3]), "grpc:") && !strings.HasPrefix(string(m[3]), "admin:") {
			continue
		}
		shown++
		file := filepath.Join(t.TempDir(), "hookbastion.yaml")
		if err := os.WriteFile(file, m[3], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := settings.Load(file, nil)
		if err != nil || !settings.Mutual(s.TLS) && !settings.Mutual(s.Admin.TLS) {
			t.Errorf("%v\n%s", err, m[3])
		}
	}
	if shown != 3 {
		t.Errorf("the page shows %d settings", shown)
	}
}

// The commands of docs/console.md start a service with a console, and its settings are good.
func TestConsolePage(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := quickstart(t)
	t.Chdir(dir)
	done := map[string]bool{}
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		done[m[1]+m[2]] = true
		switch {
		case m[1] == "console: token":
			if out, err := exec.Command("sh", "-ec", m[3]).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		case m[1] == "console: serve":
			args := strings.Fields(strings.TrimPrefix(strings.Replace(m[3], "127.0.0.1:9003", "127.0.0.1:0", 1), "hookbastion "))
			p := start(t, append(args, "--grpc-unix-path", socket(t).String(), "--http-listen", "127.0.0.1:0")...)
			token, err := os.ReadFile("admin-token")
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequest(http.MethodGet, "http://"+p.stderr.await(t, ` admin=(\S+)`)[1]+"/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth("any", strings.TrimSpace(string(token)))
			response, err := http.DefaultClient.Do(r)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%v %v", response, err)
			}
			_ = response.Body.Close()
			terminate(t, p)
		case m[2] == "yaml":
			if err := os.WriteFile("hookbastion.yaml", []byte(m[3]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := settings.Load("hookbastion.yaml", nil); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("no test knows what to do with\n%s", m[3])
		}
	}
	if len(done) != 3 {
		t.Errorf("the page shows %v", done)
	}
}
