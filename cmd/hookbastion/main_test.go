package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples"
)

// asCommand makes the test binary the program, for tests that need a process
// to kill.
const asCommand = "TEST_HOOKBASTION_COMMAND"

// alone says that a test runs once more, in a network of its own.
const alone = "TEST_HOOKBASTION_ALONE"

// asCurl makes the test binary a small curl.
const asCurl = "TEST_HOOKBASTION_CURL"

// raceOptions are those of the race detector. A process that has it sleeps for a second
// before it ends, in case that another goroutine still has something to report; there are
// hundreds of processes in these tests.
const raceOptions = "GORACE"

func TestMain(m *testing.M) {
	if _, set := os.LookupEnv(raceOptions); !set {
		_ = os.Setenv(raceOptions, "atexit_sleep_ms=0") // or they sleep
	}
	if os.Getenv(asCommand) != "" {
		os.Exit(run(os.Args[1:]))
	}
	if os.Getenv(asCurl) != "" {
		os.Exit(curl(os.Args[1:]))
	}
	if os.Getenv(alone) != "" {
		if err := raiseLoopback(); err != nil {
			fmt.Fprintln(os.Stderr, "the loopback interface:", err)
			os.Exit(1)
		}
	}
	// Under a script's name this is the program.
	if name := filepath.Base(os.Args[0]); strings.HasSuffix(name, ".test") {
		fetched.Need(envoytest.Available, inCache("prometheus/bin/promtool"), inCache("otelcol/otelcol"))
	}
	testscript.Main(watched{m}, map[string]func(){
		"hookbastion": func() { os.Exit(copied(func() int { return run(os.Args[1:]) })) },
	})
}

func TestScripts(t *testing.T) {
	commands := map[string]func(*testscript.TestScript, bool, []string){"listen": listen}
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: commands, Setup: func(env *testscript.Env) error {
		env.Setenv(outputs, os.Getenv(outputs))
		env.Setenv(raceOptions, os.Getenv(raceOptions))
		secret, err := os.ReadFile(filepath.Join(env.WorkDir, "secret"))
		if err == nil {
			envoytest.Watched.Secret("a script's secret", strings.TrimSpace(string(secret)))
		}
		return nil
	}})
}

// generous is how long a test waits for what must happen.
const generous = 30 * time.Second

// setupUntil is the flag that says until when an empty store is a new one.
const setupUntil = "--replay-setup-until"

// process is the program as a child process.
type process struct {
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines
	ended  chan error
}

// lines keeps what a process writes and wakes who waits for a text.
type lines struct {
	mu      sync.Mutex
	changed chan struct{}
	text    bytes.Buffer
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await returns the first match.
func (l *lines) await(t *testing.T, pattern string) []string {
	t.Helper()
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	expression := regexp.MustCompile(pattern)
	for {
		l.mu.Lock()
		match, changed := expression.FindStringSubmatch(l.text.String()), l.changed
		l.mu.Unlock()
		if match != nil {
			return match
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("no %q in:\n%s", pattern, l.String())
		}
	}
}

// start runs the command. What it serves was never served before, unless a
// test says when.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	if args[0] == "serve" && !slices.Contains(args, setupUntil) {
		args = append(slices.Clone(args), setupUntil, time.Now().Add(time.Hour).Format(time.RFC3339))
	}
	p := &process{stdout: newLines(), stderr: newLines(), ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		for _, out := range []*lines{p.stdout, p.stderr} {
			envoytest.Watched.Saw("output of "+args[0], []byte(out.String()))
		}
	})
	return p
}

// wait returns how the process ended.
func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(generous):
		t.Fatal("the process does not end")
		return nil
	}
}

// edge is a real Envoy with the quickstart's configuration in front of an
// application, and a service on a Unix socket, which keeps its address.
type edge struct {
	application *sample.Application
	client      *sample.Client
	envoy       *envoytest.Envoy
	certificate string
	roots       *x509.CertPool
}

func startEdge(t *testing.T, service net.Addr, edit func(envoytest.Config)) *edge {
	t.Helper()
	application, err := sample.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = application.Stop() })
	text, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key, roots, err := envoytest.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	config.SetCertificate(cert, key)
	config.SetCluster("application", application.Address)
	if edit != nil {
		edit(config)
	}
	config.SetCluster("hookbastion", service)
	e, err := envoytest.Start(context.Background(), config, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Stop()
		envoytest.Watched.Saw("Envoy's log", []byte(e.Log()))
	})
	client := sample.NewClient(e.Listeners["webhooks"], roots)
	client.HTTP.Transport = watchedTransport{client.HTTP.Transport}
	return &edge{application, client, e, cert, roots}
}

// socket returns a path short enough for a Unix socket.
func socket(t *testing.T) *net.UnixAddr {
	t.Helper()
	dir, err := os.MkdirTemp("", "hb") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
}

func terminate(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.stderr)
	}
}

func serveArgs(policies string, unix *net.UnixAddr) []string {
	return []string{"serve", "--policy", policies, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--grpc-unix-path", unix.Name, "--grpc-lame-duck", "0s", "--records-denials-per-second", "1000000"}
}

func noStackTrace(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Errorf("a stack trace:\n%s", text)
	}
}
