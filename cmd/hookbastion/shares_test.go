package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// TestOneWebhookFloodsASlowRedis: more deliveries of one webhook than there are places wait for
// a Redis that answers late, or try to. What has no place is refused, counted and logged, and
// each delivery of another webhook passes.
func TestOneWebhookFloodsASlowRedis(t *testing.T) {
	const places, share = 64, 57 // 57 is at most eight times what it leaves, with itself
	dir, table := quickstart(t)
	redis := redistest.Behind(t, redistest.Start(t, redistest.Options{}))
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix),
		"--limits-in-flight", strconv.Itoa(places), "--replay-access-log=false", "--replay-store", "REDIS",
		"--replay-redis-url", "unix://"+redis.Address, "--replay-redis-budget", "5s")...)
	site := "http://" + p.stderr.await(t, `msg=serving.* http=(\S+)`)[1]
	edge := startEdge(t, unix, func(c envoytest.Config) {
		c.GRPCService()["timeout"] = "20s" // the machine may be busy
	})
	s := &deliverer{edge, table, edge.pool(t)}
	redis.Delay(200 * time.Millisecond)

	f := &flood{passed: make(chan struct{}, places), stop: make(chan struct{})}
	for range places + places/2 {
		f.workers.Go(func() { f.work(t, s) })
	}
	f.await(t, &f.allowed, 2*share)
	f.await(t, &f.refused, share)
	const rounds, each = 10, 2
	for round := range rounds {
		var others sync.WaitGroup
		for i := range each {
			others.Go(func() {
				req := signed(t, table, "stripe", edge.client.Address, fmt.Appendf(nil, "other %d", each*round+i))
				if status, _, err := s.send(req); status != 200 {
					t.Errorf("delivery %d of another webhook: status %d, error %v", each*round+i, status, err)
				}
			})
		}
		others.Wait()
	}
	close(f.stop)
	f.workers.Wait()

	t.Logf("%d allowed, %d refused", f.allowed.Load(), f.refused.Load())
	if status, _, err := s.send(signed(t, table, "github", edge.client.Address, []byte("afterwards"))); status != 200 {
		t.Errorf("after the flood: status %d, error %v", status, err)
	}
	_, metrics := get(t, site+"/metrics")
	for _, metric := range []string{
		`hookbastion_limits_met_total\{[^}]*limit="webhook_calls"`,
		`hookbastion_decisions_total\{mode="ENFORCE",[^}]*reason="overloaded",verdict="deny",webhook="github"`,
	} {
		found := regexp.MustCompile(metric + `[^}]*\} (\d+)\n`).FindStringSubmatch(metrics)
		if found == nil || found[1] != strconv.FormatInt(f.refused.Load(), 10) {
			t.Errorf("%d were refused: %s is %q", f.refused.Load(), metric, found)
		}
	}
	p.stderr.await(t, `a limit was met.* limit=webhook_calls times=\d+`)
	terminate(t, p)
}

// TestOneConnectionForTwoWorkers: the worker of Envoy that finds no place for its connection
// answers itself, and the service says why.
func TestOneConnectionForTwoWorkers(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--limits-connections", "1", "--limits-in-flight", "1")...)
	site := "http://" + p.stderr.await(t, `msg=serving.* http=(\S+)`)[1]
	edge := startEdge(t, unix, nil)
	s, seen := &deliverer{edge, table, edge.pool(t)}, map[int]bool{}
	for i, deadline := 0, time.Now().Add(generous); !seen[200] || !seen[503]; i++ {
		status, retry, err := s.send(signed(t, table, "github", edge.client.Address, fmt.Appendf(nil, "delivery %d", i)))
		if err != nil || time.Now().After(deadline) || status != 200 && status != 503 || retry != "" {
			t.Fatalf("delivery %d: status %d, Retry-After %q, error %v", i, status, retry, err)
		}
		seen[status] = true
		s.client.CloseIdleConnections() // the next one may meet the other worker
	}
	p.stderr.await(t, `a client of the service was refused.*as many connections as limits\.connections allows, 1: each worker of each Envoy`)
	if _, metrics := get(t, site+"/metrics"); !regexp.MustCompile(`hookbastion_connections_refused_total\S* [1-9]`).MatchString(metrics) {
		t.Error("no refused connection is counted")
	}
	terminate(t, p)
}

// flood is deliveries of one webhook without end.
type flood struct {
	workers                sync.WaitGroup
	next, allowed, refused atomic.Int64
	passed                 chan struct{} // one for each that was allowed, if somebody waits
	stop                   chan struct{}
}

// work sends one delivery after the other. After one that was refused it waits until another
// is allowed: the processor is not what is to be short here.
func (f *flood) work(t *testing.T, s *deliverer) {
	for {
		select {
		case <-f.stop:
			return
		default:
		}
		req := signed(t, s.table, "github", s.edge.client.Address, fmt.Appendf(nil, "delivery %d", f.next.Add(1)))
		switch status, retry, err := s.send(req); {
		case err == nil && status == 200:
			f.allowed.Add(1)
			select {
			case f.passed <- struct{}{}:
			default:
			}
		case err == nil && status == 503 && retry != "":
			f.refused.Add(1)
			select {
			case <-f.passed:
			case <-f.stop:
			}
		default:
			t.Errorf("status %d, Retry-After %q, error %v", status, retry, err)
			return
		}
	}
}

// await waits until so many of a kind were answered.
func (f *flood) await(t *testing.T, count *atomic.Int64, goal int64) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(generous); count.Load() < goal; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d allowed, %d refused", f.allowed.Load(), f.refused.Load())
		}
	}
}
