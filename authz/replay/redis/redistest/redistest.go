// Package redistest runs real Redis and Valkey servers for tests. make test
// fetches them into .cache/redis.
package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Kinds are the servers that tests run on.
var Kinds = []string{"redis", "valkey"}

// Server is a server process. Its address stays the same when it is started
// again.
type Server struct {
	// Address is HOST:PORT, or the path of a socket.
	Address string
	Unix    bool

	kind    string
	tls     *TLS
	dir     string
	args    []string
	command *exec.Cmd
	ended   chan struct{}
	t       testing.TB

	mu     sync.Mutex
	client rueidis.Client
	user   []string // name and password of the tests' own connection
	output strings.Builder
}

// Options of a server.
type Options struct {
	// Kind is one of Kinds; redis if empty.
	Kind string
	// TCP listens on a port of 127.0.0.1 in place of a socket.
	TCP bool
	// Args are further arguments, such as --maxmemory 10mb.
	Args []string
	// Sentinel runs a sentinel with that configuration.
	Sentinel string
	// NoPing does not wait until it answers.
	NoPing bool
	// Password is the default user's.
	Password string
	// TLS has it speak nothing else, with clients, replicas and other nodes. It
	// needs TCP.
	TLS *TLS
}

// TLS names PEM files of a server. Its own connections show the same certificate.
type TLS struct {
	Cert, Key, CA string
	// Clients must show a certificate of CA.
	Clients bool
}

// settings are names and values.
func (t *TLS) settings(port string) [][2]string {
	clients := "no"
	if t.Clients {
		clients = "yes"
	}
	return [][2]string{
		{"port", "0"}, {"tls-port", port}, {"tls-cert-file", t.Cert}, {"tls-key-file", t.Key}, {"tls-ca-cert-file", t.CA},
		{"tls-auth-clients", clients}, {"tls-replication", "yes"}, {"tls-cluster", "yes"},
	}
}

// client is what the test's own connections use.
func (t *TLS) client() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", t.CA)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// Find looks for all servers, on PATH or in .cache/redis.
func Find() error {
	for _, kind := range Kinds {
		if _, err := binary(kind); err != nil {
			return err
		}
	}
	return nil
}

func binary(kind string) (string, error) {
	if path, ok := fetched(kind + "-server"); ok {
		return path, nil
	}
	path, err := exec.LookPath(kind + "-server")
	if err != nil {
		return "", fmt.Errorf("no %s-server: run `make redis` or put one on PATH", kind)
	}
	return path, nil
}

