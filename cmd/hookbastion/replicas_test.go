package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// replicas are two replicas of the service on one Redis, behind one Envoy that
// asks them in turn.
type replicas struct {
	processes [2]*process
	deliverer
}

// deliverer delivers through an Envoy, over many connections at once.
type deliverer struct {
	edge   *edge
	table  *authz.Table
	client *http.Client
}

func startReplicas(t *testing.T, server *redistest.Server, args ...string) *replicas {
	t.Helper()
	dir, table := quickstart(t)
	r := &replicas{deliverer: deliverer{table: table}}
	sockets := [2]*net.UnixAddr{socket(t), socket(t)}
	for i := range r.processes {
		r.processes[i] = start(t, append(append(serveArgs(filepath.Join(dir, "policies"), sockets[i]),
			"--replay-store", "REDIS", "--replay-redis-url", "unix://"+server.Address, "--replay-redis-budget", "2s",
			"--replay-redis-setup-until", time.Now().Add(time.Hour).Format(time.RFC3339)), args...)...)
	}
	for _, p := range r.processes {
		p.stderr.await(t, "msg=serving")
	}
	r.edge = startEdge(t, sockets[0], func(c envoytest.Config) {
		c.GRPCService()["timeout"] = "5s" // the race detector is slow
		c.AddEndpoint("hookbastion", sockets[1])
	})
	r.client = r.edge.pool(t)
	return r
}

// pool is a client that keeps many connections.
func (e *edge) pool(t *testing.T) *http.Client {
	client := &http.Client{Timeout: generous, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 256,
	}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// send sends the request and returns the status and the header Retry-After.
func (s *deliverer) send(req *authz.Request) (status int, retry string, err error) {
	out, err := http.NewRequestWithContext(context.Background(), string(req.Method), "https://"+s.edge.client.Address+string(req.Path), bytes.NewReader(bytes.Join(req.Body.Segments, nil)))
	if err != nil {
		return 0, "", err
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	response, err := s.client.Do(out)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Retry-After"), err
}

func (r *replicas) signed(t *testing.T, n int) *authz.Request {
	return signed(t, r.table, "github", r.edge.client.Address, fmt.Appendf(nil, "delivery %d", n))
}

// arrived returns how often each body came to the application.
func (r *replicas) arrived() map[string]int {
	seen := map[string]int{}
	for _, a := range r.edge.application.Take() {
		seen[string(a.Body)]++
	}
	return seen
}

// TestTwoReplicasOnOneRedis: of deliveries that are each sent twice at once, and
// reach both replicas, each passes once.
func TestTwoReplicasOnOneRedis(t *testing.T) {
	const deliveries, workers = 10_000, 24
	r := startReplicas(t, redistest.Start(t, redistest.Options{}))
	var next, passed, refused, other atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				n := int(next.Add(1))
				if n > deliveries {
					return
				}
				req := r.signed(t, n)
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						switch status, retry, err := r.send(req); {
						case err != nil:
							t.Error(err)
						case status == 200:
							passed.Add(1)
						case status == 409 || status == 503 && retry != "":
							refused.Add(1)
						default:
							other.Add(1)
						}
					})
				}
				both.Wait()
			}
		})
	}
	all.Wait()
	t.Logf("%d passed, %d refused", passed.Load(), refused.Load())
	if passed.Load() != deliveries || refused.Load() != deliveries || other.Load() != 0 {
		t.Errorf("%d passed, %d refused, %d something else", passed.Load(), refused.Load(), other.Load())
	}
	seen := r.arrived()
	if len(seen) != deliveries {
		t.Errorf("%d of %d reached the application", len(seen), deliveries)
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s: %d times", body, n)
		}
	}
	for i, p := range r.processes { // Envoy asks one after the other
		if n := strings.Count(p.stdout.String(), `"reason":"ok"`); n < deliveries/10 {
			t.Errorf("replica %d let %d pass", i, n)
		}
		terminate(t, p)
	}
}

// TestRedisKilledUnderLoad: while Redis is away or stands still every delivery is refused with
// 503 and Retry-After; when it is back, deliveries pass, and what was settled
// before is a copy.
func TestRedisKilledUnderLoad(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	r := startReplicas(t, server, "--replay-redis-trust-restart")
	var mu sync.Mutex
	accepted := map[int]*authz.Request{}
	var next, refused, passed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := int(next.Add(1))
				req := r.signed(t, n)
				switch status, retry, err := r.send(req); {
				case err != nil:
					t.Error(err)
					return
				case status == 200:
					passed.Add(1)
					mu.Lock()
					accepted[n] = req
					mu.Unlock()
				case status == 503 && retry != "":
					refused.Add(1)
				default:
					t.Errorf("status %d, Retry-After %q", status, retry)
					return
				}
			}
		})
	}
	await := func(what string, counter *atomic.Int64, more int64) {
		t.Helper()
		goal := counter.Load() + more
		for deadline := time.Now().Add(generous); counter.Load() < goal; {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d", what, counter.Load(), goal)
			}
			_, _, _ = r.send(r.signed(t, int(next.Add(1)))) // makes time pass
		}
	}
	for _, away := range []struct{ begin, end func() }{
		{server.Kill, func() { server.Restart() }},
		{server.Stop, server.Continue},
		{server.Kill, func() { server.Restart() }},
	} {
		await("before", &passed, 300)
		away.begin()
		await("while Redis is away", &refused, 300)
		away.end()
		await("after", &passed, 300)
	}
	close(stop)
	load.Wait()
	copies := 0
	for n, req := range accepted {
		if n%5 != 0 {
			continue
		}
		copies++
		if status, _, err := r.send(req); err != nil || status != 409 && status != 503 {
			t.Errorf("delivery %d again: status %d, error %v", n, status, err)
		}
	}
	for body, n := range r.arrived() {
		if n != 1 {
			t.Errorf("%s: %d times", body, n)
		}
	}
	t.Logf("%d passed, %d refused, %d copies tried", passed.Load(), refused.Load(), copies)
	for _, p := range r.processes {
		terminate(t, p)
		noStackTrace(t, p.stderr.String())
		p.stderr.await(t, "the nonce store is away")
	}
}
