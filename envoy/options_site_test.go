package envoy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	"github.com/hookbastion/hookbastion/examples"
)

// headerReached is in the answers of the application, and says how what reached
// it was verified.
const headerReached = "application-got"

// optionSite is one Envoy with a listener and a service for each option.
type optionSite struct {
	envoy     *envoytest.Envoy
	config    envoytest.Config
	dir       string
	authority *envoytest.Authority
	clients   map[string]*http.Client
	places    []*place
}

// place is the listener and the service of one option.
type place struct {
	site   *optionSite
	option *option
	number int
	table  *authz.Table
	store  *watchedStore
	replica
}

func startOptions(t *testing.T, options []option) *optionSite {
	t.Helper()
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		w.Header().Set(headerReached, fmt.Sprintf("%s %d %v", r.Header.Get(envoy.HeaderVerified), n, err))
	}))
	t.Cleanup(application.Close)
	spans, err := envoytest.StartCollector(envoytest.Watched)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(spans.Stop)
	s := &optionSite{dir: t.TempDir(), clients: map[string]*http.Client{}}
	text, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if s.config, err = envoytest.ParseConfig(text); err != nil {
		t.Fatal(err)
	}
	cert, key, roots, err := envoytest.Certificate(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.config.SetCertificate(cert, key)
	s.config.SetCluster("application", application.Listener.Addr())
	s.config.SetTracing(spans.Addr())
	delete(s.config.Manager(), "tracing")    // of the first listener
	s.config.GRPCService()["timeout"] = "5s" // the race detector is slow
	s.config.ExtAuthz()["failure_mode_allow"] = true
	if s.authority, err = envoytest.NewAuthority("options"); err != nil {
		t.Fatal(err)
	}
	var listeners, clusters []any
	for i := range options {
		p := s.place(t, i, &options[i])
		listener, cluster := p.configure(t)
		listeners, clusters = append(listeners, listener), append(clusters, cluster)
	}
	others := s.config.At("static_resources", "clusters").([]any)[1:]
	s.config.Map("static_resources")["listeners"] = listeners
	s.config.Map("static_resources")["clusters"] = append(clusters, others...)
	s.start(t)
	t.Cleanup(func() { s.stop() })
	for name, protocol := range map[string]string{"HTTP1": "http/1.1", "HTTP2": "h2"} {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: protocol == "h2", MaxIdleConnsPerHost: 64,
		}
		s.clients[name] = &http.Client{Timeout: generous, Transport: transport}
		t.Cleanup(transport.CloseIdleConnections)
	}
	return s
}

func (s *optionSite) start(t *testing.T) {
	t.Helper()
	var err error
	if s.envoy, err = envoytest.Start(context.Background(), s.config, s.dir); err != nil {
		t.Fatal(err)
	}
}

func (s *optionSite) stop() {
	s.envoy.Stop()
	envoytest.Watched.Saw("Envoy's log", []byte(s.envoy.Log()))
}

func (s *optionSite) restart(t *testing.T) {
	t.Helper()
	s.stop()
	s.start(t)
}

// place starts the service of an option.
func (s *optionSite) place(t *testing.T, number int, o *option) *place {
	t.Helper()
	p := &place{site: s, option: o, number: number, store: &watchedStore{
		Store:   memory.New(memory.Config{MaxEntries: 1 << 16}),
		settled: make(chan bool, 1<<16), released: make(chan bool, 1<<16),
	}}
	settler := replay.NewSettler(p.store, lease, replay.SealKey{1})
	p.table = settlingPolicies(t, p.store, settler)
	p.replica.service = &envoy.Service{Source: fixed{p.table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}, Settler: settler}
	p.replica.limits, p.replica.address = o.limits, "127.0.0.1:0"
	if o.tls {
		cert, key, err := s.authority.IssueFiles(t.TempDir(), "service", envoytest.Issue{DNS: []string{"hookbastion"}})
		if err != nil {
			t.Fatal(err)
		}
		if p.replica.tls, err = mtls.New(mtls.Config{Cert: cert, Key: key, NextProtos: []string{"h2"}}); err != nil {
			t.Fatal(err)
		}
	}
	p.replica.start(t)
	t.Cleanup(func() { p.replica.stop(t) })
	s.places = append(s.places, p)
	return p
}

func (p *place) restart(t *testing.T) {
	t.Helper()
	p.replica.stop(t)
	p.replica.start(t)
}

func (p *place) name() string { return fmt.Sprintf("option-%d", p.number) }

