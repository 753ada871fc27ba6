// Package envoytest runs a real Envoy, for the demo and for tests.
//
// The binary is the one that ENVOY_BIN names, or an envoy of the wanted minor
// version on PATH, or the one that `make envoy` has fetched. All listeners are
// bound to free ports of the loopback interface; nothing is fixed.
package envoytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// Version is the version of Envoy that the project is tested with.
const Version = "1.40.0"

// cached is where `make envoy` puts the binary, below the repository's root.
var cached = filepath.Join(".cache", "envoy-"+Version, "envoy")

// ErrNotFound says that there is no Envoy to run.
var ErrNotFound = errors.New("no Envoy " + Version + ": run `make envoy`, put one on PATH, or set ENVOY_BIN")

// Find returns the path of an Envoy binary.
func Find(ctx context.Context) (string, error) {
	if bin := os.Getenv("ENVOY_BIN"); bin != "" {
		return exec.LookPath(bin)
	}
	minor := Version[:strings.LastIndexByte(Version, '.')+1]
	if bin, err := exec.LookPath("envoy"); err == nil {
		out, err := exec.CommandContext(ctx, bin, "--version").Output() //nolint:gosec // found on PATH
		if err == nil && bytes.Contains(out, []byte("/"+minor)) {
			return bin, nil
		}
	}
	dir, err := os.Getwd()
	for err == nil {
		if bin, err := exec.LookPath(filepath.Join(dir, cached)); err == nil {
			return bin, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return "", ErrNotFound
}

// VersionOf is the version that the binary which is found says of itself.
func VersionOf(ctx context.Context) (string, error) {
	bin, err := Find(ctx)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, bin, "--version").Output() //nolint:gosec // the one that would run
	if err != nil {
		return "", err
	}
	// PATH  version: HASH/1.40.0/Clean/RELEASE/BoringSSL
	_, text, _ := strings.Cut(string(out), "version: ")
	parts := strings.Split(text, "/")
	if len(parts) < 2 {
		return "", fmt.Errorf("%s says no version: %s", bin, out)
	}
	return parts[1], nil
}

// Available is for a whole run of tests: an error if there is no Envoy.
func Available() error {
	_, err := Find(context.Background())
	return err
}

// Config is a bootstrap configuration as maps, lists and values.
type Config map[string]any

// ParseConfig reads a configuration and binds its listeners and the admin
// interface to free loopback ports.
func ParseConfig(text []byte) (Config, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	config := Config(tree)
	if admin, ok := config.At("admin", "address", "socket_address").(map[string]any); ok {
		admin["address"], admin["port_value"] = "127.0.0.1", 0
	}
	listeners, _ := config.At("static_resources", "listeners").([]any)
	for i := range listeners {
		if address, ok := config.At("static_resources", "listeners", i, "address", "socket_address").(map[string]any); ok {
			address["address"], address["port_value"] = "127.0.0.1", 0
		}
	}
	return config, nil
}

// At walks to a value by keys and list places; nil if it is not there.
func (c Config) At(path ...any) any {
	var at any = map[string]any(c)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := at.(map[string]any)
			at = m[step]
		case int:
			list, _ := at.([]any)
			if step >= len(list) {
				return nil
			}
			at = list[step]
		}
	}
	return at
}

// Map is At for a mapping, which it panics without: a test that edits what is
// not there tests nothing.
func (c Config) Map(path ...any) map[string]any {
	m, ok := c.At(path...).(map[string]any)
	if !ok {
		panic(fmt.Sprintf("the configuration has no mapping at %v", path))
	}
	return m
}

