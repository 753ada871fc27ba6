package h2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/h2"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

// secured serves over mutual TLS as well, and returns who dials it so.
func secured(t *testing.T, config h2.Config) (*service, func(context.Context, string) (net.Conn, error)) {
	t.Helper()
	authority, err := envoytest.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key, err := authority.IssueFiles(dir, "server", envoytest.Issue{DNS: []string{"service"}})
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.crt")
	if err := envoytest.Replace(ca, authority.PEM); err != nil {
		t.Fatal(err)
	}
	server, err := mtls.New(mtls.Config{Cert: cert, Key: key, ClientCA: ca, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	clientCert, clientKey, err := authority.Issue(envoytest.Issue{DNS: []string{"client"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, config)
	served := make(chan error, 1)
	go func() { served <- s.Serve(server.Listen(l, nil)) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	dialer := &tls.Dialer{Config: &tls.Config{
		RootCAs: roots, ServerName: "service", Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
	}}
	return s, func(ctx context.Context, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", l.Addr().String())
	}
}

func TestManyCallsOverTLS(t *testing.T) {
	config := testConfig()
	s, dial := secured(t, config)
	close(s.leave)
	var all sync.WaitGroup
	conn := client(t, dial)
	for i := range 4 {
		random := rand.New(rand.NewPCG(uint64(i), 2))
		all.Go(func() {
			for range 15 {
				if err := oneCall(t.Context(), conn, random, config.MaxMessage); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// A read that has run out of time does not end a connection with TLS, and its
// peer is told of the end.
func TestSilenceAndGoAwayOverTLS(t *testing.T) {
	config := testConfig()
	config.Idle, config.Answer = 5*time.Millisecond, time.Minute
	s, dial := secured(t, config)
	conn, err := dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn)
	p.hear()
	p.greet()
	whole, said := message(10)
	for i := range uint32(3) {
		p.awaits("PING false alive?")
		p.mu.Lock()
		p.noted = nil
		p.mu.Unlock()
		p.call(2*i+1, unaryPath, false)
		p.data(2*i+1, true, whole, 100)
		if got := p.answer(2*i + 1); got != answered(said) {
			t.Error(got)
		}
	}
	s.Drain()
	p.awaits("PING false go away?")
	p.must(p.WritePing(true, goAwayPing))
	p.awaits("GOAWAY 5 NO_ERROR")
	if got := p.ends(); !strings.HasPrefix(got, "GOAWAY") && got != "end" {
		t.Error(got)
	}
	p.Conn.Close()
	s.Wait()
}
