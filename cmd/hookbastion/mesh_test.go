//go:build mesh

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const (
	meshHost = "hooks.example.com"
	meshPort = "28888"
	// meshPatience is how long a control plane may take to do what its resources say.
	meshPatience = 90 * time.Second
)

// mesh is a control plane with its Envoy, an application and the service.
type mesh struct {
	*upstream
	table    *authz.Table
	service  *process
	restart  func()
	resource string // the file with what envoy config prints
	text     string
	plane    *process
}

// TestEnvoyGateway runs a real Envoy Gateway in host mode with what is printed for it.
func TestEnvoyGateway(t *testing.T) {
	if os.Getenv(alone) == "" {
		if !inOwnNetwork(t) {
			t.Fatal("Envoy Gateway listens on all addresses: the test needs a network of its own, which this system does not give")
		}
		return
	}
	m := startEnvoyGateway(t)
	m.deliveries(t)
	m.forgeries(t)
	m.policyAway(t)
	m.serviceAway(t)
}

func startEnvoyGateway(t *testing.T) *mesh {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(repository, ".cache/envoy-gateway-1.9.1/envoy-gateway"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run `make test-mesh`, which builds it", err)
	}
	edge, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, table := quickstart(t)
	policies := filepath.Join(dir, "policies")
	m := &mesh{upstream: startUpstream(t), table: table, resource: filepath.Join(dir, "resources", "webhooks.yaml")}
	m.restart = func() {
		m.service = start(t, "serve", "--policy", policies, "--grpc-listen", "127.0.0.1:9001", "--http-listen", "127.0.0.1:0",
			"--envoy-max-request-bytes", "25MiB", "--grpc-lame-duck", "0s")
		m.service.stderr.await(t, "msg=serving")
	}
	m.restart()
	text := string(printed(t, "envoy", "config", "--for", "envoy-gateway", "--policy", policies, "--host", meshHost, "--listen", "0.0.0.0:"+meshPort,
		"--service", "127.0.0.1:9001", "--application", m.Listener.Addr().String()))
	// The Envoy that is there, in place of one that Envoy Gateway would fetch.
	m.text = strings.Replace(text, "host: {}", fmt.Sprintf("host: {envoyVersion: %q}", envoytest.Version), 1)
	if m.text == text {
		t.Fatal("there is no provider of the type Host")
	}
	m.text = strings.Replace(m.text, "    timeout: 1s\n", "    timeout: 10s\n", 1) // the machine may be busy
	m.write(t, m.text)
	versions := filepath.Join(dir, "data/envoy-versions", envoytest.Version, "bin")
	if err := os.MkdirAll(versions, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(edge, filepath.Join(versions, "envoy")); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "gateway.yaml")
	if err := sample.WriteFile(settings, []byte(strings.ReplaceAll(gatewaySettings, "DIR", dir))); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), bin, "certgen", "--local", "--config-home", dir+"/conf").CombinedOutput(); err != nil {
		t.Fatalf("certgen: %v\n%s", err, out)
	}
	m.plane = &process{stdout: newLines(), stderr: newLines(), ended: make(chan error, 1)}
	m.plane.cmd = exec.Command(bin, "server", "--config-path", settings)
	m.plane.cmd.Stdout, m.plane.cmd.Stderr = m.plane.stdout, m.plane.stderr
	if err := m.plane.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { m.plane.ended <- m.plane.cmd.Wait() }()
	t.Cleanup(func() {
		_ = m.plane.cmd.Process.Signal(os.Interrupt) // it stops its Envoy
		select {
		case <-m.plane.ended:
		case <-time.After(generous):
			_ = m.plane.cmd.Process.Kill()
		}
		if t.Failed() {
			t.Logf("Envoy Gateway:\n%s\n%s", tailOf(m.plane.stdout.String()), tailOf(m.plane.stderr.String()))
		}
	})
	m.await(t, 200, func() *authz.Request { return m.signed(t, "{}") })
	m.take()
	return m
}

func tailOf(text string) string { return text[max(0, len(text)-8000):] }

const gatewaySettings = `apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: ["DIR/resources"]}}
    infrastructure:
      type: Host
      host: {configHome: DIR/conf, dataHome: DIR/data, stateHome: DIR/state, runtimeDir: DIR/rt}
extensionApis: {enableBackend: true, enableEnvoyPatchPolicy: true}
`

// write replaces the resources at once.
func (m *mesh) write(t *testing.T, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(filepath.Dir(m.resource)), "next.yaml")
	if err := sample.WriteFile(next, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(m.resource), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, m.resource); err != nil {
		t.Fatal(err)
	}
}

func (m *mesh) signed(t *testing.T, body string) *authz.Request {
	t.Helper()
	return signed(t, m.table, "github", meshHost, []byte(body))
}

