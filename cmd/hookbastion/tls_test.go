package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const gatewayID = "spiffe://example.org/ns/edge/sa/envoy"

// secured is the program as a process with mutual TLS.
type secured struct {
	*process
	dir       string // of the certificates
	policies  string
	authority *envoytest.Authority
	table     *authz.Table
	service   *net.TCPAddr
}

// startSecured starts it with more arguments, if there are any.
func startSecured(t *testing.T, more ...string) *secured {
	t.Helper()
	dir, table := quickstart(t)
	s := &secured{dir: t.TempDir(), policies: filepath.Join(dir, "policies"), table: table}
	var err error
	if s.authority, err = envoytest.NewAuthority("mesh"); err != nil {
		t.Fatal(err)
	}
	cert, key, err := s.authority.IssueFiles(s.dir, "service", envoytest.Issue{DNS: []string{"hookbastion"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := envoytest.Replace(s.ca(), s.authority.PEM); err != nil {
		t.Fatal(err)
	}
	// All addresses, without grpc.insecure.
	s.process = start(t, append([]string{"serve", "--policy", s.policies, "--grpc-listen", "0.0.0.0:0", "--grpc-lame-duck", "0s",
		"--http-listen", "127.0.0.1:0", "--grpc-tls-cert", cert, "--grpc-tls-key", key, "--grpc-tls-client-ca", s.ca(),
		"--grpc-tls-client-sans", gatewayID + ",spiffe://example.org/other"}, more...)...)
	address := s.stderr.await(t, `grpc="?(?:\[::\]|0\.0\.0\.0):(\d+)`)[1]
	if s.service, err = net.ResolveTCPAddr("tcp", "127.0.0.1:"+address); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *secured) ca() string { return filepath.Join(s.dir, "ca.crt") }

// envoy is what a good Envoy is configured with.
func (s *secured) envoy(t *testing.T) envoytest.ServiceTLS {
	t.Helper()
	return s.shows(t, s.authority, envoytest.Issue{URIs: []string{gatewayID}})
}

// shows is an Envoy with this certificate.
func (s *secured) shows(t *testing.T, a *envoytest.Authority, issue envoytest.Issue) envoytest.ServiceTLS {
	t.Helper()
	cert, key, err := a.IssueFiles(t.TempDir(), "envoy", issue)
	if err != nil {
		t.Fatal(err)
	}
	return envoytest.ServiceTLS{Cert: cert, Key: key, CA: s.ca(), SAN: "hookbastion"}
}

// TestMutualTLS: who cannot show a good certificate gets no answer, and
// nothing passes.
func TestMutualTLS(t *testing.T) {
	s := startSecured(t)
	other, err := envoytest.NewAuthority("mesh") // of the same name
	if err != nil {
		t.Fatal(err)
	}
	good := envoytest.Issue{URIs: []string{gatewayID}}
	old := s.envoy(t)
	old.Old = true // what Envoy speaks to a cluster unless it is told otherwise
	for name, c := range map[string]struct {
		tls    *envoytest.ServiceTLS
		status int
		log    string
	}{
		"good":            {new(s.envoy(t)), 200, ""},
		"no certificate":  {&envoytest.ServiceTLS{CA: s.ca(), SAN: "hookbastion"}, 503, "didn't provide a certificate"},
		"other authority": {new(s.shows(t, other, good)), 503, "certificate signed by unknown authority|ECDSA verification failure"},
		"other name":      {new(s.shows(t, s.authority, envoytest.Issue{URIs: []string{gatewayID + "/x"}})), 503, "none of the allowed names"},
		"expired":         {new(s.shows(t, s.authority, envoytest.Issue{URIs: good.URIs, NotAfter: time.Now().Add(-time.Minute)})), 503, "expired"},
		"no TLS":          {nil, 503, "does not look like a TLS handshake"},
		"TLS 1.2":         {&old, 503, "unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEdge(t, s.service, func(config envoytest.Config) {
				if c.tls != nil {
					config.SetServiceTLS(*c.tls)
				}
			})
			for i := range 3 {
				if status := sendStatus(t, e, signed(t, s.table, "github", e.client.Address, fmt.Appendf(nil, "%s %d", name, i))); status != c.status {
					t.Errorf("status %d, want %d\n%s", status, c.status, s.stderr)
				}
			}
			if got := len(e.application.Take()); got != map[int]int{200: 3}[c.status] {
				t.Errorf("%d deliveries reached the application", got)
			}
			if c.log != "" {
				s.stderr.await(t, c.log)
			}
		})
	}
	terminate(t, s.process)
}

