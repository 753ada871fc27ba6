package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// A block of the README is executed as the comment before it says: run (a
// shell), start (in the background), file: NAME, envoy: PLACE.
var block = regexp.MustCompile("(?s)(?:<!-- ([^\n]*) -->\n)?```(\\w*)\n(.*?)```\n")

type snippet struct{ how, language, text string }

func readmeSnippets(t *testing.T) []snippet {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	for _, m := range block.FindAllSubmatch(text, -1) {
		all = append(all, snippet{string(m[1]), string(m[2]), string(m[3])})
	}
	if len(all) < 10 {
		t.Fatalf("only %d snippets found", len(all))
	}
	return all
}

// own is a reader's own Envoy: the quickstart's, without anything of ours.
func own(t *testing.T, c envoytest.Config, snippets []snippet) {
	t.Helper()
	filters := c.Manager()["http_filters"].([]any)
	filters = filters[len(filters)-1:]
	clusters := c.At("static_resources", "clusters").([]any)[1:]
	for _, name := range []string{"use_remote_address", "xff_num_trusted_hops"} {
		delete(c.Manager(), name)
	}
	var logs []any
	parse := func(text string) (list []any) {
		if err := yaml.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, s := range snippets {
		switch s.how {
		case "envoy: http_filters":
			filters = append(parse(s.text), filters...)
		case "envoy: access_log":
			logs = append(logs, parse(s.text)...)
		case "envoy: manager":
			if err := yaml.Unmarshal([]byte(s.text), c.Manager()); err != nil {
				t.Fatal(err)
			}
		case "envoy: clusters":
			clusters = append(parse(s.text), clusters...)
		}
	}
	c.Manager()["http_filters"] = filters
	c.Manager()["access_log"] = logs
	c.Map("static_resources")["clusters"] = clusters
}

// writeConfig writes the reader's envoy.yaml.
func writeConfig(t *testing.T, c envoytest.Config) {
	t.Helper()
	text, err := yaml.Marshal(map[string]any(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("envoy.yaml", text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadme(t *testing.T) {
	snippets := readmeSnippets(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "bin", "hookbastion")
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	writeWrapper(t, program, asCommand)
	// The tests use no fixed ports, so these two differ from the text.
	t.Setenv("HOOKBASTION_GRPC_LISTEN", "127.0.0.1:0")
	t.Setenv("HOOKBASTION_HTTP_LISTEN", "127.0.0.1:0")
	bin, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ENVOY_BIN", bin)
	plain, err := os.ReadFile(repository + "/examples/quickstart/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := sample.WriteFile(filepath.Join(dir, "examples/quickstart/plain.yaml"), plain); err != nil {
		t.Fatal(err)
	}
	standInForCurl(t)
	t.Chdir(dir)
	t.Cleanup(func() { watchSecrets(t, filepath.Join(dir, "secrets")) })

	var e *edge
	var service *net.TCPAddr
	ran := 0
	for _, s := range snippets {
		name, argument, _ := strings.Cut(s.how, ": ")
		switch name {
		case "run":
			if argument == "own" {
				checkDelivered(t, e)
				e = startEdge(t, service, func(c envoytest.Config) {
					own(t, c, snippets)
					writeConfig(t, c)
				})
			}
			if e != nil {
				s.text = strings.ReplaceAll(s.text, "localhost:10000", strings.Replace(e.client.Address, "127.0.0.1", "localhost", 1))
			}
			t.Log(s.text)
			shell(t, s.text)
			ran++
		case "file":
			if err := sample.WriteFile(argument, []byte(s.text)); err != nil {
				t.Fatal(err)
			}
		case "start":
			if argument == "envoy" {
				e = startPlain(t, service, s.text)
				continue
			}
			fields := strings.Fields(s.text)
			p := start(t, fields[1:]...)
			address := p.stderr.await(t, `grpc=(\S+)`)[1]
			if service, err = net.ResolveTCPAddr("tcp", address); err != nil {
				t.Fatal(err)
			}
		case "", "envoy", "demo output":
		default:
			t.Errorf("no test knows what to do with a block marked %q", s.how)
		}
	}
	if ran < 4 {
		t.Errorf("only %d blocks were run", ran)
	}
	checkDelivered(t, e)
}

// checkDelivered: what delivery.sh sent has come, verified, and its copy is refused.
func checkDelivered(t *testing.T, e *edge) {
	t.Helper()
	if got := e.application.Take(); len(got) != 1 || got[0].Header.Get("x-hookbastion-verified") != "signature" {
		t.Errorf("the application got %d requests, or not as verified", len(got))
	}
	out, err := exec.Command("sh", "delivery.sh").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(" 409")) {
		t.Errorf("the copy: %v\n%s", err, out)
	}
}

// startPlain starts the Envoy that the README names with the reader's envoy.yaml: on
// other ports, and with an application that the test can ask in place of the file's own.
func startPlain(t *testing.T, service net.Addr, command string) *edge {
	t.Helper()
	if want := ".cache/envoy-" + envoytest.Version + "/envoy -c envoy.yaml\n"; command != want {
		t.Errorf("the README starts %q, and %q is what is fetched", command, want)
	}
	text, err := os.ReadFile("envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	application, err := sample.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = application.Stop() })
	config.SetCluster("application", application.Address)
	config.SetCluster("hookbastion", service)
	e, err := envoytest.Start(context.Background(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	// What stands in for an application until there is one.
	answer, err := http.Post("http://"+e.Listeners["application"]+"/webhooks/github", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 || string(body) != "taken\n" {
		t.Errorf("the file's own application: %d %q %v", answer.StatusCode, body, err)
	}
	return &edge{application: application, client: sample.NewClient(e.Listeners["webhooks"], nil), envoy: e}
}

// writeWrapper writes a shell script that runs the test binary as another
// program.
func writeWrapper(t *testing.T, name, variable string) {
	t.Helper()
	script := "#!/bin/sh\n" + variable + "=1 exec " + os.Args[0] + ` "$@"` + "\n"
	if err := os.WriteFile(name, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// standInForCurl lets the tests run where there is no curl.
func standInForCurl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err == nil {
		return
	}
	dir := t.TempDir()
	writeWrapper(t, filepath.Join(dir, "curl"), asCurl)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func shell(t *testing.T, text string) {
	t.Helper()
	out, err := exec.Command("sh", "-e", "-c", text).CombinedOutput()
	envoytest.Watched.Saw("the README's commands", out)
	if err != nil {
		t.Fatalf("%s\n%v\n%s", text, err, out)
	}
	if strings.Contains(text, "sh delivery.sh") && !bytes.Contains(out, []byte(" 200")) {
		t.Errorf("the delivery was not accepted:\n%s", out)
	}
}

// checkReadmeShows compares the README's block with what the demo has printed,
// without times, ids and the machine's name.
func checkReadmeShows(t *testing.T, printed string) {
	t.Helper()
	snippets := readmeSnippets(t)
	i := slices.IndexFunc(snippets, func(s snippet) bool { return s.how == "demo output" })
	if i < 0 {
		t.Fatal("the README has no demo output")
	}
	if got, want := timeless(snippets[i].text), timeless(printed); got != want {
		t.Errorf("the README shows\n%s\nthe demo prints\n%s", got, want)
	}
}

func timeless(text string) string {
	text = regexp.MustCompile(` +[0-9.]+ [mµ]s\n`).ReplaceAllString(text, "\n")
	text = regexp.MustCompile(`"(time|[a-z]+_id|policy_digest|replica)":"[^"]+"`).ReplaceAllString(text, `"$1":"…"`)
	return regexp.MustCompile(`"(skew_ms|duration_us)":\d+`).ReplaceAllString(text, `"$1":0`)
}
