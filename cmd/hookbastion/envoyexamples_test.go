package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// meshes are the examples whose configurations are printed.
var meshes = []string{"envoy", "istio", "envoy-gateway", "contour"}

// copyExamples copies what the examples' commands read into a reader's clone.
func copyExamples(t *testing.T, dir string) {
	t.Helper()
	names := []string{"quickstart/application.yaml", "envoy/policies/webhooks.yaml", "envoy/hookbastion.yaml", "contour/hookbastion.yaml"}
	for _, mesh := range meshes {
		names = append(names, mesh+"/"+mesh+".yaml")
	}
	for _, name := range []string{"base/policies/webhooks.yaml", "overlays/central/hookbastion.yaml", "overlays/sidecar/hookbastion.yaml", "overlays/sidecar/envoy.yaml"} {
		names = append(names, "kubernetes/"+name)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(repository, "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := sample.WriteFile(filepath.Join(dir, "examples", name), data); err != nil {
			t.Fatal(err)
		}
	}
}

func exampleSnippets(t *testing.T, mesh string) (all []snippet) {
	t.Helper()
	return stepSnippets(t, filepath.Join("examples", mesh, "README.md"))
}

// stepSnippets are the blocks of a page with numbered steps.
func stepSnippets(t *testing.T, page string) (all []snippet) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^   `).ReplaceAll(text, nil) // of a numbered step
	for _, m := range block.FindAllSubmatch(text, -1) {
		all = append(all, snippet{string(m[1]), string(m[2]), string(m[3])})
	}
	return all
}

// TestGeneratedExamples: each example's configuration is what its README's command prints.
func TestGeneratedExamples(t *testing.T) {
	r := newReader(t)
	r.secrets = "examples/envoy/secrets"
	copyExamples(t, r.dir)
	for _, name := range []string{"envoy/secrets/github", "envoy/secrets/stripe", "kubernetes/base/secrets/github", "kubernetes/base/secrets/stripe"} {
		text := "whsec_c2VjcmV0LW9mLXRoZS10ZXN0LXdpdGgtcmFuZG9tLWJ5dGVz" + filepath.Base(name) + "\n"
		if err := sample.WriteFile(filepath.Join(r.dir, "examples", name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, mesh := range append(slices.Clone(meshes), "kubernetes") {
		done := false
		for _, s := range exampleSnippets(t, mesh) {
			file, ok := strings.CutPrefix(s.how, "generated: ")
			if !ok {
				continue
			}
			done = true
			cmd := exec.Command("sh", "-e", "-c", s.text)
			cmd.Dir, cmd.Env = r.dir, r.environment
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s\n%v\n%s", s.text, err, out)
			}
			name := filepath.Join("examples", mesh, file)
			got, err := os.ReadFile(filepath.Join(r.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(filepath.Join(repository, name), got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(filepath.Join(repository, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not what is printed; run go test ./cmd/hookbastion -run GeneratedExamples -update", name)
			}
		}
		if !done {
			t.Errorf("the README of %s prints nothing", mesh)
		}
	}
}

// TestEnvoyExample does what a reader of examples/envoy does, as TestReadme does for the
// README: in a network of its own, if the system gives it one.
func TestEnvoyExample(t *testing.T) {
	if os.Getenv(alone) == "" && inOwnNetwork(t) {
		return
	}
	for _, port := range []string{"9001", "9002", "10000", "9901", "9902", "8080"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("%v; the example's commands need the port, and this system gives a test no network of its own", err)
		}
		_ = l.Close()
	}
	r := newReader(t)
	r.secrets = "examples/envoy/secrets"
	copyExamples(t, r.dir)
	done := map[string]int{}
	for _, s := range exampleSnippets(t, "envoy") {
		name, what, _ := strings.Cut(s.how, ": ")
		done[name]++
		switch name {
		case "run":
			r.run(t, what, s.text)
		case "start":
			r.start(t, s.text)
		}
	}
	if done["run"] != 5 || done["start"] != 3 {
		t.Errorf("%v blocks were done", done)
	}
	envoytest.Watched.Saw("the reader's Envoy", []byte(r.edge.stderr.String()))
}
