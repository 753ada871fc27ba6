package envoy_test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/envoy"
)

// settledBy counts settlements until there are as many as deliveries.
func (g *settling) settledBy(t *testing.T, deliveries int64) {
	t.Helper()
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	for n := int64(0); n < deliveries; n++ {
		select {
		case <-g.store.settled:
		case <-timeout.C:
			t.Fatalf("%d of %d deliveries were never settled", deliveries-n, deliveries)
		}
	}
}

// Connections are asked to go again and again while deliveries are settled. None
// is forgotten on the way, and none is refused.
func TestOldConnectionsLoseNoSettlement(t *testing.T) {
	g := settleLimited(t, envoy.Limits{MaxAge: 100 * time.Millisecond, Grace: 500 * time.Millisecond, Shutdown: time.Second}, nil)
	g.store.settled = make(chan bool, 1<<20)
	var sent atomic.Int64
	var load sync.WaitGroup
	for range 16 {
		load.Go(func() {
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
				req := g.signed(t, "github", fmt.Appendf(nil, "%d", sent.Add(1)))
				if a := g.send(t, g.HTTP1, req); a.status != http.StatusOK {
					t.Errorf("status %d, %s", a.status, a.reason)
				}
			}
		})
	}
	load.Wait()
	g.settledBy(t, sent.Load())
	closed, err := g.Envoy.Get(t.Context(), "/stats?filter=cluster.hookbastion.upstream_cx_(close_notify|total)$")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d deliveries, %s", sent.Load(), closed)
}

// What was with the application when the service was stopped, and is answered
// soon, is settled. A health watch does not keep the stop waiting.
func TestStopSettlesWhatComesMeanwhile(t *testing.T) {
	const deliveries = 8
	g := settleLimited(t, envoy.Limits{Shutdown: 20 * time.Second}, nil)
	// By the same connection, and so by the same worker, which then has a stream.
	g.send(t, g.HTTP2, g.signed(t, "github", []byte("the first delivery")))
	g.await(t, g.store.settled, true)
	conn, err := grpc.NewClient(g.ServiceAddr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan bool), make(chan bool)
	g.Upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		w.WriteHeader(http.StatusInternalServerError)
	})
	var going sync.WaitGroup
	for i := range deliveries {
		going.Go(func() {
			if a := g.send(t, g.HTTP2, g.signed(t, "github", fmt.Appendf(nil, "%d", i))); a.status != http.StatusInternalServerError {
				t.Errorf("status %d, %s", a.status, a.reason)
			}
		})
	}
	for range deliveries {
		<-entered
	}
	began, stopped := time.Now(), make(chan struct{})
	go func() { g.Server.Stop(); close(stopped) }()
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("the watch says %v, %v", got, err)
	}
	for { // until the farewells are said
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.ServiceAddr.String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(leave)
	going.Wait()
	<-stopped
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if _, err := watch.Recv(); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("the watch ends with %v", err)
	}
	g.settledBy(t, deliveries)
	if s := g.store.Stats(); s.Released != deliveries {
		t.Errorf("%+v", s)
	}
}
