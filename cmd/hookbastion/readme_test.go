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
func writeConfig(t *testing.T, c envoytest.Config, file string) {
	t.Helper()
	text, err := yaml.Marshal(map[string]any(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReadme does what a reader does, as it is printed: the same commands with the same
// ports, in an environment that has nothing of ours. So that these ports are free, it
// runs once more in a network of its own, where the system gives it one; where it does
// not, they must be free on this machine.
func TestReadme(t *testing.T) {
	if os.Getenv(alone) == "" && inOwnNetwork(t) {
		return
	}
	for _, port := range []string{"9001", "9002", "10000", "9901", "8080"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("%v; the README's commands need the port, and this system gives a test no network of its own", err)
		}
		_ = l.Close()
	}
	r := newReader(t)
	done := map[string]int{}
	for _, s := range readmeSnippets(t) {
		name, argument, _ := strings.Cut(s.how, ": ")
		done[name]++
		switch name {
		case "run":
			r.run(t, argument, s.text)
		case "file":
			if err := sample.WriteFile(filepath.Join(r.dir, argument), []byte(s.text)); err != nil {
				t.Fatal(err)
			}
		case "start":
			r.start(t, s.text)
		case "", "envoy", "demo output":
		default:
			t.Errorf("no test knows what to do with a block marked %q", s.how)
		}
	}
	if done["run"] < 7 || done["start"] != 2 || done["file"] != 1 {
		t.Errorf("%v blocks were done", done)
	}
}

// reader is somebody who follows the README in a clone.
type reader struct {
	dir         string
	environment []string
	secrets     string   // where they are in dir
	edge        *process // the Envoy that runs
	application *sample.Application
}

func newReader(t *testing.T) *reader {
	t.Helper()
	dir := t.TempDir()
	r := &reader{dir: dir, secrets: "secrets", environment: []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}}
	if _, err := exec.LookPath("curl"); err != nil {
		standIn := t.TempDir() // for machines without one
		writeWrapper(t, filepath.Join(standIn, "curl"), asCurl)
		r.environment[1] += string(os.PathListSeparator) + standIn
	}
	// What make build and make demo leave behind, and a clone has.
	envoy, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin", ".cache/envoy-" + envoytest.Version} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(envoy, filepath.Join(dir, ".cache/envoy-"+envoytest.Version, "envoy")); err != nil {
		t.Fatal(err)
	}
	writeWrapper(t, filepath.Join(dir, "bin/hookbastion"), asCommand)
	plain, err := os.ReadFile(repository + "/examples/quickstart/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := sample.WriteFile(filepath.Join(dir, "examples/quickstart/plain.yaml"), plain); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watchSecrets(t, filepath.Join(dir, r.secrets)) })
	return r
}

// run runs commands as they are printed, and looks at what came of deliveries.
func (r *reader) run(t *testing.T, what, text string) {
	t.Helper()
	if what == "own" {
		r.startOwn(t)
	}
	cmd := exec.Command("sh", "-e", "-c", text)
	cmd.Dir, cmd.Env = r.dir, r.environment
	out, err := cmd.CombinedOutput()
	t.Logf("%s\n%s", text, out)
	envoytest.Watched.Saw("the README's commands", out)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	var want []string
	switch what {
	case "delivered":
		want = []string{"HTTP/1.1 200 OK\n", "x-was-verified: signature\n", "\ntaken\n"}
	case "copied":
		want = []string{"HTTP/1.1 200 OK\r\n", "x-was-verified: signature\r\n", "HTTP/1.1 409 Conflict\r\n"}
	case "sent":
		want = []string{"HTTP/1.1 200 OK\r\n", "application-saw-verified: signature\r\n", "HTTP/1.1 409 Conflict\r\n"}
	case "passes":
		want = []string{"HTTP/1.1 200 OK\r\n", "x-was-verified: signature\r\n"}
	case "retired":
		want = []string{"HTTP/1.1 200 OK\n"}
	case "refused":
		want = []string{"HTTP/1.1 401 Unauthorized\r\n"}
	case "own":
		want = []string{"HTTP/2.0 200 OK\n"}
		if got := r.application.Take(); len(got) != 1 || got[0].Header.Get("x-hookbastion-verified") != "signature" {
			t.Errorf("the application got %d requests, or not as verified", len(got))
		}
	}
	for _, want := range want {
		if _, after, found := bytes.Cut(out, []byte(want)); found {
			out = after // in this order
		} else {
			t.Errorf("no %q, or not where it belongs", want)
		}
	}
}

// start starts the service or Envoy in the background, and waits until it serves.
func (r *reader) start(t *testing.T, text string) {
	t.Helper()
	ready := "msg=serving"
	envoy := strings.Contains(text, "/envoy ")
	if envoy {
		ready = "starting workers"
	}
	p := &process{stdout: newLines(), stderr: newLines(), ended: make(chan error, 1)}
	p.cmd = exec.Command("sh", "-c", "exec "+text)
	p.cmd.Dir, p.cmd.Env = r.dir, r.environment
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		for _, out := range []*lines{p.stdout, p.stderr} {
			envoytest.Watched.Saw("output of "+text, []byte(out.String()))
		}
	})
	p.stderr.await(t, ready)
	if envoy {
		r.edge = p
	}
}

// startOwn starts an Envoy that the reader had, with the pieces of the README, in place
// of the one before.
func (r *reader) startOwn(t *testing.T) {
	t.Helper()
	terminate(t, r.edge)
	text, err := os.ReadFile(repository + "/examples/quickstart/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any // with its ports, unlike ParseConfig
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	config := envoytest.Config(tree)
	if r.application, err = sample.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.application.Stop() })
	cert, key, _, err := envoytest.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	own(t, config, readmeSnippets(t))
	config.SetCertificate(cert, key)
	config.SetCluster("application", r.application.Address)
	writeConfig(t, config, filepath.Join(r.dir, "envoy.yaml"))
	r.start(t, ".cache/envoy-"+envoytest.Version+"/envoy -c envoy.yaml")
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
