package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
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

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// podContainer is what a test runs of one in examples/kubernetes.
type podContainer struct {
	Command, Args []string
	Ports         []struct {
		Name   string
		Number int `yaml:"containerPort"`
	}
	Startup   *podProbe `yaml:"startupProbe"`
	Liveness  *podProbe `yaml:"livenessProbe"`
	Readiness *podProbe `yaml:"readinessProbe"`
	Lifecycle struct {
		PreStop podProbe `yaml:"preStop"`
	}
}

type podProbe struct {
	HTTP *struct{ Path, Port string } `yaml:"httpGet"`
	Exec *struct{ Command []string }
}

// podAddress is where probes ask: not where a listener is that is on 127.0.0.1 alone.
const podAddress = "127.0.0.2"

// node runs pods of examples/kubernetes as processes, their volumes below a directory.
type node struct {
	*upstream
	dir    string
	inPods *strings.Replacer
	redis  *redistest.Server
}

func startNode(t *testing.T) *node {
	t.Helper()
	n := &node{upstream: startUpstream(t), dir: t.TempDir(), redis: redistest.Start(t, redistest.Options{})}
	n.inPods = strings.NewReplacer("/etc/hookbastion", n.dir, "/var/cache/hookbastion", n.dir+"/cache", "/etc/envoy", n.dir+"/envoy",
		"redis://hookbastion-redis:6379", "unix://"+n.redis.Address,
		`{address: "application.webhooks.svc.cluster.local", port_value: 8080}`, socketAddress(n.Listener.Addr().String()),
		`{address: "hookbastion.webhooks.svc.cluster.local", port_value: 9001}`, socketAddress("127.0.0.1:9001"),
		"timeout: 1s\n                        initial", "timeout: 10s\n                        initial") // the race detector is slow
	if err := sample.WriteQuickstart(n.dir); err != nil {
		t.Fatal(err)
	}
	watchSecrets(t, filepath.Join(n.dir, "secrets"))
	n.copy(t, "base/policies/webhooks.yaml", "policies/webhooks.yaml")
	return n
}

func socketAddress(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return fmt.Sprintf("{address: %q, port_value: %s}", host, port)
}

// copy is what kustomize and kubelet do with a file.
func (n *node) copy(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "examples/kubernetes", from))
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, to, []byte(n.inPods.Replace(string(text))))
}

func (n *node) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := sample.WriteFile(filepath.Join(n.dir, name), text); err != nil {
		t.Fatal(err)
	}
}

// containers reads those of a Deployment: first those that begin before the others.
func (n *node) containers(t *testing.T, overlay string) []podContainer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "examples/kubernetes/overlays", overlay, "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Spec struct {
			Template struct {
				Spec struct {
					Init       []podContainer `yaml:"initContainers"`
					Containers []podContainer
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(n.inPods.Replace(string(text))), &d); err != nil {
		t.Fatal(err)
	}
	return append(d.Spec.Template.Spec.Init, d.Spec.Template.Spec.Containers...)
}

// service runs the service's container, until its probes say that it has started.
func (n *node) service(t *testing.T, c podContainer) *process {
	t.Helper()
	p := start(t, append(slices.Clone(c.Args), "--replay-redis-budget", "2s", "--replay-redis-setup-until", time.Now().Add(time.Hour).Format(time.RFC3339))...)
	p.stderr.await(t, "msg=serving")
	for _, probe := range []*podProbe{c.Startup, c.Liveness, c.Readiness} {
		if err := n.ask(t, c, probe); err != nil {
			t.Fatalf("%v\n%s", err, p.stderr)
		}
	}
	return p
}

