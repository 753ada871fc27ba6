package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// healthChecks has Envoy ask each replica whether it is ready.
func healthChecks(c envoytest.Config) {
	c.GRPCService()["timeout"] = "5s" // the race detector is slow
	c.Map("static_resources", "clusters", 0)["health_checks"] = []any{map[string]any{
		"timeout": "1s", "interval": "0.2s", "no_traffic_interval": "0.2s", "unhealthy_threshold": 1, "healthy_threshold": 1,
		"grpc_health_check": map[string]any{"service_name": "envoy.service.auth.v3.Authorization"},
	}}
}

// TestScaleDown stops one of two replicas under load. Envoy sees in time that it
// is no longer ready, and no delivery is refused.
func TestScaleDown(t *testing.T) {
	const lameDuck = 2 * time.Second
	dir, table := quickstart(t)
	var processes [2]*process
	sockets := [2]*net.UnixAddr{socket(t), socket(t)}
	for i := range processes {
		processes[i] = start(t, append(serveArgs(filepath.Join(dir, "policies"), sockets[i]), "--grpc-lame-duck", lameDuck.String())...)
	}
	for _, p := range processes {
		p.stderr.await(t, "msg=serving")
	}
	leaving := processes[1]
	site := "http://" + leaving.stderr.await(t, `http=(\S+)`)[1]
	e := startEdge(t, sockets[0], func(c envoytest.Config) {
		healthChecks(c)
		c.AddEndpoint("hookbastion", sockets[1])
	})

	conn, err := grpc.NewClient("unix:"+sockets[1].Name, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthv1.NewHealthClient(conn).Watch(context.Background(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	says := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Fatalf("the watch says %v, %v", got, err)
		}
	}
	says(healthv1.HealthCheckResponse_SERVING)

	var next atomic.Int64
	deliver := func() {
		body := fmt.Appendf(nil, "delivery %d", next.Add(1))
		if status, _, err := e.client.Send(context.Background(), signed(t, table, "github", e.client.Address, body)); err != nil || status != http.StatusOK {
			t.Errorf("%s: status %d, %v", body, status, err)
		}
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					deliver()
				}
			}
		})
	}
	more := func() {
		for range 50 {
			deliver()
		}
	}
	more()
	began := time.Now()
	if err := leaving.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	says(healthv1.HealthCheckResponse_NOT_SERVING)
	if code, _ := get(t, site+"/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d", code)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ends with %v", err)
	}
	if err := leaving.wait(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < lameDuck || took > lameDuck+5*time.Second {
		t.Errorf("it took %v", took)
	}
	more()
	close(stop)
	load.Wait()
	if n := strings.Count(leaving.stdout.String(), `"reason":"ok"`); n == 0 {
		t.Error("Envoy has never asked it")
	}
}

// TestSecondSignal: who tells a service twice to stop does not wait for the rest of its
// lame duck, nor for streams that lie open.
func TestSecondSignal(t *testing.T) {
	dir, _ := quickstart(t)
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--grpc-lame-duck", "10m", "--limits-shutdown", "10m")...)
	p.stderr.await(t, "msg=serving")
	conn, err := grpc.NewClient("unix:"+unix.Name, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := alsv3.NewAccessLogServiceClient(conn).StreamAccessLogs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&alsv3.StreamAccessLogsMessage{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.stderr.await(t, "msg=stopping")
	}
	if err := p.wait(t); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
	p.stderr.await(t, "told to stop twice")
}
