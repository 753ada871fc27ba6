package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

func TestMain(m *testing.M) { leak.Main(m) }

const gateway = "spiffe://example.org/gateway"

// site is a listener and the files that it reads.
type site struct {
	dir       string
	authority *envoytest.Authority
	config    mtls.Config
	server    *mtls.Server
	address   string
	mu        sync.Mutex
	refused   []error
}

func authority(t *testing.T) *envoytest.Authority {
	t.Helper()
	a, err := envoytest.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func files(t *testing.T, sans ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), authority: authority(t)}
	cert, key, err := s.authority.IssueFiles(s.dir, "server", envoytest.Issue{DNS: []string{"service"}})
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(s.dir, "ca.crt")
	if err := envoytest.Replace(ca, s.authority.PEM); err != nil {
		t.Fatal(err)
	}
	s.config = mtls.Config{Cert: cert, Key: key, ClientCA: ca, ClientSANs: sans}
	return s
}

// serve starts a listener that echoes one byte.
func serve(t *testing.T, s *site) *site {
	t.Helper()
	var err error
	if s.server, err = mtls.New(s.config); err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := s.server.Listen(inner, func(_ net.Addr, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused = append(s.refused, err)
	})
	s.address = inner.Addr().String()
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); served.Wait() })
	return s
}

// client is how a client with this certificate connects; nil is one without.
func (s *site) client(t *testing.T, a *envoytest.Authority, issue *envoytest.Issue) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority.PEM)
	c := &tls.Config{RootCAs: roots, ServerName: "service", MinVersion: tls.VersionTLS12}
	if issue == nil {
		return c
	}
	cert, key, err := a.Issue(*issue)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	// Shown even where the server names other authorities.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c
}