// configure returns the listener and the cluster of an option.
func (p *place) configure(t *testing.T) (listener, cluster object) {
	t.Helper()
	encoded, err := json.Marshal(p.site.config)
	if err != nil {
		t.Fatal(err)
	}
	var config envoytest.Config
	if err := json.Unmarshal(encoded, &config); err != nil {
		t.Fatal(err)
	}
	address, err := net.ResolveTCPAddr("tcp", p.replica.address)
	if err != nil {
		t.Fatal(err)
	}
	config.SetCluster("hookbastion", address)
	o := p.option
	if o.tls {
		ca := p.site.dir + "/service-ca.crt"
		if err := envoytest.Replace(ca, p.site.authority.PEM); err != nil {
			t.Fatal(err)
		}
		config.SetServiceTLS(envoytest.ServiceTLS{CA: ca, SAN: "hookbastion"})
	}
	cluster = config.Map("static_resources", "clusters", 0)
	cluster["name"] = p.name()
	if o.http2 != nil {
		explicit := cluster["typed_extension_protocol_options"].(object)["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].(object)
		explicit["explicit_http_config"] = object{"http2_protocol_options": o.http2}
	}
	way := object{"envoy_grpc": object{"cluster_name": p.name()}}
	if o.google {
		way = object{"google_grpc": object{"target_uri": p.replica.address, "stat_prefix": p.name()}}
	}
	config.AccessLog()["grpc_service"] = way
	config.ExtAuthz()["grpc_service"] = object{"timeout": "5s"}
	for kind, value := range way {
		config.GRPCService()[kind] = value
	}
	config.ExtAuthz()["stat_prefix"] = p.name()
	if o.cluster != nil {
		o.cluster(cluster)
	}
	if o.manager != nil {
		o.manager(config.Manager())
	}
	if o.filter != nil {
		o.filter(config.ExtAuthz())
	}
	listener = config.Map("static_resources", "listeners", 0)
	listener["name"] = p.name()
	return listener, cluster
}

// delivery is a signed request that can be sent often.
type delivery struct {
	name, client string
	header       http.Header
	body         []byte
}

func (p *place) sign(t *testing.T, client, name string, size int) delivery {
	t.Helper()
	body := make([]byte, max(size, len(name)))
	copy(body, name)
	req := signedAt(t, p.table, "github", "https://"+p.site.envoy.Listeners[p.name()], body, time.Now())
	for name, value := range p.option.headers {
		req.Header.Set(name, value)
	}
	return delivery{name, client, req.Header, body}
}

// altered is the same with one more byte.
func (d delivery) altered() delivery {
	d.body = append(bytes.Clone(d.body), 'x')
	d.body = d.body[1:]
	return d
}

// send returns what the sender gets, and what the application got. It sends once more when
// it is told to come later: many Envoys at once may be more than the machine can serve.
func (p *place) send(t *testing.T, d delivery) (status int, reached string) {
	for try := 0; ; try++ {
		response := p.sendOnce(t, d)
		if response == nil {
			return 0, ""
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil || response.StatusCode != http.StatusServiceUnavailable || p.option.refused || try == 40 {
			return response.StatusCode, response.Header.Get(headerReached)
		}
		// as senders do, not all at the same moment
		<-time.After(time.Duration(seconds)*time.Second + rand.N(2*time.Second))
	}
}

// sendOnce sends a delivery; nil if there is no answer.
func (p *place) sendOnce(t *testing.T, d delivery) *http.Response {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+p.site.envoy.Listeners[p.name()]+"/github", bytes.NewReader(d.body))
	if err != nil {
		t.Error(err)
		return nil
	}
	req.Header = d.header
	response, err := p.site.clients[d.client].Do(req)
	if err != nil {
		t.Errorf("%s: %v", d.name, err)
		return nil
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response
}

func (p *place) passes(t *testing.T, d delivery) {
	t.Helper()
	if p.option.refused {
		p.refuses(t, d, "with too much beside it", http.StatusServiceUnavailable)
		return
	}
	status, reached := p.send(t, d)
	if want := fmt.Sprintf("signature %d <nil>", len(d.body)); status != http.StatusOK || reached != want {
		t.Errorf("%s: status %d, %q, want %q", d.name, status, reached, want)
	}
}

func (p *place) refuses(t *testing.T, d delivery, what string, want int) {
	t.Helper()
	if p.option.refused {
		want = http.StatusServiceUnavailable
	}
	if status, reached := p.send(t, d); status != want || reached != "" {
		t.Errorf("%s, %s: status %d, want %d; the application got %q", d.name, what, status, want, reached)
	}
}

// settled waits until so many deliveries were settled.
func (p *place) settled(t *testing.T, n int) {
	t.Helper()
	if p.option.refused {
		return
	}
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	for range n {
		select {
		case <-p.store.settled:
		case <-timeout.C:
			t.Fatal("a delivery was never settled")
		}
	}
}

func (p *place) atOnce(all []delivery, send func(d delivery)) {
	var each sync.WaitGroup
	for _, d := range all {
		each.Go(func() { send(d) })
	}
	each.Wait()
}

// noErrors wants that no call has failed.
func (p *place) noErrors(t *testing.T) {
	t.Helper()
	stats, err := p.site.envoy.Get(context.Background(), "/stats?usedonly&filter=ext_authz."+p.name()+"%5C.")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stats, ".error:") || strings.Contains(stats, "failure_mode_allowed:") || !strings.Contains(stats, ".denied:") {
		t.Errorf("calls failed:\n%s", stats)
	}
}