// Manager is the HTTP connection manager of the first listener.
func (c Config) Manager() map[string]any {
	return c.Map("static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
}

// ExtAuthz is the filter's configuration.
func (c Config) ExtAuthz() map[string]any {
	return c.Map("static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "http_filters", 0, "typed_config")
}

// SetCluster points a cluster at an address: TCP, or a Unix socket.
func (c Config) SetCluster(name string, to net.Addr) {
	clusters, _ := c.At("static_resources", "clusters").([]any)
	for i := range clusters {
		if c.At("static_resources", "clusters", i, "name") != name {
			continue
		}
		c.Map("static_resources", "clusters", i, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint")["address"] = address(to)
		return
	}
	panic("the configuration has no cluster " + name)
}

// AddEndpoint gives a cluster one more address.
func (c Config) AddEndpoint(name string, to net.Addr) {
	clusters, _ := c.At("static_resources", "clusters").([]any)
	for i := range clusters {
		if c.At("static_resources", "clusters", i, "name") != name {
			continue
		}
		endpoints := c.Map("static_resources", "clusters", i, "load_assignment", "endpoints", 0)
		list, _ := endpoints["lb_endpoints"].([]any)
		endpoints["lb_endpoints"] = append(list, map[string]any{"endpoint": map[string]any{"address": address(to)}})
		return
	}
	panic("the configuration has no cluster " + name)
}

func address(to net.Addr) map[string]any {
	if tcp, ok := to.(*net.TCPAddr); ok {
		return map[string]any{"socket_address": map[string]any{"address": tcp.IP.String(), "port_value": tcp.Port}}
	}
	return map[string]any{"pipe": map[string]any{"path": to.String()}}
}

// SetCertificate sets the files of the first listener's certificate.
func (c Config) SetCertificate(cert, key string) {
	pair := c.Map("static_resources", "listeners", 0, "filter_chains", 0, "transport_socket", "typed_config",
		"common_tls_context", "tls_certificates", 0)
	pair["certificate_chain"] = map[string]any{"filename": cert}
	pair["private_key"] = map[string]any{"filename": key}
}

// Envoy is a running process.
type Envoy struct {
	// Listeners are the addresses of the listeners, by name.
	Listeners map[string]string
	// Admin is the address of the admin interface.
	Admin string

	cmd  *exec.Cmd
	done chan struct{}
	log  *tail
}

// startTimeout is how long Envoy may take to serve.
const startTimeout = 30 * time.Second

// Start runs Envoy with the configuration and two workers, and waits until it
// serves. dir is for its files.
func Start(ctx context.Context, config Config, dir string) (*Envoy, error) {
	return StartWith(ctx, config, dir, "--concurrency", "2")
}

// StartWith is Start with arguments of one's own.
func StartWith(ctx context.Context, config Config, dir string, args ...string) (*Envoy, error) {
	encoded, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return StartText(ctx, encoded, "envoy.json", dir, args...)
}

// StartText is StartWith for a configuration as it is written, in a file of the name,
// whose ending tells Envoy how to read it.
func StartText(ctx context.Context, config []byte, name, dir string, args ...string) (*Envoy, error) {
	bin, err := Find(ctx)
	if err != nil {
		return nil, err
	}
	configFile, adminFile := filepath.Join(dir, name), filepath.Join(dir, "admin-address")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return nil, err
	}
	if err := os.Remove(adminFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	e := &Envoy{done: make(chan struct{}), log: &tail{}}
	e.cmd = exec.CommandContext(ctx, bin, append([]string{"-c", configFile, "--admin-address-path", adminFile, //nolint:gosec // the caller's own arguments
		"--log-level", "warning", "--disable-hot-restart"}, args...)...)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = e.cmd.Wait(); close(e.done) }() // how it ended is in the log
	if err := e.await(ctx, adminFile); err != nil {
		e.Stop()
		return nil, fmt.Errorf("%w\n%s", err, e.Log())
	}
	return e, nil
}

// await polls the admin interface until all listeners serve.
func (e *Envoy) await(ctx context.Context, adminFile string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("envoy does not serve: %w", ctx.Err())
		case <-e.done:
			return errors.New("envoy has ended")
		case <-poll.C:
		}
		address, err := os.ReadFile(adminFile)
		if err != nil || len(address) == 0 {
			continue
		}
		e.Admin = strings.TrimSpace(string(address))
		if body, err := e.Get(ctx, "/ready"); err != nil || !strings.HasPrefix(body, "LIVE") {
			continue
		}
		return e.readListeners(ctx)
	}
}

func (e *Envoy) readListeners(ctx context.Context) error {
	body, err := e.Get(ctx, "/listeners?format=json")
	if err != nil {
		return err
	}
	var answer struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	e.Listeners = map[string]string{}
	for _, l := range answer.Statuses {
		e.Listeners[l.Name] = fmt.Sprintf("%s:%d", l.Address.Socket.Address, l.Address.Socket.Port)
	}
	return nil
}

// Get asks the admin interface.
func (e *Envoy) Get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Admin+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // only read
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return string(body), err
}

// Log returns the end of what Envoy has written.
func (e *Envoy) Log() string { return e.log.String() }

// Stop kills the process and waits for its end.
func (e *Envoy) Stop() {
	_ = e.cmd.Process.Kill() // it may have ended already
	<-e.done
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailBytes {
		t.buf = t.buf[len(t.buf)-tailBytes:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
