package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// pipe passes connections on to a socket until it is cut. Then it takes them all the same,
// and nothing comes through: no counter of Envoy's sees that.
type pipe struct {
	listener net.Listener
	to       *net.UnixAddr

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newPipe(t *testing.T, to *net.UnixAddr) *pipe {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{listener: listener, to: to}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); p.set(true, true); all.Wait() })
	return p
}

func (p *pipe) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
}

func (p *pipe) serve(conn net.Conn) {
	service, err := net.DialUnix("unix", nil, p.to)
	if err != nil {
		_ = conn.Close()
		return
	}
	p.keep(conn)
	p.keep(service)
	done := make(chan struct{})
	go func() { defer close(done); p.copy(conn, service) }()
	p.copy(service, conn)
	_ = conn.Close()
	_ = service.Close()
	<-done
}

// copy passes on what comes, or throws it away.
func (p *pipe) copy(to, from net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		cut := p.cut
		p.mu.Unlock()
		if err != nil {
			return
		}
		if !cut {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
}

// set cuts the pipe or mends it, and closes what goes through it.
func (p *pipe) set(cut, closes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if closes {
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.conns = nil
	}
}

// logThrough has Envoy send its access log through the pipe, by a filter if there is one.
func logThrough(p *pipe, filter any) func(envoytest.Config) {
	return func(config envoytest.Config) {
		config["node"] = map[string]any{"id": "edge-7", "cluster": "edges"}
		clusters := config.At("static_resources", "clusters").([]any)
		service := config.At("static_resources", "clusters", 0).(map[string]any)
		config.Map("static_resources")["clusters"] = append(clusters, map[string]any{
			"name": "log", "type": "STATIC", "connect_timeout": "0.5s",
			"typed_extension_protocol_options": service["typed_extension_protocol_options"],
			"load_assignment": map[string]any{"cluster_name": "log", "endpoints": []any{map[string]any{
				"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": map[string]any{
					"socket_address": map[string]any{"address": "127.0.0.1", "port_value": p.listener.Addr().(*net.TCPAddr).Port}}}}}}}},
		})
		entry := config.Manager()["access_log"].([]any)[0].(map[string]any)
		config.AccessLog()["grpc_service"] = map[string]any{"envoy_grpc": map[string]any{"cluster_name": "log"}}
		if filter != nil {
			entry["filter"] = filter
		}
	}
}

// shownFilter is the filter that docs/replay.md shows for failures alone.
func shownFilter(t *testing.T) any {
	t.Helper()
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- envoy: failures -->\n```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	var entry map[string]any
	if err := yaml.Unmarshal([]byte(text), &entry); err != nil || entry["filter"] == nil {
		t.Fatalf("docs/replay.md shows no filter: %v", err)
	}
	return entry["filter"]
}

// A real Envoy's access log is cut: its stream stays open, or it cannot be opened. Within
// ten seconds after the answers the service says so, and when it comes again. Where only
// failures are logged, that is seen though nothing fails.
func TestLostAccessLog(t *testing.T) {
	for name, c := range map[string]struct {
		closes, failures bool
	}{
		"an open stream": {},
		"failures alone, and a stream that cannot be opened": {closes: true, failures: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, table := quickstart(t)
			unix := socket(t)
			args, filter := serveArgs(filepath.Join(dir, "policies"), unix), any(nil)
			if c.failures {
				args, filter = append(args, "--replay-access-log=FAILURES"), shownFilter(t)
			}
			p := start(t, args...)
			site := "http://" + p.stderr.await(t, `msg=serving.* http=(\S+)`)[1]
			way := newPipe(t, unix)
			e := startEdge(t, unix, logThrough(way, filter))
			n := 0
			// deliver sends until it is seen, and returns how long that took.
			deliver := func(seen func() bool) time.Duration {
				t.Helper()
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				began := time.Now()
				for !seen() {
					if n++; time.Since(began) > generous {
						t.Fatalf("not seen in:\n%s", p.stderr.String())
					}
					if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, fmt.Appendf(nil, "delivery %d", n))); status != 200 {
						t.Fatalf("status %d", status)
					}
					<-tick.C
				}
				return time.Since(began)
			}
			up := `hookbastion_access_log_up{node="unix"}`
			deliver(func() bool { return metric(t, site, up) == 1 })
			if said := checkHealth(t, site, "-v"); said != "ok\n" {
				t.Errorf("healthcheck says %q", said)
			}

			way.set(true, c.closes)
			took := deliver(func() bool { return strings.Contains(p.stderr.String(), "access log is lost") })
			if took > 10*time.Second {
				t.Errorf("seen after %s", took)
			}
			if metric(t, site, up) != 0 || metric(t, site, `hookbastion_access_log_missing_total{node="unix"}`) < 1 {
				t.Error("not in /metrics")
			}
			if said := checkHealth(t, site, "-v"); !strings.Contains(said, "ok, without the access log of Envoy at unix: ") {
				t.Errorf("healthcheck says %q", said)
			}
			if line := p.stderr.await(t, `level=ERROR msg="Envoy's access log is lost.*`)[0]; !strings.Contains(line, " node=edge-7 ") || !strings.Contains(line, " missing=") {
				t.Error(line)
			}

			way.set(false, true)
			deliver(func() bool { return strings.Contains(p.stderr.String(), "access log comes again") })
			if metric(t, site, up) != 1 {
				t.Error("it is still lost")
			}
			if n := strings.Count(p.stderr.String(), "access log is lost"); n != 1 {
				t.Errorf("told %d times", n)
			}
			terminate(t, p)
		})
	}
}

