package envoy_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/authz"
)

// returns waits for a function that must not wait for what the test does not end.
func returns(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(generous):
		t.Fatal("it does not return")
	}
}

// A watch is told that nothing is served, and then ended: a stop that has nothing else to
// wait for does not wait for it.
func TestStopEndsWatches(t *testing.T) {
	for _, service := range []string{"", authv3.Authorization_ServiceDesc.ServiceName, "unknown"} {
		server, conn := direct(t, authz.NewTable(), time.Hour)
		server.SetReady(true)
		watch, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		want := healthv1.HealthCheckResponse_SERVING
		if service == "unknown" {
			want = healthv1.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Fatalf("%q: %v, %v", service, got, err)
		}
		returns(t, server.Stop)
		if want == healthv1.HealthCheckResponse_SERVING {
			if got, err := watch.Recv(); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
				t.Errorf("%q: %v, %v", service, got, err)
			}
		}
		if got, err := watch.Recv(); grpcstatus.Code(err) != codes.Unavailable {
			t.Errorf("%q ends with %v, %v", service, got, err)
		}
	}
}

// A stop that is in a hurry, from the start or later, cuts off calls in flight.
func TestStopInAHurry(t *testing.T) {
	for name, late := range map[string]bool{"from the start": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			entered := make(chan struct{})
			table := authz.NewTable()
			table.Add(&authz.Webhook{Name: "stuck", Chain: authz.NewChain(misbehaving(func(call *authz.Call) authz.Reason {
				close(entered)
				<-call.Context.Done()
				return authz.Timeout
			}))}, authz.Match{Path: "/stuck", Methods: []string{"POST"}})
			server, conn := direct(t, table, time.Hour)
			req, _ := http.NewRequest(http.MethodPost, "https://h/stuck", nil)
			ended := make(chan error, 1)
			go func() {
				_, err := authv3.NewAuthorizationClient(conn).Check(context.Background(), checkRequest(req, nil, nil))
				ended <- err
			}()
			<-entered
			hurry := make(chan struct{})
			if !late {
				close(hurry)
			}
			returns(t, func() {
				stopped := make(chan struct{})
				go func() { server.StopUntil(hurry); close(stopped) }()
				if late {
					select {
					case <-stopped:
						t.Error("it did not wait for the call")
					case <-time.After(50 * time.Millisecond):
					}
					close(hurry)
				}
				<-stopped
			})
			if err := <-ended; err == nil {
				t.Error("the stuck call was answered")
			}
		})
	}
}
