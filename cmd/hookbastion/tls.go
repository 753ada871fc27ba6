package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	"github.com/hookbastion/hookbastion/envoy/reload"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// serviceTLS reads grpc.tls; nil if there is none.
func serviceTLS(m *settingsv1.Grpc, listen string, fail func(string, ...any)) *mtls.Config {
	t := m.GetTls()
	if t == nil {
		return nil
	}
	for name, value := range map[string]string{"cert": t.GetCert(), "key": t.GetKey()} {
		if value == "" {
			fail("is missing", "grpc", "tls", name)
		}
	}
	if listen == "" {
		fail("has no use without grpc.listen; the mode of a Unix socket says who may connect", "grpc", "tls")
	}
	if len(t.GetClientSans()) > 0 && t.GetClientCa() == "" {
		fail("has no use without client_ca", "grpc", "tls", "client_sans")
	}
	if _, err := transport.ParseNames(t.GetClientSans()); err != nil {
		fail(err.Error(), "grpc", "tls", "client_sans")
	}
	c := &mtls.Config{
		Cert: t.GetCert(), Key: t.GetKey(), ClientCA: t.GetClientCa(), ClientSANs: t.GetClientSans(),
		NextProtos: []string{"h2"},
	}
	if t.GetMinVersion() == settingsv1.Tls_TLSV1_2 {
		c.MinVersion = tls.VersionTLS12
	}
	return c
}

// mutual reports whether clients of the gRPC listener must show a certificate.
func (s *settings) mutual() bool { return s.tls != nil && s.tls.ClientCA != "" }

// secure puts TLS on the gRPC listener, or says what it means to have none.
func (r *running) secure(s *settings, log *slog.Logger) error {
	open := s.grpcListen != "" && !loopback(s.grpcListen)
	if s.tls == nil {
		if open {
			log.Warn("the service listens beyond loopback without TLS: whoever reaches it can ask it", "address", s.grpcListen)
		}
		return nil
	}
	if open && !s.mutual() {
		log.Warn("the service listens beyond loopback and asks for no client certificate: whoever reaches it can ask it", "address", s.grpcListen)
	}
	server, err := mtls.New(*s.tls)
	if err != nil {
		return err
	}
	r.grpc[0] = server.Listen(r.grpc[0], logRefused(log)) // TCP is first
	r.watched = append(r.watched, fileWatch{server.Files(), logChanged(log, "certificate", func() (bool, []any, error) {
		changed, err := server.Load()
		return changed, []any{"not_after", server.NotAfter()}, err
	})})
	return nil
}

// fileWatch is files, and what to do when they may have changed.
type fileWatch struct {
	files []string
	load  func()
}

// watchFiles looks after the files until the context ends. The function that
// it returns waits for that.
func (r *running) watchFiles(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	for _, w := range r.watched {
		all.Go(func() { reload.Run(ctx, w.files, w.load) })
	}
	return all.Wait
}

// logChanged returns a function that loads something and logs what came of it:
// what is new, and an error once.
func logChanged(log *slog.Logger, what string, load func() (changed bool, facts []any, err error)) func() {
	last := ""
	return func() {
		changed, facts, err := load()
		switch {
		case err != nil && err.Error() != last:
			last = err.Error()
			log.Error(what+" not loaded, the last good one keeps serving", "error", last)
		case err == nil && (changed || last != ""):
			last = ""
			log.Info(what+" loaded", facts...)
		}
	}
}

// Refused clients that are logged in each period: strangers can cause them.
const (
	refusedPeriod = 10 * time.Second
	refusedLines  = 20
)

// logRefused logs clients whose handshake failed, the first of each period.
func logRefused(log *slog.Logger) mtls.Refused {
	var mu sync.Mutex
	var began time.Time
	n := 0
	return func(client net.Addr, err error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(began) >= refusedPeriod {
			if n > refusedLines {
				log.Warn("clients of the service were refused", "others", n-refusedLines)
			}
			began, n = now, 0
		}
		if n++; n <= refusedLines {
			log.Warn("a client of the service was refused", "client", client.String(), "error", err.Error())
		}
	}
}
