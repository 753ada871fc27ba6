package envoy_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

func TestManyLargeBodiesStayInTheByteBudget(t *testing.T) {
	const deliveries, size, budget = 256, 1 << 20, 24 << 20
	g := start(t, envoytest.Options{Limits: envoy.Limits{InFlight: 1024, BytesInFlight: budget}, Edit: func(c envoytest.Config) {
		c.GRPCService()["timeout"] = "3s"
	}})
	g.unread = true
	var all sync.WaitGroup
	var ok, refused atomic.Int64
	begin := make(chan struct{})
	for i := range deliveries {
		body := make([]byte, size)
		body[0], body[1] = byte(i), byte(i>>8)
		req := g.signed(t, "github", body)
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			response, err := g.HTTP1.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
			switch response.StatusCode {
			case 200:
				ok.Add(1)
			case 503:
				refused.Add(1)
			default:
				t.Errorf("status %d", response.StatusCode)
			}
		}()
	}
	close(begin)
	all.Wait()
	_, peak, _ := g.Pool.Outstanding()
	t.Logf("%d accepted, %d refused, at most %d KiB of buffers", ok.Load(), refused.Load(), peak>>10)
	if peak > budget {
		t.Errorf("%d bytes of buffers at once, with a budget of %d", peak, budget)
	}
	if ok.Load() == 0 || int(ok.Load()) != len(g.Upstream.Take()) {
		t.Errorf("%d were accepted", ok.Load())
	}
	if a := g.send(t, g.HTTP1, g.signed(t, "github", []byte("afterwards"))); a.status != 200 {
		t.Errorf("afterwards: status %d, reason %s", a.status, a.reason)
	}
}

func TestChecksInFlightAreBounded(t *testing.T) {
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "slow", Chain: authz.NewChain(misbehaving(func(call *authz.Call) authz.Reason {
		entered <- struct{}{}
		<-leave
		call.Proof = authz.ProofSignature
		return authz.OK
	}))}, authz.Match{Path: "/slow", Methods: []string{"POST"}})
	g := start(t, envoytest.Options{Source: fixed{table}, Limits: envoy.Limits{InFlight: 2, BytesInFlight: 256 << 20},
		Edit: func(c envoytest.Config) { // Envoy must not hold the third one back
			options := c.Map("static_resources", "clusters", 0, "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
			options["explicit_http_config"] = map[string]any{"http2_protocol_options": map[string]any{"max_concurrent_streams": 1}}
		}})
	post := func() answer {
		req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+"/slow", strings.NewReader("{}"))
		return g.send(t, g.HTTP1, req)
	}
	answers := make(chan answer, 2)
	for range 2 {
		go func() { answers <- post() }()
	}
	<-entered
	<-entered
	if a := post(); a.status != 503 || a.reason != "overloaded" || !strings.Contains(a.text, "Retry-After: ") {
		t.Errorf("the third: status %d, reason %s", a.status, a.reason)
	}
	close(leave)
	for range 2 {
		if a := <-answers; a.status != 200 {
			t.Errorf("status %d, reason %s", a.status, a.reason)
		}
	}
	if a := post(); a.status != 200 {
		t.Errorf("afterwards: status %d, reason %s", a.status, a.reason)
	}
}

