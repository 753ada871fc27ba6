package envoy_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// collector takes Envoy's access log in place of the service and hands its
// messages to the test, which sends on what it likes.
type collector struct {
	alsv3.UnimplementedAccessLogServiceServer
	got chan *alsv3.StreamAccessLogsMessage
	to  alsv3.AccessLogService_StreamAccessLogsClient
}

func (c *collector) StreamAccessLogs(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(m.GetHttpLogs().GetLogEntry()) > 0 {
			c.got <- m
		}
	}
}

// collected is settle with a collector between Envoy and the service.
func collected(t *testing.T) (*settling, *collector) {
	t.Helper()
	c := &collector{got: make(chan *alsv3.StreamAccessLogsMessage, 100)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	alsv3.RegisterAccessLogServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-served })
	g := settleUnproven(t, logTo(listener.Addr()))
	conn, err := grpc.NewClient(g.ServiceAddr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = conn.Close() })
	if c.to, err = alsv3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx); err != nil {
		t.Fatal(err)
	}
	return g, c
}

// logTo has Envoy send its access log to another address, each entry at once: the test's
// clock jumps by a lease while entries would wait for others.
func logTo(address net.Addr) func(envoytest.Config) {
	return func(config envoytest.Config) {
		clusters := config.At("static_resources", "clusters").([]any)
		service := config.At("static_resources", "clusters", 0).(map[string]any)
		config.Map("static_resources")["clusters"] = append(clusters, map[string]any{
			"name": "collector", "type": "STATIC", "connect_timeout": "0.5s",
			"typed_extension_protocol_options": service["typed_extension_protocol_options"],
			"load_assignment": map[string]any{"cluster_name": "collector", "endpoints": []any{map[string]any{
				"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": map[string]any{
					"socket_address": map[string]any{"address": "127.0.0.1", "port_value": address.(*net.TCPAddr).Port}}}}}}}},
		})
		log := config.Manager()["access_log"].([]any)[0].(map[string]any)["typed_config"].(map[string]any)["common_config"].(map[string]any)
		log["grpc_service"] = map[string]any{"envoy_grpc": map[string]any{"cluster_name": "collector"}}
		log["buffer_size_bytes"] = 0
	}
}

// next is the next message that Envoy sent.
func (c *collector) next(t *testing.T) *alsv3.StreamAccessLogsMessage {
	t.Helper()
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	select {
	case m := <-c.got:
		return m
	case <-timeout.C:
		t.Fatal("no entry came")
		return nil
	}
}

// pass sends a message on and waits until it was settled by.
func (c *collector) pass(t *testing.T, g *settling, m *alsv3.StreamAccessLogsMessage, changes bool) {
	t.Helper()
	if err := c.to.Send(m); err != nil {
		t.Fatal(err)
	}
	g.await(t, g.store.settled, changes)
}

// prove lets the access log show that it is there.
func (c *collector) prove(t *testing.T, g *settling) {
	t.Helper()
	g.post(t, "github", "the first delivery", 200)
	c.pass(t, g, c.next(t), true)
}

func (g *settling) later(d time.Duration) { g.ahead.Add(int64(d)) }

func TestAccessLogCut(t *testing.T) {
	g, c := collected(t)
	c.prove(t, g)
	for _, webhook := range []string{"release", "taken", "acknowledge"} {
		g.Upstream.Answer(status(500))
		g.post(t, webhook, "cut", 500)
		c.next(t) // and it is lost
		g.Upstream.Answer(nil)
		for range 3 {
			if a := g.refused(t, webhook, "cut", 503, "in_flight"); !strings.Contains(a.text, "Retry-After: ") {
				t.Errorf("no Retry-After:\n%s", a.text)
			}
			c.next(t) // of the refusal
		}
	}
	g.later(lease)
	_, got := g.post(t, "release", "cut", 200)
	if len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != "possible" {
		t.Errorf("after the lease: %v", got)
	}
	g.refused(t, "taken", "cut", 409, "replayed")
	g.refused(t, "acknowledge", "cut", 409, "replayed") // never 200: nobody knows
	if s := g.store.Stats(); s.LeaseReleased != 1 || s.LeaseTaken != 2 || s.Possible != 1 {
		t.Errorf("not counted: %+v", s)
	}
}

func TestAccessLogDelayed(t *testing.T) {
	g, c := collected(t)
	c.prove(t, g)
	g.Upstream.Answer(status(500))
	g.post(t, "taken", "late", 500)
	entry := c.next(t)
	g.Upstream.Answer(nil)
	g.refused(t, "taken", "late", 503, "in_flight")
	c.next(t)
	g.later(10 * time.Second)
	g.refused(t, "taken", "late", 503, "in_flight")
	c.next(t)
	c.pass(t, g, entry, true)
	if _, got := g.post(t, "taken", "late", 200); len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != "" {
		t.Errorf("the retry: %v", got)
	}
	c.pass(t, g, c.next(t), true)
	c.pass(t, g, entry, false) // once more, much too late
	g.refused(t, "taken", "late", 409, "replayed")
	c.next(t)

	// Beyond the lease it changes nothing.
	g.Upstream.Answer(status(500))
	g.post(t, "taken", "later", 500)
	entry = c.next(t)
	g.Upstream.Answer(nil)
	g.later(lease)
	c.pass(t, g, entry, false)
	g.refused(t, "taken", "later", 409, "replayed")
}

