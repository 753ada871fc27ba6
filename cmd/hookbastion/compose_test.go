package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const quickstartDir = repository + "/examples/quickstart"

// composition is a compose file; a key that is not here is a mistake.
type composition struct {
	Name     string
	Services map[string]composedService
	Networks map[string]struct{ Internal bool }
	Secrets  map[string]struct{ File string }
}

type composedService struct {
	Image       string
	Build       struct{ Context string }
	Entrypoint  []string
	Command     []string
	User        string
	NetworkMode string   `yaml:"network_mode"`
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Ports       []string
	Networks    []string
	Tmpfs       []string
	Environment map[string]string
	Volumes     []struct {
		Type, Source, Target string
		ReadOnly             bool `yaml:"read_only"`
	}
	Secrets     []struct{ Source, Target string }
	Healthcheck struct {
		Test              []string
		Interval, Timeout string
		Retries           int
	}
	DependsOn []string `yaml:"depends_on"`
	Restart   string
}

func readCompose(t *testing.T) composition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(quickstartDir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var c composition
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeFile(t *testing.T) {
	c := readCompose(t)
	ignored, err := os.ReadFile(filepath.Join(repository, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		if s.Build.Context == "" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %s has no pinned tag", name, s.Image)
		}
		if s.Build.Context != "" {
			if _, err := os.Stat(filepath.Join(quickstartDir, s.Build.Context, "Dockerfile")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !numeric.MatchString(s.User) ||
			!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s may more than it needs", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network", name, port)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(filepath.Join(quickstartDir, v.Source)); err != nil || !v.ReadOnly || v.Type != "bind" {
				t.Errorf("%s: volume %+v: %v", name, v, err)
			}
		}
		for _, secret := range s.Secrets {
			if c.Secrets[secret.Source].File == "" || !filepath.IsAbs(secret.Target) {
				t.Errorf("%s: secret %+v", name, secret)
			}
		}
		for _, network := range s.Networks {
			if _, ok := c.Networks[network]; !ok {
				t.Errorf("%s: no network %s", name, network)
			}
		}
		peer, shares := strings.CutPrefix(s.NetworkMode, "service:")
		if _, ok := c.Services[peer]; shares && (!ok || len(s.Networks)+len(s.Ports) > 0) {
			t.Errorf("%s: network of %q", name, peer)
		}
	}
	for name, secret := range c.Secrets {
		dir := strings.Split(strings.TrimPrefix(secret.File, "./"), "/")[0]
		if !strings.Contains(string(ignored), "/examples/*/"+dir+"/\n") {
			t.Errorf("secret %s could be committed: %s", name, secret.File)
		}
	}
	if !c.Networks["application"].Internal || slices.Contains(c.Services["application"].Networks, "edge") {
		t.Error("the application can be reached past Envoy")
	}
	if pin := "envoyproxy/envoy:v" + envoytest.Version; c.Services["envoy"].Image != pin || c.Services["application"].Image != pin {
		t.Errorf("not the Envoy that the tests run, %s", pin)
	}
	var findings bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs([]string{"envoy", "audit", "--output", "json", filepath.Join(quickstartDir, "envoy-compose.yaml")})
	cmd.SetOut(&findings)
	if err := cmd.Execute(); err != nil || !strings.Contains(findings.String(), `"findings": []`) {
		t.Errorf("its Envoy: %s, error %v", findings.String(), err)
	}
}

// container is a root directory with what a service of the compose file has
// mounted.
func container(t *testing.T, root string, c composition, name string) {
	t.Helper()
	s := c.Services[name]
	for _, v := range s.Volumes {
		source := filepath.Join(quickstartDir, v.Source)
		info, err := os.Stat(source)
		if err == nil && info.IsDir() {
			err = os.CopyFS(filepath.Join(root, v.Target), os.DirFS(source))
		} else if err == nil {
			err = copyFile(filepath.Join(root, v.Target), source)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range s.Secrets {
		if err := copyFile(filepath.Join(root, secret.Target), filepath.Join(root, "host", c.Secrets[secret.Source].File)); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// setUp runs setup.sh in a copy of the directory, root/host, twice: the second
// run must change nothing.
func setUp(t *testing.T, root string) {
	t.Helper()
	host := filepath.Join(root, "host")
	if err := copyFile(filepath.Join(host, "setup.sh"), filepath.Join(quickstartDir, "setup.sh")); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("openssl"); err != nil { // then only the certificate comes from elsewhere
		if err := os.MkdirAll(filepath.Join(host, "tls"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := envoytest.Certificate(filepath.Join(host, "tls")); err != nil {
			t.Fatal(err)
		}
	}
	var before []byte
	for range 2 {
		if out, err := exec.Command("sh", filepath.Join(host, "setup.sh")).CombinedOutput(); err != nil {
			t.Fatalf("setup.sh: %v\n%s", err, out)
		}
		after, err := os.ReadFile(filepath.Join(host, "secrets", "github"))
		if err != nil || len(after) < 40 || before != nil && !bytes.Equal(before, after) {
			t.Fatalf("a secret of %d bytes, error %v, or it was made anew", len(after), err)
		}
		before = after
	}
}

// composedEnvoy starts Envoy with the configuration that a service has
// mounted, on free ports.
func composedEnvoy(t *testing.T, root string, edit func(envoytest.Config)) *envoytest.Envoy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "etc/envoy/envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(config)
	}
	e, err := envoytest.Start(context.Background(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// collector takes traces as Jaeger does, and says who sent the first.
func collector(t *testing.T) (net.Addr, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan string, 1)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		select {
		case called <- method:
		default:
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	go func() { _ = s.Serve(l) }() // ends with Stop
	t.Cleanup(s.Stop)
	return l.Addr(), called
}

// composedProgram runs the program as its container would: with the command
// and the variables of the compose file, from a directory that it cannot write
// to, and as the user of the image where the tests may choose one.
func composedProgram(t *testing.T, root string, s composedService) *process {
	t.Helper()
	program := filepath.Join(root, "hookbastion")
	if err := copyFile(program, os.Args[0]); err != nil {
		t.Fatal(err)
	}
	args := slices.Clone(s.Command)
	for i, arg := range args {
		if strings.HasPrefix(arg, "/") {
			args[i] = filepath.Join(root, arg)
		}
	}
	p := &process{stdout: newLines(), stderr: newLines(), ended: make(chan error, 1)}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir = filepath.Join(root, "etc/hookbastion")
	p.cmd.Env = []string{asCommand + "=1", "HOOKBASTION_GRPC_LISTEN=127.0.0.1:0", "HOOKBASTION_HTTP_LISTEN=127.0.0.1:0"}
	for name, value := range s.Environment {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if os.Getuid() == 0 {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	for _, dir := range []string{filepath.Dir(root), root} { // t.TempDir is private
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, mode := range map[string]os.FileMode{program: 0o755, p.cmd.Dir: 0o555} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(p.cmd.Dir, 0o755) }) // so that it can be removed
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// TestComposition runs what compose.yaml describes, without containers: names
// become loopback ports, mounts directories.
func TestComposition(t *testing.T) {
	c := readCompose(t)
	root, application := t.TempDir(), t.TempDir()
	setUp(t, root)
	container(t, root, c, "envoy")
	container(t, root, c, "hookbastion")
	container(t, application, c, "application")

	jaeger, exported := collector(t)
	service := c.Services["hookbastion"]
	service.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + jaeger.String()
	p := composedProgram(t, root, service)
	started := p.stderr.await(t, `grpc=(\S+) .*http=(\S+)`)
	grpcAddress, err := net.ResolveTCPAddr("tcp", started[1])
	if err != nil {
		t.Fatal(err)
	}
	upstream := composedEnvoy(t, application, nil)
	upstreamAddress, err := net.ResolveTCPAddr("tcp", upstream.Listeners["application"])
	if err != nil {
		t.Fatal(err)
	}
	edge := composedEnvoy(t, root, func(config envoytest.Config) {
		config.SetCertificate(filepath.Join(root, "etc/envoy/tls.crt"), filepath.Join(root, "etc/envoy/tls.key"))
		config.SetCluster("hookbastion", grpcAddress)
		config.SetCluster("application", upstreamAddress)
		config.SetCluster("jaeger", jaeger)
	})

	deliver(t, root, edge.Listeners["webhooks"])
	if method := <-exported; method != "/opentelemetry.proto.collector.trace.v1.TraceService/Export" {
		t.Errorf("Jaeger was asked for %s", method)
	}
	health(t, c.Services["envoy"], edge.Admin)
	if code := run([]string{"healthcheck", "--url", "http://" + started[2] + "/readyz"}); code != 0 {
		t.Errorf("healthcheck: exit %d", code)
	}
	terminate(t, p)
	if code := run([]string{"healthcheck", "--url", "http://" + started[2] + "/readyz"}); code == 0 {
		t.Error("healthcheck: a service that has ended is well")
	}
}

// deliver signs and sends as the README of the quickstart says, twice.
func deliver(t *testing.T, root, address string) {
	t.Helper()
	standInForCurl(t)
	cmd := exec.Command(os.Args[0], "sign", "--policy", filepath.Join(root, "etc/hookbastion/policies"),
		"--webhook", "github", "--host", strings.Replace(address, "127.0.0.1", "localhost", 1), "--format", "curl")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	script, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" 200", " 409"} {
		send := exec.Command("sh", "-c", string(script))
		send.Env = append(os.Environ(), "CURL_CA_BUNDLE="+filepath.Join(root, "host/tls/tls.crt"))
		out, err := send.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("wanted%s: %v\n%s", want, err, out)
		}
		if want == " 200" && !regexp.MustCompile(`(?i)application-saw-verified: signature`).Match(out) {
			t.Errorf("the application was not told:\n%s", out)
		}
	}
}

// health runs the container's health check against another port.
func health(t *testing.T, s composedService, admin string) {
	t.Helper()
	test := s.Healthcheck.Test
	_, port, _ := net.SplitHostPort(admin)
	good := strings.ReplaceAll(test[3], "/9901\n", "/"+port+"\n")
	if good == test[3] || test[0] != "CMD" || test[1] != "bash" {
		t.Fatalf("the health check is %q", test)
	}
	if out, err := exec.Command("bash", "-c", good).CombinedOutput(); err != nil {
		t.Errorf("health check: %v\n%s", err, out)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	unready := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "INITIALIZING", http.StatusServiceUnavailable)
	}), ReadHeaderTimeout: generous}
	go func() { _ = unready.Serve(other) }()
	defer func() { _ = unready.Close() }()
	bad := strings.ReplaceAll(test[3], "/9901\n", fmt.Sprintf("/%d\n", other.Addr().(*net.TCPAddr).Port))
	if out, err := exec.Command("bash", "-c", bad).CombinedOutput(); err == nil {
		t.Errorf("an Envoy that is not ready is well:\n%s", out)
	}
}