// echo connects and has one byte echoed. With TLS 1.3 a client learns only
// then whether its certificate was accepted.
func (s *site) echo(c *tls.Config) (*tls.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.address, c)
	if err != nil {
		return nil, err
	}
	if err := again(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func again(conn *tls.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestClients(t *testing.T) {
	s := serve(t, files(t, gateway, "Gateway.internal"))
	other := authority(t)
	good := func() *envoytest.Issue { return &envoytest.Issue{URIs: []string{gateway}} }
	for name, c := range map[string]struct {
		authority *envoytest.Authority
		issue     *envoytest.Issue
		want      bool
	}{
		"SPIFFE id":                    {s.authority, good(), true},
		"DNS name":                     {s.authority, &envoytest.Issue{DNS: []string{"gateway.INTERNAL"}}, true},
		"one DNS name of several":      {s.authority, &envoytest.Issue{DNS: []string{"x", "gateway.internal"}}, true},
		"no certificate":               {nil, nil, false},
		"other authority":              {other, good(), false},
		"other SPIFFE id":              {s.authority, &envoytest.Issue{URIs: []string{gateway + "2"}}, false},
		"longer path":                  {s.authority, &envoytest.Issue{URIs: []string{gateway + "/x"}}, false},
		"two SPIFFE ids":               {s.authority, &envoytest.Issue{URIs: []string{gateway, gateway + "2"}}, false},
		"the name as common name only": {s.authority, &envoytest.Issue{Name: "gateway.internal"}, false},
		"the id as DNS name":           {s.authority, &envoytest.Issue{Name: gateway, DNS: []string{"example.org"}}, false},
		"below the name":               {s.authority, &envoytest.Issue{DNS: []string{"x.gateway.internal"}}, false},
		"wildcard":                     {s.authority, &envoytest.Issue{DNS: []string{"*.internal"}}, false},
		"expired":                      {s.authority, &envoytest.Issue{URIs: []string{gateway}, NotAfter: time.Now().Add(-time.Hour)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := s.echo(s.client(t, c.authority, c.issue))
			if (err == nil) != c.want {
				t.Errorf("error %v", err)
			}
			if err == nil {
				_ = conn.Close()
			}
		})
	}
	t.Run("TLS 1.2", func(t *testing.T) {
		c := s.client(t, s.authority, good())
		c.MaxVersion = tls.VersionTLS12
		if conn, err := s.echo(c); err == nil {
			_ = conn.Close()
			t.Error("accepted")
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) < 9 {
		t.Errorf("the listener was told of %d refusals", len(s.refused))
	}
}

func TestRenewal(t *testing.T) {
	s := serve(t, files(t, gateway))
	issue := &envoytest.Issue{URIs: []string{gateway}}
	old, err := s.echo(s.client(t, s.authority, issue))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	serial := old.ConnectionState().PeerCertificates[0].SerialNumber

	// The certificate alone does not fit the key: the last good pair stays.
	cert, key, err := s.authority.Issue(envoytest.Issue{DNS: []string{"service"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := envoytest.Replace(s.config.Cert, cert); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.server.Load(); changed || err == nil {
		t.Errorf("half of a pair: changed %v, error %v", changed, err)
	}
	conn, err := s.echo(s.client(t, s.authority, issue))
	if err != nil || conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(serial) != 0 {
		t.Fatalf("the last good pair does not serve: %v", err)
	}
	_ = conn.Close()

	if err := envoytest.Replace(s.config.Key, key); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.server.Load(); !changed || err != nil {
		t.Fatalf("changed %v, error %v", changed, err)
	}
	if changed, err := s.server.Load(); changed || err != nil {
		t.Errorf("nothing new: changed %v, error %v", changed, err)
	}
	conn, err = s.echo(s.client(t, s.authority, issue))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(serial) == 0 {
		t.Error("the old certificate still serves")
	}
	if err := again(old); err != nil {
		t.Errorf("the connection from before was cut: %v", err)
	}
}

// A client of an authority that is no longer in the file is refused, also where
// it has a session from before.
func TestAuthorityReplaced(t *testing.T) {
	s := serve(t, files(t))
	issue := &envoytest.Issue{}
	c := s.client(t, s.authority, issue)
	c.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	conn, err := s.echo(c)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	next := authority(t)
	if err := envoytest.Replace(s.config.ClientCA, next.PEM); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.server.Load(); !changed || err != nil {
		t.Fatalf("changed %v, error %v", changed, err)
	}
	if conn, err := s.echo(c); err == nil {
		_ = conn.Close()
		t.Error("a client of the old authority is accepted")
	}
	if conn, err = s.echo(s.client(t, next, issue)); err != nil {
		t.Fatalf("a client of the new authority: %v", err)
	}
	_ = conn.Close()
}

// Clients that never finish their handshake keep nobody out.
func TestSilentClients(t *testing.T) {
	s := serve(t, files(t, gateway))
	for range 1000 {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	began := time.Now()
	conn, err := s.echo(s.client(t, s.authority, &envoytest.Issue{URIs: []string{gateway}}))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if took := time.Since(began); took > 3*time.Second { // a handshake may take five
		t.Errorf("after %v", took)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) < 1000-128 || !strings.Contains(s.refused[0].Error(), "too many handshakes") {
		t.Errorf("%d were refused", len(s.refused))
	}
}

func TestBadFiles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *site)
		want   string
	}{
		"no certificate": {func(s *site) { s.config.Cert = filepath.Join(s.dir, "none") }, "no such file"},
		"no key":         {func(s *site) { s.config.Key = s.config.Cert }, "private key"},
		"expired": {func(s *site) {
			s.config.Cert, s.config.Key, _ = s.authority.IssueFiles(s.dir, "old", envoytest.Issue{NotAfter: time.Now().Add(-time.Hour)})
		}, "has expired"},
		"empty authorities":   {func(s *site) { _ = os.WriteFile(s.config.ClientCA, nil, 0o600) }, "no certificate"},
		"key as authorities":  {func(s *site) { s.config.ClientCA = s.config.Key }, "a block"},
		"text after":          {func(s *site) { _ = os.WriteFile(s.config.ClientCA, append(s.authority.PEM, "-----BEGIN"...), 0o600) }, "no certificate"},
		"names, no authority": {func(s *site) { s.config.ClientCA = "" }, "needs the authority"},
		"pattern as name":     {func(s *site) { s.config.ClientSANs = []string{"*.example.org"} }, "compared exactly"},
		"empty name":          {func(s *site) { s.config.ClientSANs = []string{""} }, "is no name"},
		"half a URI":          {func(s *site) { s.config.ClientSANs = []string{"spiffe://"} }, "is no URI"},
	} {
		t.Run(name, func(t *testing.T) {
			s := files(t, gateway)
			c.change(s)
			_, err := mtls.New(s.config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error holds the file: %v", err)
			}
		})
	}
}
