package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// fleet is a changing number of replicas on one Redis, behind one Envoy that learns of them from a
// list, as from one of Kubernetes.
type fleet struct {
	replicas
	server   *redistest.Server
	policies string
	list     string // the file that Envoy watches
	pods     []*pod
}

// pod is one replica.
type pod struct {
	*process
	socket *net.UnixAddr
}

func startFleet(t *testing.T, server *redistest.Server, n int) *fleet {
	t.Helper()
	dir, table := quickstart(t)
	f := &fleet{server: server, policies: filepath.Join(dir, "policies"), list: filepath.Join(t.TempDir(), "endpoints.json")}
	f.table = table
	for range n {
		f.pods = append(f.pods, f.pod(t))
	}
	f.publish(t)
	f.edge = startEdge(t, f.pods[0].socket, func(c envoytest.Config) {
		healthChecks(c)
		cluster := c.Map("static_resources", "clusters", 0)
		cluster["type"] = "EDS"
		cluster["eds_cluster_config"] = map[string]any{"eds_config": map[string]any{
			"resource_api_version": "V3",
			"path_config_source":   map[string]any{"path": f.list, "watched_directory": map[string]any{"path": filepath.Dir(f.list)}},
		}}
		c["node"] = map[string]any{"id": "edge", "cluster": "edge"}
	})
	f.client = f.edge.pool(t)
	return f
}

// pod starts one more replica and waits until it is ready, as Kubernetes does.
func (f *fleet) pod(t *testing.T) *pod {
	t.Helper()
	p := &pod{socket: socket(t)}
	p.process = start(t, append(serveArgs(f.policies, p.socket), "--grpc-lame-duck", "2s",
		"--replay-store", "REDIS", "--replay-redis-url", "unix://"+f.server.Address, "--replay-redis-budget", "2s",
		"--replay-redis-setup-until", time.Now().Add(time.Hour).Format(time.RFC3339))...)
	p.stderr.await(t, "msg=serving")
	return p
}

// publish writes the list anew.
func (f *fleet) publish(t *testing.T) {
	t.Helper()
	all := []any{}
	for _, p := range f.pods {
		all = append(all, map[string]any{"endpoint": map[string]any{"address": map[string]any{"pipe": map[string]any{"path": p.socket.Name}}}})
	}
	text, err := json.Marshal(map[string]any{"version_info": time.Now().String(), "resources": []any{map[string]any{
		"@type":        "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
		"cluster_name": "hookbastion", "endpoints": []any{map[string]any{"lb_endpoints": all}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := envoytest.Replace(f.list, text); err != nil {
		t.Fatal(err)
	}
}

// add starts a replica, and waits until Envoy asks it.
func (f *fleet) add(t *testing.T) {
	t.Helper()
	p := f.pod(t)
	f.pods = append(f.pods, p)
	f.publish(t)
	p.stdout.await(t, `"reason":"ok"`)
}

// remove takes the oldest replica off the list and stops it, at once, and waits for its end.
func (f *fleet) remove(t *testing.T) {
	t.Helper()
	gone := f.pods[0]
	f.pods = f.pods[1:]
	if err := gone.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	if err := gone.wait(t); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, gone.stderr)
	}
	noStackTrace(t, gone.stderr.String())
	if !strings.Contains(gone.stdout.String(), `"reason":"ok"`) {
		t.Error("Envoy has never asked it")
	}
}

// sent counts what became of deliveries under load.
type sent struct {
	mu       sync.Mutex
	accepted []*authz.Request
	next     atomic.Int64
	copies   atomic.Int64
}

// load sends deliveries and a copy of each until it is told to stop. All must pass, and no copy.
func (f *fleet) load(t *testing.T, workers int, stop <-chan struct{}) (*sent, *sync.WaitGroup) {
	s, all := &sent{}, &sync.WaitGroup{}
	for range workers {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				req := f.signed(t, int(s.next.Add(1)))
				if status, _, err := f.send(req); err != nil || status != 200 {
					t.Errorf("a good delivery: %d, %v", status, err)
					return
				}
				s.mu.Lock()
				s.accepted = append(s.accepted, req)
				s.mu.Unlock()
				f.refused(t, req)
				s.copies.Add(1)
			}
		})
	}
	return s, all
}

// refused sends a copy, which does not pass.
func (f *fleet) refused(t *testing.T, req *authz.Request) {
	if status, retry, err := f.send(req); err != nil || status != 409 && (status != 503 || retry == "") {
		t.Errorf("a copy: %d, Retry-After %q, %v", status, retry, err)
	}
}

// TestRollingUpdate replaces both of two replicas under load, one after the other, and then scales
// down to one: no good delivery is refused, no copy passes, and what was accepted by replicas that
// are gone stays a copy.
func TestRollingUpdate(t *testing.T) {
	f := startFleet(t, redistest.Start(t, redistest.Options{}), 2)
	stop := make(chan struct{})
	s, workers := f.load(t, 6, stop)
	for range 2 {
		f.add(t)
		f.remove(t)
	}
	replaced := s.next.Load()
	f.remove(t) // of two
	f.pods[0].stdout.await(t, `"reason":"ok"`)
	close(stop)
	workers.Wait()

	for i, req := range s.accepted {
		if i%7 == 0 {
			f.refused(t, req)
		}
	}
	arrived := f.arrived()
	for body, n := range arrived {
		if n != 1 {
			t.Errorf("%s: %d times", body, n)
		}
	}
	t.Logf("%d deliveries, %d of them while both replicas were replaced; %d copies at once and %d later", len(s.accepted), replaced, s.copies.Load(), len(s.accepted)/7+1)
	if len(arrived) != len(s.accepted) || len(arrived) < 100 {
		t.Errorf("%d were accepted, %d arrived", len(s.accepted), len(arrived))
	}
}
