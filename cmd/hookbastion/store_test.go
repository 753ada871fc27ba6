package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

func fileArgs(policies, unix, nonces string) []string {
	return []string{"serve", "--policy", policies, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--grpc-unix-path", unix, "--grpc-lame-duck", "0s",
		"--replay-store", "FILE", "--replay-file-path", nonces}
}

// TestFileStoreIsKilledUnderLoad kills the service while deliveries come, each
// twice at once, and then sends all of them again. GitHub's have no signed time:
// only the store can tell a copy.
func TestFileStoreIsKilledUnderLoad(t *testing.T) {
	dir, table := quickstart(t)
	unix, nonces := socket(t), filepath.Join(dir, "nonces")
	args := fileArgs(filepath.Join(dir, "policies"), unix.Name, nonces)
	p := start(t, args...)
	p.stderr.await(t, "msg=serving")
	e := startEdge(t, unix, nil)
	var mu sync.Mutex
	passed := map[string]int{}
	send := func(body string) int {
		req, err := (&sample.Delivery{Webhook: "github", Host: e.client.Address}).Request(table, time.Now(), []byte(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		status, _, err := e.client.Send(context.Background(), req)
		if err != nil {
			return 503 // Envoy is there, the connection is not
		}
		if status == 200 {
			mu.Lock()
			passed[body]++
			mu.Unlock()
		}
		return status
	}
	const kills, workers = 5, 4
	var sent atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for worker := range workers {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf("%d of %d", i, worker)
				var both sync.WaitGroup
				both.Go(func() { send(body) })
				both.Go(func() { send(body) })
				both.Wait()
				sent.Add(1)
			}
		})
	}
	for range kills {
		for before := sent.Load(); sent.Load() < before+100; {
			runtime.Gosched()
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.wait(t)
		p = start(t, args...)
		p.stderr.await(t, "nonce log read.*after_crash=true")
		p.stderr.await(t, "msg=serving")
	}
	close(stop)
	load.Wait()
	terminate(t, p)
	p = start(t, args...)
	p.stderr.await(t, "nonce log read.*after_crash=false")
	p.stderr.await(t, "msg=serving")
	mu.Lock()
	var again []string
	for body := range passed {
		again = append(again, body)
	}
	mu.Unlock()
	for _, body := range again {
		if status := send(body); status != 409 && status != 503 {
			t.Errorf("%s once more: status %d", body, status)
		}
	}
	if status := send("another one"); status != 200 {
		t.Errorf("another one: status %d", status)
	}
	arrived := map[string]int{}
	for _, a := range e.application.Take() {
		arrived[string(a.Body)]++
	}
	for body, n := range arrived {
		if n > 1 {
			t.Errorf("%q reached the application %d times", body, n)
		}
	}
	t.Logf("%d bodies, %d passed, %d reached the application", sent.Load(), len(passed), len(arrived))
	if len(again) < kills*20 {
		t.Errorf("only %d passed", len(again))
	}
	terminate(t, p)
}

func TestTwoServicesInOneDirectory(t *testing.T) {
	dir, _ := quickstart(t)
	nonces := filepath.Join(dir, "nonces")
	p := start(t, fileArgs(filepath.Join(dir, "policies"), socket(t).Name, nonces)...)
	p.stderr.await(t, "new nonce log")
	p.stderr.await(t, "msg=serving")
	second := start(t, fileArgs(filepath.Join(dir, "policies"), socket(t).Name, nonces)...)
	if err := second.wait(t); err == nil {
		t.Error("the second one ended well")
	}
	second.stderr.await(t, "nonce store .*/nonces: another process uses the directory")
	terminate(t, p)
}
