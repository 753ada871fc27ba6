package envoytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/examples"
)

// Options says what a Gateway is made of and how its Envoy differs from
// examples/quickstart. Only Source is needed.
type Options struct {
	Source envoy.Source
	// Mapping and Limits are the service's. Envoy gets the same
	// MaxRequestBytes, 1 MiB if it is 0.
	Mapping envoy.Mapping
	Limits  envoy.Limits
	// Settler ends what the source's checks reserve.
	Settler *replay.Settler
	// Now is the service's clock; time.Now if nil.
	Now func() time.Time
	// Edit changes Envoy's configuration before it starts.
	Edit func(Config)
	// Socket puts the service on a Unix socket instead of TCP.
	Socket bool
	// Telemetry is the service's, without records, which the gateway keeps.
	Telemetry telemetry.Config
	// Collector, if there is one, gets Envoy's spans.
	Collector *Collector
	// Watch is shown the records, the spans that come over OTLP, and Envoy's
	// log; Watched if nil.
	Watch *Watch
}

func (o *Options) setDefaults() {
	if o.Mapping.MaxRequestBytes == 0 {
		o.Mapping.MaxRequestBytes = 1 << 20
	}
	if o.Limits.InFlight == 0 {
		o.Limits.InFlight, o.Limits.BytesInFlight = 1024, 256<<20
	}
	if o.Limits.Connections == 0 {
		o.Limits.Connections = 64
	}
	if o.Limits.Shutdown == 0 {
		o.Limits.Shutdown = 5 * time.Second
	}
	if o.Watch == nil {
		o.Watch = Watched
	}
	o.Limits.MaxRequestBytes = o.Mapping.MaxRequestBytes
}

// Gateway is a real Envoy between clients, the service and an upstream, all in
// this process except for Envoy.
type Gateway struct {
	Server   *envoy.Server
	Envoy    *Envoy
	Upstream *Upstream
	Records  *Records
	// Pool gives the service its receive buffers.
	Pool *PoisonPool
	// ServiceAddr is where the service listens.
	ServiceAddr net.Addr
	// Address is where Envoy listens for TLS, with a certificate of Roots.
	Address string
	Roots   *x509.CertPool
	// HTTP1 and HTTP2 are clients that speak just that.
	HTTP1, HTTP2 *http.Client

	writer *telemetry.Writer
	served chan error
	socket string
	watch  *Watch
}

// clientTimeout bounds what tests wait for.
const clientTimeout = 30 * time.Second

// StartGateway starts everything. dir is for files. Stop ends it.
func StartGateway(ctx context.Context, o Options, dir string) (g *Gateway, err error) {
	o.setDefaults()
	g = &Gateway{Records: newRecords(o.Watch), Pool: &PoisonPool{}, watch: o.Watch}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Stop())
		}
	}()
	if g.Upstream, err = startUpstream(); err != nil {
		return g, err
	}
	g.writer = telemetry.NewWriter(g.Records)
	config := o.Telemetry
	config.Records, config.DenialsPerSecond, config.Replica = g.writer, 1<<30, "test"
	recorder, err := telemetry.New(config)
	if err != nil {
		return g, err
	}
	listener, err := g.listen(o.Socket)
	if err != nil {
		return g, err
	}
	g.ServiceAddr = listener.Addr()
	g.Server = envoy.NewServer(&envoy.Service{Source: o.Source, Mapping: o.Mapping, Telemetry: recorder, Settler: o.Settler, Now: o.Now}, o.Limits, g.Pool)
	g.served = make(chan error, 1)
	go func() { g.served <- g.Server.Serve(listener) }()
	g.Server.SetReady(true)
	return g, g.startEnvoy(ctx, o, listener.Addr(), dir)
}

func (g *Gateway) listen(socket bool) (net.Listener, error) {
	if !socket {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	// A test's own directory has too long a name for a socket.
	dir, err := os.MkdirTemp("", "hb")
	if err != nil {
		return nil, err
	}
	g.socket = dir
	return net.Listen("unix", filepath.Join(dir, "s"))
}

func (g *Gateway) startEnvoy(ctx context.Context, o Options, service net.Addr, dir string) error {
	text, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		return err
	}
	config, err := ParseConfig(text)
	if err != nil {
		return err
	}
	cert, key, roots, err := Certificate(dir)
	if err != nil {
		return err
	}
	config.SetCertificate(cert, key)
	config.SetCluster("hookbastion", service)
	config.SetCluster("application", g.Upstream.Addr())
	config.WithRequestBody()["max_request_bytes"] = o.Mapping.MaxRequestBytes
	config.GRPCService()["timeout"] = "5s" // the race detector is slow
	if o.Collector != nil {
		config.SetTracing(o.Collector.Addr())
	}
	if o.Edit != nil {
		o.Edit(config)
	}
	if g.Envoy, err = Start(ctx, config, dir); err != nil {
		return err
	}
	g.Address, g.Roots = g.Envoy.Listeners["webhooks"], roots
	g.HTTP1, g.HTTP2 = g.client("http/1.1"), g.client("h2")
	return nil
}

func (g *Gateway) client(protocol string) *http.Client {
	return &http.Client{Timeout: clientTimeout, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: g.Roots, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: protocol == "h2", MaxIdleConnsPerHost: 64,
	}}
}

// Stop ends everything. It fails if the service did, or if a receive buffer
// was given back twice.
func (g *Gateway) Stop() error {
	var errs []error
	for _, c := range []*http.Client{g.HTTP1, g.HTTP2} {
		if c != nil {
			c.CloseIdleConnections()
		}
	}
	if g.Envoy != nil {
		g.Envoy.Stop()
		g.watch.Saw("Envoy's log", []byte(g.Envoy.Log()))
	}
	if g.Server != nil {
		g.Server.Stop()
		errs = append(errs, <-g.served)
	}
	if g.writer != nil {
		g.writer.Close()
	}
	if g.Upstream != nil {
		errs = append(errs, g.Upstream.stop())
	}
	if g.socket != "" {
		errs = append(errs, os.RemoveAll(g.socket))
	}
	if _, _, fault := g.Pool.Outstanding(); fault != "" {
		errs = append(errs, errors.New(fault))
	}
	return errors.Join(errs...)
}

// WithRequestBody is what ExtAuthz says of bodies.
func (c Config) WithRequestBody() map[string]any { return child(c.ExtAuthz(), "with_request_body") }

// GRPCService is how Envoy calls the service.
func (c Config) GRPCService() map[string]any { return child(c.ExtAuthz(), "grpc_service") }

func child(m map[string]any, name string) map[string]any {
	c, ok := m[name].(map[string]any)
	if !ok {
		panic(fmt.Sprintf("the configuration has no mapping %s", name))
	}
	return c
}