func TestAccessLogDoubled(t *testing.T) {
	g, c := collected(t)
	c.prove(t, g)
	g.Upstream.Answer(status(500))
	g.post(t, "taken", "doubled", 500)
	failed := c.next(t)
	c.pass(t, g, failed, true)
	g.Upstream.Answer(nil)
	g.post(t, "taken", "doubled", 200)
	delivered := c.next(t)
	c.pass(t, g, failed, false) // must not release the second reservation
	g.refused(t, "taken", "doubled", 503, "in_flight")
	c.next(t)
	c.pass(t, g, delivered, true)
	c.pass(t, g, delivered, false)
	c.pass(t, g, failed, false)
	g.refused(t, "taken", "doubled", 409, "replayed")
}

// Entries that are not the last of their request, or not ours, change nothing.
func TestAccessLogForged(t *testing.T) {
	g, c := collected(t)
	c.prove(t, g)
	g.Upstream.Answer(status(500))
	g.post(t, "taken", "forged", 500)
	genuine := c.next(t)
	g.Upstream.Answer(nil)
	forge := func(change func(*accesslogv3.HTTPAccessLogEntry)) *alsv3.StreamAccessLogsMessage {
		m := proto.CloneOf(genuine)
		change(m.GetHttpLogs().GetLogEntry()[0])
		return m
	}
	fields := func(e *accesslogv3.HTTPAccessLogEntry) map[string]*structpb.Value {
		return e.GetCommonProperties().GetMetadata().GetFilterMetadata()["envoy.filters.http.ext_authz"].GetFields()
	}
	seal := fields(genuine.GetHttpLogs().GetLogEntry()[0])["settle"].GetStringValue()
	if len(seal) < 64 {
		t.Fatalf("the seal is %q", seal)
	}
	otherKey := replay.NewSettler(nil, lease, replay.SealKey{2})
	opened, ok := g.settler.Open(seal)
	if !ok {
		t.Fatal("the seal is not ours")
	}
	flipped := []byte(seal)
	flipped[20] ^= 1
	for name, m := range map[string]*alsv3.StreamAccessLogsMessage{
		"no seal": forge(func(e *accesslogv3.HTTPAccessLogEntry) { delete(fields(e), "settle") }),
		"another key": forge(func(e *accesslogv3.HTTPAccessLogEntry) {
			fields(e)["settle"] = structpb.NewStringValue(otherKey.Seal(opened))
		}),
		"a bit": forge(func(e *accesslogv3.HTTPAccessLogEntry) {
			fields(e)["settle"] = structpb.NewStringValue(string(flipped))
		}),
		"cut":          forge(func(e *accesslogv3.HTTPAccessLogEntry) { fields(e)["settle"] = structpb.NewStringValue(seal[:70]) }),
		"the id alone": forge(func(e *accesslogv3.HTTPAccessLogEntry) { fields(e)["settle"] = fields(e)["decision_id"] }),
		"a number":     forge(func(e *accesslogv3.HTTPAccessLogEntry) { fields(e)["settle"] = structpb.NewNumberValue(1) }),
		"the start": forge(func(e *accesslogv3.HTTPAccessLogEntry) {
			e.CommonProperties.AccessLogType = accesslogv3.AccessLogType_DownstreamStart
		}),
		"in between": forge(func(e *accesslogv3.HTTPAccessLogEntry) {
			e.CommonProperties.AccessLogType = accesslogv3.AccessLogType_DownstreamPeriodic
		}),
		"an upstream's": forge(func(e *accesslogv3.HTTPAccessLogEntry) {
			e.CommonProperties.AccessLogType = accesslogv3.AccessLogType_UpstreamEnd
		}),
		"not the last": forge(func(e *accesslogv3.HTTPAccessLogEntry) {
			e.CommonProperties.AccessLogType, e.CommonProperties.IntermediateLogEntry = accesslogv3.AccessLogType_NotSet, true //nolint:staticcheck // older Envoys
		}),
		"a redirect": forge(func(e *accesslogv3.HTTPAccessLogEntry) { e.Response.ResponseCodeDetails = "internal_redirect" }),
		"nothing":    {},
		"an entry without anything": {LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*accesslogv3.HTTPAccessLogEntry{{}, nil}}}},
		"connections": {LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{}}},
		"too large":   forge(func(e *accesslogv3.HTTPAccessLogEntry) { e.Request.Path = strings.Repeat("a", 1<<20) }),
	} {
		if err := c.to.Send(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// The stream is read in order: once this is settled, all others were read.
	c.pass(t, g, genuine, true)
	if s := g.store.Stats(); s.Released != 1 || s.Delivered != 1 {
		t.Errorf("%+v", s)
	}
	select {
	case <-g.store.settled:
		t.Error("something else was settled")
	default:
	}
}

// Where no access log ever comes, it is as in one phase.
func TestAccessLogNeverSeen(t *testing.T) {
	g, c := collected(t)
	g.post(t, "release", "first", 200)
	c.next(t)
	g.refused(t, "release", "first", 409, "replayed")
	g.later(lease)
	g.refused(t, "release", "first", 409, "replayed")
}

// A stream that the service cannot read ends with an error, so that whoever
// sends it learns of that.
func TestAccessLogCompressed(t *testing.T) {
	_, conn := direct(t, authz.NewTable(), time.Second)
	stream, err := alsv3.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context(), grpc.UseCompressor(gzip.Name))
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&alsv3.StreamAccessLogsMessage{Identifier: &alsv3.StreamAccessLogsMessage_Identifier{LogName: "log"}}) // the answer says what happened
	err = stream.RecvMsg(&alsv3.StreamAccessLogsResponse{})
	if s := grpcstatus.Convert(err); s.Code() != codes.Internal || s.Message() != "unreadable message" {
		t.Errorf("%v", err)
	}
}