func TestMutualTLSWithTLS12(t *testing.T) {
	s := startSecured(t, "--grpc-tls-min-version", "TLSV1_2")
	old := s.envoy(t)
	old.Old = true
	e := startEdge(t, s.service, func(c envoytest.Config) { c.SetServiceTLS(old) })
	if status := sendStatus(t, e, signed(t, s.table, "github", e.client.Address, []byte("one"))); status != 200 {
		t.Errorf("status %d\n%s", status, s.stderr)
	}
	terminate(t, s.process)
}

// TestRenewedCertificate replaces certificate, key and authority while Envoy
// opens new connections all the time.
func TestRenewedCertificate(t *testing.T) {
	s := startSecured(t)
	shown := s.envoy(t)
	e := startEdge(t, s.service, func(c envoytest.Config) {
		c.SetServiceTLS(shown)
		protocol := c.Map("static_resources", "clusters", 0, "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
		protocol["common_http_protocol_options"] = map[string]any{"max_requests_per_connection": 5}
	})
	first := s.serial(t, shown)

	stop, ticks := make(chan struct{}), make(chan struct{}, 1024)
	var sent, bad atomic.Int64
	var load sync.WaitGroup
	for worker := range 3 {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				req, err := (&sample.Delivery{Webhook: "github", Host: e.client.Address}).Request(s.table, time.Now(), fmt.Appendf(nil, "%d %d", worker, i))
				status := 0
				if err == nil {
					status, _, err = e.client.Send(context.Background(), req)
				}
				if sent.Add(1); status != 200 {
					bad.Add(1)
					t.Errorf("status %d, error %v", status, err)
					return
				}
				select {
				case ticks <- struct{}{}:
				default:
				}
			}
		})
	}
	more := func(n int) {
		t.Helper()
		for len(ticks) > 0 { // what was sent before
			<-ticks
		}
		for range n {
			select {
			case <-ticks:
			case <-time.After(generous):
				t.Fatalf("nothing is sent any more, %d deliveries were refused", bad.Load())
			}
		}
	}
	more(50)
	// The next authority signs the service's next certificate and Envoy's: its
	// own is in the file before.
	next, err := envoytest.NewAuthority("mesh 2")
	if err != nil {
		t.Fatal(err)
	}
	if err := envoytest.Replace(s.ca(), append(append([]byte(nil), s.authority.PEM...), next.PEM...)); err != nil {
		t.Fatal(err)
	}
	s.stderr.await(t, `msg="certificate loaded"`)
	more(50)
	if _, _, err := s.authority.IssueFiles(s.dir, "service", envoytest.Issue{DNS: []string{"hookbastion"}}); err != nil {
		t.Fatal(err)
	}
	s.stderr.await(t, `(?s)(msg="certificate loaded".*){2}`)
	more(50)
	close(stop)
	load.Wait()
	if second := s.serial(t, shown); second == first {
		t.Error("the old certificate is still served")
	}
	if s.serial(t, s.shows(t, next, envoytest.Issue{URIs: []string{gatewayID}})) == "" {
		t.Error("a client of the next authority is refused")
	}

	// An expired one is loud, and the last good one keeps serving.
	second := s.serial(t, shown)
	if _, _, err := s.authority.IssueFiles(s.dir, "service", envoytest.Issue{DNS: []string{"hookbastion"}, NotAfter: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s.stderr.await(t, `certificate not loaded, the last good one keeps serving.*expired`)
	if third := s.serial(t, shown); third != second {
		t.Error("the last good certificate is not served")
	}
	text := s.stderr.String()
	if strings.Contains(text, "PRIVATE KEY") {
		t.Error("the log holds a key")
	}
	t.Logf("%d deliveries, all accepted", sent.Load())
	terminate(t, s.process)
}

// serial connects as a client with this certificate and returns the serial
// number of the service's; empty if the client is refused.
func (s *secured) serial(t *testing.T, shown envoytest.ServiceTLS) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(shown.Cert, shown.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(s.ca())
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal("no authority", err)
	}
	conn, err := tls.Dial("tcp", s.service.String(), &tls.Config{
		RootCAs: roots, ServerName: "hookbastion", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(generous))
	// The service says nothing before the client's preface and its empty SETTINGS have come.
	_, _ = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")) // a refusal is read
	if _, err := conn.Read(make([]byte, 1)); err != nil {                                             // SETTINGS, or the alert
		return ""
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}