// Where Envoy sends no access log at all, one delivery is enough to say so.
func TestNoAccessLog(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, serveArgs(filepath.Join(dir, "policies"), unix)...)
	p.stderr.await(t, `msg=serving`)
	e := startEdge(t, unix, func(c envoytest.Config) { delete(c.Manager(), "access_log") })
	site, delivered := siteOf(t, p), time.Now()
	delivery := signed(t, table, "github", e.client.Address, []byte("one"))
	for _, want := range []int{200, 409, 409} {
		if status := sendStatus(t, e, delivery); status != want {
			t.Fatalf("status %d, want %d", status, want)
		}
	}
	for outcome, want := range map[string]float64{"first": 1, "copy": 2, "in_flight": 0} { // though each copy has asked eight times
		if n := metric(t, site, fmt.Sprintf("hookbastion_reservations_total{outcome=%q}", outcome)); n != want {
			t.Errorf("%s counts %v times, want %v", outcome, n, want)
		}
	}
	p.stderr.await(t, `level=WARN msg="no access log has come from Envoy.* envoy=unix .* streams=0 missing=1 of=1`)
	if took := time.Since(delivered); took > 10*time.Second {
		t.Errorf("seen after %s", took)
	}
	terminate(t, p)
}

// Entries of what one replica has allowed may come to the other: neither takes the log for
// lost, whichever of them gets the streams.
func TestAccessLogOfReplicas(t *testing.T) {
	r := startReplicas(t, redistest.Start(t, redistest.Options{}))
	var sites [2]string
	for i, p := range r.processes {
		sites[i] = siteOf(t, p)
	}
	up, expected, streams := `hookbastion_access_log_up{node="unix"}`, `hookbastion_access_log_expected_total{node="unix"}`, `hookbastion_access_log_streams{node="unix"}`
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n, began := 0, time.Now(); metric(t, sites[0], up) < 0 || metric(t, sites[1], up) < 0; n++ {
		if time.Since(began) > generous {
			t.Fatal("the log is not judged by both")
		}
		if status, _, err := r.send(signed(t, r.table, "github", r.edge.client.Address, fmt.Appendf(nil, "delivery %d", n))); err != nil || status != 200 {
			t.Fatalf("status %d, %v", status, err)
		}
		<-tick.C
	}
	for i, site := range sites {
		if metric(t, site, up) != 1 || metric(t, site, expected) < 1 {
			t.Errorf("replica %d: up %v, %v deliveries, %v streams", i, metric(t, site, up), metric(t, site, expected), metric(t, site, streams))
		}
	}
	for _, p := range r.processes {
		terminate(t, p)
		if strings.Contains(p.stderr.String(), "access log") {
			t.Errorf("told of a lost access log:\n%s", p.stderr.String())
		}
	}
}