// ask does what kubelet does with a probe, once.
func (n *node) ask(t *testing.T, c podContainer, p *podProbe) error {
	t.Helper()
	if p.Exec != nil {
		out, err := exec.CommandContext(t.Context(), p.Exec.Command[0], p.Exec.Command[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	for _, port := range c.Ports {
		if port.Name == p.HTTP.Port {
			if status, body := get(t, fmt.Sprintf("http://%s:%d%s", podAddress, port.Number, p.HTTP.Path)); status != http.StatusOK {
				return fmt.Errorf("%s: %d: %s", p.HTTP.Path, status, body)
			}
			return nil
		}
	}
	return errors.New("no port " + p.HTTP.Port)
}

// envoy runs Envoy with the arguments of the container, or others, until it is ready.
func (n *node) envoy(t *testing.T, args []string, ready func() error) *process {
	t.Helper()
	bin, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{stdout: newLines(), stderr: newLines(), ended: make(chan error, 1)}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		envoytest.Watched.Saw("Envoy's log", []byte(p.stderr.String()))
	})
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(generous); ; <-poll.C {
		err := ready()
		if err == nil {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("Envoy is not ready: %v\n%s", err, p.stderr)
		}
	}
}

// TestKubernetesPods runs the pods of both overlays as processes: their settings, policies,
// arguments, probes and hooks.
func TestKubernetesPods(t *testing.T) {
	if os.Getenv(alone) == "" {
		if !inOwnNetwork(t) {
			t.Fatal("pods have ports of their own, and this system gives a test no network of its own")
		}
		return
	}
	t.Run("sidecar", sidecarPod)
	t.Run("central", centralPod)
}

func sidecarPod(t *testing.T) {
	n := startNode(t)
	n.copy(t, "overlays/sidecar/hookbastion.yaml", "settings/hookbastion.yaml")
	n.copy(t, "overlays/sidecar/envoy.yaml", "envoy/envoy.yaml")
	certs := t.TempDir()
	cert, key, roots, err := envoytest.Certificate(certs)
	if err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"envoy/tls/tls.crt": cert, "envoy/tls/tls.key": key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		n.write(t, to, text)
	}
	all := n.containers(t, "sidecar")
	service := n.service(t, all[0])
	edge := all[1]
	if err := n.ask(t, edge, edge.Readiness); err == nil {
		t.Error("Envoy is ready before it runs")
	}
	envoy := n.envoy(t, edge.Args, func() error { return n.ask(t, edge, edge.Readiness) })
	if err := n.ask(t, edge, edge.Liveness); err != nil {
		t.Error(err)
	}
	n.deliveries(t, roots)

	// The hook: deliveries pass while it runs, and their senders are told to connect anew.
	hook := edge.Lifecycle.PreStop.Exec.Command
	script := regexp.MustCompile(`sleep \d+`).ReplaceAllString(hook[2], "sleep 3")
	if script == hook[2] {
		t.Fatalf("the hook does not wait: %s", script)
	}
	ended := make(chan error, 1)
	go func() { ended <- exec.Command(hook[0], hook[1], script).Run() }()
	err = n.loadUntil(t, roots, ended)
	if err != nil {
		t.Errorf("the hook: %v", err)
	}
	if _, stats := get(t, "http://127.0.0.1:9901/stats?filter=downstream_cx_drain_close"); !regexp.MustCompile(`drain_close: [1-9]`).MatchString(stats) {
		t.Errorf("Envoy does not drain: %s", stats)
	}
	if err := envoy.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := envoy.wait(t); err != nil {
		t.Errorf("Envoy: %v", err)
	}
	terminate(t, service)
}