// fetched looks in .cache of the directory that a test runs in and of those
// above it: what the compiler knows of places is gone from a -trimpath build.
func fetched(name string) (string, bool) {
	dir, err := os.Getwd()
	for err == nil {
		path := filepath.Join(dir, ".cache/redis/bin", name)
		if _, missing := os.Stat(path); missing == nil {
			return path, true
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return "", false
}

// Start starts a server and stops it at the end of the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Kind == "" {
		o.Kind = "redis"
	}
	dir, err := os.MkdirTemp("", "hb") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{kind: o.Kind, dir: dir, t: t, Unix: !o.TCP, args: o.Args, tls: o.TLS}
	if o.Password != "" {
		s.args = append(s.args[:len(s.args):len(s.args)], "--requirepass", o.Password)
		s.user = []string{"default", o.Password}
	}
	t.Cleanup(func() {
		s.close()
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	const tries = 5
	for try := range tries {
		if s.Unix {
			s.Address = filepath.Join(dir, "s")
		} else {
			s.Address = free(t)
		}
		if o.Sentinel != "" {
			config := o.Sentinel + "\ndir " + dir + "\n"
			if o.TLS == nil {
				config += "port " + s.port() + "\n"
			} else {
				for _, line := range o.TLS.settings(s.port())[:7] { // it has no tls-cluster
					config += line[0] + " " + line[1] + "\n"
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "sentinel.conf"), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err = s.start(o.NoPing)
		if err == nil || s.Unix || !strings.Contains(s.log(), "in use") && try > 0 {
			break
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log())
	}
	return s
}

// free returns an address that was free a moment ago. Redis has no port 0.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

func (s *Server) port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// Port returns the port it listens on.
func (s *Server) Port() string { return s.port() }

func (s *Server) start(noPing bool) error {
	path, err := binary(s.kind)
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"--dir", s.dir, "--save", "", "--appendonly", "no"}
	if s.Unix {
		args = append(args, "--port", "0", "--unixsocket", s.Address)
	} else if s.tls == nil {
		args = append(args, "--port", s.port(), "--bind", "127.0.0.1")
	} else {
		args = append(args, "--bind", "127.0.0.1")
		for _, line := range s.tls.settings(s.port()) {
			args = append(args, "--"+line[0], line[1])
		}
	}
	args = append(args, s.args...)
	if config := filepath.Join(s.dir, "sentinel.conf"); exists(config) {
		args = []string{config, "--sentinel"}
	}
	s.command = exec.Command(path, args...) //nolint:gosec // the servers that the tests fetched
	out, err := s.command.StdoutPipe()
	if err != nil {
		return err
	}
	s.command.Stderr = s.command.Stdout
	if err := s.command.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	ready := make(chan struct{}, 1)
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			s.mu.Lock()
			s.output.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
			if strings.Contains(lines.Text(), "eady to accept connections") || strings.Contains(lines.Text(), "Sentinel ID is") {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		}
		_ = s.command.Wait() // killed, mostly
	}()
	if noPing {
		return nil
	}
	select {
	case <-ready:
		return nil
	case <-ended:
		return fmt.Errorf("%s ended", path)
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s does not say that it is ready", path)
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func (s *Server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.String()
}

// Kill ends it as kill -9 does.
func (s *Server) Kill() {
	if s.command == nil || s.command.Process == nil {
		return
	}
	_ = s.command.Process.Kill() // it may have ended
	<-s.ended
	s.close()
}

// Restart starts it again after Kill, with other arguments if there are any.
func (s *Server) Restart(args ...string) {
	s.t.Helper()
	if len(args) > 0 {
		s.args = args
	}
	if s.Unix {
		_ = os.Remove(s.Address)
	}
	if err := s.start(false); err != nil {
		s.t.Fatalf("%v\n%s", err, s.log())
	}
}

// Stop makes it stand still, as SIGSTOP does; Continue ends that.
func (s *Server) Stop() { s.signal(sigStop) }

// Continue ends Stop.
func (s *Server) Continue() { s.signal(sigContinue) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Client returns a connection for the test itself.
func (s *Server) Client() rueidis.Client {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client
	}
	o := rueidis.ClientOption{InitAddress: []string{s.Address}, DisableCache: true, ForceSingleClient: true}
	if s.user != nil {
		o.Username, o.Password = s.user[0], s.user[1]
	}
	if s.Unix {
		o.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	}
	if s.tls != nil {
		var err error
		if o.TLSConfig, err = s.tls.client(); err != nil {
			s.t.Fatal(err)
		}
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.client = client
	return client
}

// Do runs a command and returns what it says.
func (s *Server) Do(words ...string) string {
	s.t.Helper()
	c := s.Client()
	r := c.Do(context.Background(), c.B().Arbitrary(words...).Build())
	if rueidis.IsRedisNil(r.Error()) {
		return ""
	}
	m, err := r.ToMessage()
	if err != nil {
		s.t.Fatalf("%q: %v", words, err)
	}
	if text, err := m.ToString(); err == nil {
		return text
	}
	if n, err := m.AsInt64(); err == nil {
		return fmt.Sprint(n)
	}
	return m.String()
}

// Dir is where the server keeps its files.
func (s *Server) Dir() string { return s.dir }