// Envoy sends its access log over the connections of its checks: a single check at once
// leaves room for it, and the access log leaves room for the check.
func TestOneCheckAtOnceAndTheAccessLog(t *testing.T) {
	server, first := directWith(t, &envoy.Service{Source: fixed{policies(t)}, Mapping: envoy.Mapping{MaxRequestBytes: 1000}}, envoy.Limits{
		MaxRequestBytes: 1000, InFlight: 1, BytesInFlight: 64 << 20, Connections: 2, Shutdown: time.Second,
	})
	second, err := grpc.NewClient(first.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	for _, conn := range []*grpc.ClientConn{first, second} {
		stream, err := alsv3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
		if err == nil {
			err = stream.Send(&alsv3.StreamAccessLogsMessage{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, "https://h/unknown", nil)
	for _, conn := range []*grpc.ClientConn{first, second} {
		answer, err := authv3.NewAuthorizationClient(conn).Check(ctx, checkRequest(req, nil, nil))
		if err != nil || answer.GetDeniedResponse().GetStatus().GetCode() != http.StatusNotFound {
			t.Errorf("%v, %v", answer, err)
		}
	}
	for limit, times := range server.Met() {
		if times != 0 {
			t.Errorf("%s was met %d times", limit, times)
		}
	}
}

// direct is a server with a plain gRPC client, without Envoy.
func direct(t *testing.T, table *authz.Table, shutdown time.Duration) (*envoy.Server, *grpc.ClientConn) {
	t.Helper()
	return directTo(t, &envoy.Service{Source: fixed{table}, Mapping: envoy.Mapping{MaxRequestBytes: 1000}}, shutdown)
}

func directTo(t *testing.T, service *envoy.Service, shutdown time.Duration) (*envoy.Server, *grpc.ClientConn) {
	t.Helper()
	return directWith(t, service, envoy.Limits{
		MaxRequestBytes: 1000, InFlight: 16, BytesInFlight: 64 << 20, Connections: 4, Shutdown: shutdown,
	})
}

func directWith(t *testing.T, service *envoy.Service, limits envoy.Limits) (*envoy.Server, *grpc.ClientConn) {
	t.Helper()
	server := envoy.NewServer(service, limits, &envoytest.PoisonPool{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return server, conn
}

// Envoy's limit is larger than the service was told.
func TestBodiesBeyondTheSettingAreRefusedAndRecorded(t *testing.T) {
	g := start(t, envoytest.Options{Mapping: envoy.Mapping{MaxRequestBytes: 1000}, Edit: func(c envoytest.Config) {
		c.WithRequestBody()["max_request_bytes"] = 16 << 20
	}})
	g.unread = true
	for _, c := range []struct{ size, status int }{{999, 200}, {9 << 20, 413}} {
		a := g.send(t, g.HTTP1, g.signed(t, "github", make([]byte, c.size)))
		if got := g.Upstream.Take(); a.status != c.status || (len(got) == 1) != (c.status == 200) {
			t.Errorf("%d bytes: status %d, %d upstream", c.size, a.status, len(got))
		}
	}
	if !g.Records.AwaitText(`"reason":"body_too_large"`) {
		t.Error("it was not recorded")
	}
}

func TestHealthFollowsReadiness(t *testing.T) {
	server, conn := direct(t, policies(t), time.Second)
	client := healthv1.NewHealthClient(conn)
	for _, ready := range []bool{false, true, false} {
		server.SetReady(ready)
		for _, name := range []string{"", "envoy.service.auth.v3.Authorization"} {
			response, err := client.Check(context.Background(), &healthv1.HealthCheckRequest{Service: name})
			if err != nil || (response.GetStatus() == healthv1.HealthCheckResponse_SERVING) != ready {
				t.Errorf("%q, ready %v: %v, %v", name, ready, response, err)
			}
		}
	}
}

func TestStopIsBounded(t *testing.T) {
	entered := make(chan struct{})
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "stuck", Chain: authz.NewChain(misbehaving(func(call *authz.Call) authz.Reason {
		close(entered)
		<-call.Context.Done()
		return authz.Timeout
	}))}, authz.Match{Path: "/stuck", Methods: []string{"POST"}})
	server, conn := direct(t, table, 50*time.Millisecond)
	// A health watch is a stream that never ends by itself.
	watch, err := healthv1.NewHealthClient(conn).Watch(context.Background(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodPost, "https://h/stuck", nil)
	ended := make(chan error, 1)
	go func() {
		_, err := authv3.NewAuthorizationClient(conn).Check(context.Background(), checkRequest(req, nil, nil))
		ended <- err
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { server.Stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(generous):
		t.Fatal("Stop does not return")
	}
	if err := <-ended; err == nil {
		t.Error("the stuck call was answered")
	}
}

func TestAttemptTimeIsTheShorterOne(t *testing.T) {
	table := authz.NewTable()
	left := make(chan time.Duration, 1)
	table.Add(&authz.Webhook{Name: "hook", Chain: authz.NewChain(misbehaving(func(call *authz.Call) authz.Reason {
		deadline, _ := call.Context.Deadline()
		left <- time.Until(deadline)
		return authz.SignatureInvalid
	}))}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
	g := start(t, envoytest.Options{Source: fixed{table}, Edit: func(c envoytest.Config) {
		service := c.GRPCService()
		service["timeout"] = "20s"
		service["retry_policy"] = map[string]any{"num_retries": 1, "retry_back_off": map[string]any{"base_interval": "1s", "max_interval": "10s"}}
	}})
	req, _ := http.NewRequest(http.MethodPost, "https://"+g.Address+"/hook", strings.NewReader("{}"))
	if a := g.send(t, g.HTTP1, req); a.status != 401 {
		t.Errorf("status %d", a.status)
	}
	if d := <-left; d <= 0 || d > 10*time.Second {
		t.Errorf("%s left of an attempt of 10 s", d)
	}
}