func centralPod(t *testing.T) {
	n := startNode(t)
	n.copy(t, "overlays/central/hookbastion.yaml", "settings/hookbastion.yaml")
	text, err := os.ReadFile(filepath.Join(repository, "examples/kubernetes/components/certificates/certificates.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := envoytest.NewAuthority("of the cluster")
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"hookbastion-tls": "tls", "hookbastion-client": "envoy/hookbastion"} {
		names := regexp.MustCompile(`secretName: ` + name + `\n  dnsNames: \[(.*)\]`).FindSubmatch(text)
		if names == nil {
			t.Fatalf("there is no certificate %s", name)
		}
		cert, key, err := authority.Issue(envoytest.Issue{Name: name, DNS: []string{string(names[1])}})
		if err != nil {
			t.Fatal(err)
		}
		n.write(t, dir+"/tls.crt", cert)
		n.write(t, dir+"/tls.key", key)
		n.write(t, dir+"/ca.crt", authority.PEM)
	}
	service := n.service(t, n.containers(t, "central")[0])
	certs := t.TempDir()
	cert, key, roots, err := envoytest.Certificate(certs)
	if err != nil {
		t.Fatal(err)
	}
	// What step 6 of the README prints, with a listener of TLS.
	config := printed(t, "envoy", "config", "--policy", filepath.Join(n.dir, "policies"), "--config", filepath.Join(n.dir, "settings/hookbastion.yaml"),
		"--service", "hookbastion.webhooks.svc.cluster.local:9001", "--application", "application.webhooks.svc.cluster.local:8080", "--certificate", cert, "--key", key)
	n.write(t, "envoy/envoy.yaml", []byte(n.inPods.Replace(string(config))))
	n.envoy(t, []string{"-c", filepath.Join(n.dir, "envoy/envoy.yaml"), "--disable-hot-restart", "--log-level", "warning"}, func() error {
		response, err := http.Get("http://127.0.0.1:9901/ready")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, clusters := get(t, "http://127.0.0.1:9901/clusters")
		if response.StatusCode != http.StatusOK || !strings.Contains(clusters, "hookbastion::127.0.0.1:9001::health_flags::healthy") {
			return fmt.Errorf("%d %s", response.StatusCode, service.stderr)
		}
		return nil
	})
	n.deliveries(t, roots)
	terminate(t, service)
}

// deliveries pass once, and nothing unsigned does.
func (n *node) deliveries(t *testing.T, roots *x509.CertPool) {
	t.Helper()
	client := sample.NewClient("127.0.0.1:10000", roots)
	send := n.sender(t, client)
	for _, body := range []string{"{}", "!\xff\xfe", strings.Repeat("x", 5<<20)} {
		if first, again := send(body), send(body); first != 200 || again != 409 && again != 503 {
			t.Errorf("%d bytes: %d, and %d again", len(body), first, again)
		}
	}
	for path, want := range map[string]int{"/webhooks/github": 401, "/": 404, "//webhooks/github": 404} {
		if status, _, err := client.Send(t.Context(), forged("POST", path)); err != nil || status != want {
			t.Errorf("%s: %d, %v", path, status, err)
		}
	}
	for _, got := range n.take() {
		if got.Header.Get("x-hookbastion-verified") != "signature" {
			t.Errorf("%s arrived, verified %q", got.URL, got.Header.Get("x-hookbastion-verified"))
		}
	}
}

// sender sends a delivery of GitHub with the body, the same bytes each time.
func (n *node) sender(t *testing.T, client *sample.Client) func(body string) int {
	table, err := (&cli.Policies{Paths: []string{filepath.Join(n.dir, "policies")}}).Table()
	if err != nil {
		t.Fatal(err)
	}
	return func(body string) int {
		status, _, err := client.Send(context.Background(), signed(t, table, "github", "hooks.example.com", []byte(body)))
		if err != nil {
			t.Errorf("%d bytes: %v", len(body), err)
		}
		return status
	}
}

// loadUntil sends deliveries, which all pass, until something has ended.
func (n *node) loadUntil(t *testing.T, roots *x509.CertPool, ended <-chan error) (err error) {
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for worker := range 4 {
		send := n.sender(t, sample.NewClient("127.0.0.1:10000", roots))
		workers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if status := send(fmt.Sprintf("worker %d, %d", worker, i)); status != 200 {
					t.Errorf("while Envoy drains: %d", status)
					return
				}
			}
		})
	}
	select {
	case err = <-ended:
	case <-time.After(generous):
		err = errors.New("it does not end")
	}
	close(stop)
	workers.Wait()
	return err
}
