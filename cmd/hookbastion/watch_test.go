package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// outputs names a directory into which commands of scripts copy what they write.
const outputs = "TEST_HOOKBASTION_OUTPUTS"

// watched runs the tests and then looks for every secret and MAC of the run in
// everything that the commands have written and answered.
type watched struct{ m *testing.M }

// Run runs the tests.
func (w watched) Run() int {
	dir, err := os.MkdirTemp("", "hookbastion-outputs-")
	if err == nil {
		err = os.Setenv(outputs, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := w.m.Run()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		envoytest.Watched.Saw("a script's command", text)
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	for _, leak := range envoytest.Watched.Leaks() {
		fmt.Fprintln(os.Stderr, "leaked:", leak)
		code = 1
	}
	return code
}

// copied runs a command and copies what it writes, if it is asked to.
func copied(command func() int) int {
	dir := os.Getenv(outputs)
	if dir == "" {
		return command()
	}
	out, err := os.CreateTemp(dir, "*")
	if err != nil {
		panic(err)
	}
	stdout, stopped := tee(os.Stdout, out)
	stderr, stopped2 := tee(os.Stderr, out)
	defer func(out, err *os.File) { os.Stdout, os.Stderr = out, err }(os.Stdout, os.Stderr)
	os.Stdout, os.Stderr = stdout, stderr
	code := command()
	_, _ = stdout.Close(), stderr.Close()
	<-stopped
	<-stopped2
	_ = out.Close()
	return code
}

// tee returns a file that is copied to two others until it is closed.
func tee(to ...io.Writer) (*os.File, chan struct{}) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = io.Copy(io.MultiWriter(to...), r)
	}()
	return w, stopped
}

// watchSecrets registers the files below a directory.
func watchSecrets(t testing.TB, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no secrets in %s: %v", dir, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if secret := string(bytes.TrimSpace(text)); secret != "" {
			envoytest.Watched.Secret("the secret "+filepath.Base(name), secret)
		}
	}
}

var mac = regexp.MustCompile(`[0-9A-Za-z+/_-]{32,}`)

// watchMACs registers what a signed request proves itself with. What `sign` and
// the demo's curl command print is none of these: they make their own.
func watchMACs(req *authz.Request) {
	for _, h := range req.Headers {
		for _, m := range mac.FindAllString(string(h.Value), -1) {
			envoytest.Watched.Literal("a "+string(h.Name), m)
		}
	}
}

// watchedTransport shows answers to the watch.
type watchedTransport struct{ http.RoundTripper }

// RoundTrip sends the request.
func (w watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	var text bytes.Buffer
	_ = response.Header.Write(&text)
	envoytest.Watched.Saw("answer", append(text.Bytes(), body...))
	return response, err
}

// A secret that a command writes is found: the watch is shown the outputs.
func TestTheWatchSeesOutputs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(outputs, dir)
	const canary = "canary-1f0e8d2b"
	p := start(t, "validate", canary)
	if p.wait(t) == nil {
		t.Error("there are such policies")
	}
	if code := copied(func() int { fmt.Fprint(os.Stderr, canary[:4]); fmt.Fprint(os.Stderr, canary[4:]); return 7 }); code != 7 {
		t.Errorf("exit code %d", code)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	watch := &envoytest.Watch{}
	watch.Secret("the canary", canary)
	watch.Saw("a script's command", text)
	watch.Saw("a process", []byte(p.stdout.String()+p.stderr.String()))
	if leaks := watch.Leaks(); !slices.Equal(leaks, []string{"the canary in a process", "the canary in a script's command"}) {
		t.Errorf("%q of %q", leaks, strings.TrimSpace(string(text)))
	}
}