// send returns 0 where nobody answers.
func (*mesh) send(t *testing.T, req *authz.Request) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, string(req.Method), "http://127.0.0.1:"+meshPort, bytes.NewReader(bytes.Join(req.Body.Segments, nil)))
	if err != nil {
		t.Fatal(err)
	}
	out.Host, out.URL.Opaque = meshHost, string(req.Path)
	if strings.HasPrefix(out.URL.Opaque, "//") {
		out.URL.Opaque = "http://" + meshHost + string(req.Path)
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	response, err := http.DefaultClient.Do(out)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// await sends requests until one gets the status.
func (m *mesh) await(t *testing.T, want int, request func() *authz.Request) {
	t.Helper()
	timeout, poll := time.NewTimer(meshPatience), time.NewTicker(200*time.Millisecond)
	defer timeout.Stop()
	defer poll.Stop()
	for {
		got := m.send(t, request())
		if got == want {
			return
		}
		select {
		case <-poll.C:
		case <-timeout.C:
			t.Fatalf("status %d, and never %d", got, want)
		}
	}
}

// deliveries: what is signed passes once, whatever bytes it has.
func (m *mesh) deliveries(t *testing.T) {
	for _, body := range []string{"{}", "!", "\xff\xfe", "", strings.Repeat("x", 25<<20)} {
		req := m.signed(t, body+time.Now().String())
		if len(body) == 0 || len(body) == 25<<20 {
			req = m.signed(t, body)
		}
		if status := m.send(t, req); status != 200 {
			t.Errorf("%.10q: %d", body, status)
		}
		if got := m.take(); len(got) != 1 || got[0].Header.Get(envoy.HeaderVerified) != "signature" {
			t.Errorf("%.10q: %d arrived, or not as verified", body, len(got))
		}
		if len(body) < 10 {
			if status := m.send(t, req); status != 409 {
				t.Errorf("copy of %.10q: %d", body, status)
			}
		}
	}
	if status := m.send(t, m.signed(t, strings.Repeat("x", 25<<20+1))); status != 413 {
		t.Errorf("too long: %d", status)
	}
	again := m.signed(t, "fails first")
	m.failures.Store(1)
	if first, second := m.send(t, again), m.send(t, again); first != 500 || second != 200 {
		t.Errorf("%d and then %d, want 500 and 200", first, second)
	}
	m.take()
}

// attacks are unsigned, or signed otherwise, and none may arrive.
func (m *mesh) attacks(t *testing.T) map[string]*authz.Request {
	tampered := m.signed(t, "as it was signed")
	tampered.Body.Segments = [][]byte{[]byte("as it was Signed")}
	return map[string]*authz.Request{
		"tampered": tampered, "unsigned": forged("POST", "/webhooks/github"), "two slashes": forged("POST", "//webhooks/github"),
		"other case": forged("POST", "/Webhooks/github"), "other method": forged("PUT", "/webhooks/github"), "elsewhere": forged("POST", "/"),
		"slash": forged("POST", "/webhooks%2Fgithub"), "parameter": forged("POST", "/webhooks/github;v=1"),
	}
}

func (m *mesh) forgeries(t *testing.T) {
	for name, req := range m.attacks(t) {
		if status := m.send(t, req); !slices.Contains([]int{400, 401, 404, 405}, status) {
			t.Errorf("%s: %d", name, status)
		}
	}
	if got := m.take(); len(got) > 0 {
		t.Errorf("%d arrived", len(got))
	}
}

// policyAway: while there is no SecurityPolicy, and while it comes and goes, nothing passes
// that was not verified.
func (m *mesh) policyAway(t *testing.T) {
	without := regexp.MustCompile(`(?s)---\napiVersion: \S+\nkind: SecurityPolicy\n.*?\n(---\n)`).ReplaceAllString(m.text, "$1")
	if without == m.text {
		t.Fatal("there is no SecurityPolicy")
	}
	m.write(t, without)
	m.await(t, 403, func() *authz.Request { return forged("POST", "/webhooks/github") })
	for name, req := range m.attacks(t) {
		if status := m.send(t, req); status != 403 && status != 404 {
			t.Errorf("without a policy, %s: %d", name, status)
		}
	}
	m.write(t, m.text)
	m.await(t, 401, func() *authz.Request { return forged("POST", "/webhooks/github") })
	if got := m.take(); len(got) > 0 {
		t.Errorf("%d arrived", len(got))
	}
	m.await(t, 200, func() *authz.Request { return m.signed(t, time.Now().String()) })
	m.take()
}

func (m *mesh) serviceAway(t *testing.T) {
	terminate(t, m.service)
	for name, req := range m.attacks(t) {
		if status := m.send(t, req); status != 503 {
			t.Errorf("without a service, %s: %d", name, status)
		}
	}
	if status := m.send(t, m.signed(t, "nobody asks")); status != 503 {
		t.Errorf("without a service: %d", status)
	}
	if got := m.take(); len(got) > 0 {
		t.Errorf("without a service %d arrived", len(got))
	}
	m.restart()
	m.await(t, 200, func() *authz.Request { return m.signed(t, time.Now().String()) })
}
