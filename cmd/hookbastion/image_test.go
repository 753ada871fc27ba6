package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// instruction is one of a Dockerfile, with the lines that continue it.
type instruction struct{ name, rest string }

func readDockerfile(t *testing.T) []instruction {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var all []instruction
	whole := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if before, ok := strings.CutSuffix(line, `\`); ok {
			whole += before
			continue
		}
		name, rest, _ := strings.Cut(whole+line, " ")
		all, whole = append(all, instruction{name, strings.TrimSpace(rest)}), ""
	}
	return all
}

var (
	pinned  = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?$`)
	numeric = regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`)
)

// TestDockerfile checks what can be checked without building it.
func TestDockerfile(t *testing.T) {
	var stages []string // by name
	built := map[string]bool{"/etc/ssl/certs/ca-certificates.crt": true}
	last := map[string]string{}
	for _, in := range readDockerfile(t) {
		switch in.name {
		case "FROM":
			fields := strings.Fields(in.rest)
			if base := fields[0]; base != "scratch" && !pinned.MatchString(base) {
				t.Errorf("base %s has no pinned tag", base)
			}
			if len(fields) == 3 {
				stages = append(stages, fields[2])
			}
			last = map[string]string{"FROM": fields[0]}
		case "COPY":
			checkCopy(t, in.rest, stages, built, last)
		case "RUN":
			if last["FROM"] == "scratch" {
				t.Errorf("RUN %s where there is no shell", in.rest)
			}
			if _, out, ok := strings.Cut(in.rest, " -o "); ok {
				built[strings.Fields(out)[0]] = true
				if !strings.HasPrefix(in.rest, "CGO_ENABLED=0 go build -trimpath ") || !strings.HasSuffix(in.rest, " ./cmd/hookbastion") {
					t.Errorf("not a static build: %s", in.rest)
				}
			}
		case "ADD":
			t.Error("ADD fetches and unpacks; use COPY")
		case "ARG", "EXPOSE", "WORKDIR":
		default:
			last[in.name] = in.rest
		}
	}
	if last["FROM"] != "scratch" || !numeric.MatchString(last["USER"]) {
		t.Errorf("the image is made from %s and runs as %q", last["FROM"], last["USER"])
	}
	checkCommands(t, last)
}

func checkCopy(t *testing.T, rest string, stages []string, built map[string]bool, last map[string]string) {
	t.Helper()
	fields := strings.Fields(rest)
	stage, fromStage := strings.CutPrefix(fields[0], "--from=")
	if fromStage {
		fields = fields[1:]
		if !slices.Contains(stages, stage) {
			t.Errorf("COPY %s: no such stage", rest)
		}
	}
	sources, target := fields[:len(fields)-1], fields[len(fields)-1]
	last["copied "+target] = "yes"
	for _, source := range sources {
		if fromStage {
			if !built[source] {
				t.Errorf("COPY %s: the stage does not make it", rest)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
			t.Errorf("COPY %s: %v", rest, err)
		}
	}
}

// checkCommands looks whether what the image runs is in it.
func checkCommands(t *testing.T, last map[string]string) {
	t.Helper()
	_, health, ok := strings.Cut(last["HEALTHCHECK"], "CMD ")
	if !ok {
		t.Fatal("no HEALTHCHECK")
	}
	for name, text := range map[string]string{"ENTRYPOINT": last["ENTRYPOINT"], "HEALTHCHECK": health, "CMD": last["CMD"]} {
		var args []string
		if err := json.Unmarshal([]byte(text), &args); err != nil || len(args) == 0 {
			t.Errorf("%s is %s, which needs a shell", name, text)
			continue
		}
		if name != "CMD" && last["copied "+args[0]] == "" {
			t.Errorf("%s: %s is not in the image", name, args[0])
		}
		if name != "ENTRYPOINT" {
			command, _, err := newRoot().Find(args[len(args)-1:])
			if err != nil || command.Name() != args[len(args)-1] {
				t.Errorf("%s: no command %s", name, args[len(args)-1])
			}
		}
	}
}

// TestBuildContext: what .dockerignore lets through and the Dockerfile copies
// is what the program is made of, and no secret.
func TestBuildContext(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored := string(text)
	for _, line := range []string{"*", "examples/*/secrets", "examples/*/tls", "**/testdata"} {
		if !slices.Contains(strings.Fields(ignored), line) {
			t.Errorf(".dockerignore lacks %s", line)
		}
	}
	var copied []string
	for _, in := range readDockerfile(t) {
		if in.name == "COPY" && !strings.HasPrefix(in.rest, "--from") {
			fields := strings.Fields(in.rest)
			copied = append(copied, fields[:len(fields)-1]...)
		}
	}
	for _, source := range copied {
		if !slices.Contains(strings.Fields(ignored), "!"+source) {
			t.Errorf(".dockerignore keeps %s from the build", source)
		}
	}
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		top, _, _ := strings.Cut(strings.TrimPrefix(name, "github.com/hookbastion/hookbastion/"), "/")
		if !slices.Contains(copied, top) {
			t.Errorf("the build needs %s, which the Dockerfile does not copy", name)
		}
	}
}
