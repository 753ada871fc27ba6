package envoy_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

// replica is another server with the same nonces, which takes Envoy's access log.
type replica struct {
	address string
	service *envoy.Service
	limits  envoy.Limits // of which the ages count, and the time of a stop
	tls     *mtls.Server // nil: none
	server  *envoy.Server
	served  chan error
}

func (r *replica) serve(listener net.Listener) {
	limits := envoy.Limits{
		MaxRequestBytes: 1 << 20, InFlight: 64, BytesInFlight: 64 << 20, Connections: 64, Shutdown: 2 * time.Second,
		MaxAge: r.limits.MaxAge, Grace: r.limits.Grace,
	}
	if r.limits.Shutdown > 0 {
		limits.Shutdown = r.limits.Shutdown
	}
	if r.tls != nil {
		listener = r.tls.Listen(listener, nil)
	}
	r.server = envoy.NewServer(r.service, limits, nil)
	r.server.SetReady(true)
	r.served = make(chan error, 1)
	go func() { r.served <- r.server.Serve(listener) }()
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	r.serve(listener)
}

func (r *replica) stop(t *testing.T) {
	t.Helper()
	r.server.Stop()
	if err := <-r.served; err != nil {
		t.Error(err)
	}
}

// The server that takes the access log is away for a while. What ends meanwhile is
// not known: no copy is accepted, and an honest retry waits for the lease at most.
// When it is back, deliveries are settled again, without a restart of Envoy.
func TestAccessLogServerRestarted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := settleUnproven(t, logTo(listener.Addr()))
	r := &replica{address: listener.Addr().String(), service: &envoy.Service{Source: fixed{g.table}, Settler: g.settler, Now: g.now}}
	r.serve(listener)
	t.Cleanup(func() { r.stop(t) })
	g.post(t, "github", "the first delivery", 200)
	g.await(t, g.store.settled, true)
	failed := func(webhook, body string) {
		t.Helper()
		g.Upstream.Answer(status(500))
		g.post(t, webhook, body, 500)
		g.Upstream.Answer(nil)
	}
	failed("taken", "before")
	g.await(t, g.store.settled, true)
	g.passes(t, "taken", "before", "")

	// One is with the application all the time, and fails in the end.
	entered, leave, ended := make(chan bool), make(chan bool), make(chan int)
	g.Upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		w.WriteHeader(500)
	})
	going := g.signed(t, "release", []byte("on its way"))
	go func() {
		response, err := g.HTTP1.Do(going)
		if err != nil {
			ended <- 0
			return
		}
		_ = response.Body.Close()
		ended <- response.StatusCode
	}()
	<-entered
	r.stop(t)
	failed("release", "failed meanwhile")
	g.post(t, "taken", "delivered meanwhile", 200)
	unknown := func() {
		t.Helper()
		g.refused(t, "release", "failed meanwhile", 503, "in_flight")
		g.refused(t, "taken", "delivered meanwhile", 503, "in_flight")
	}
	unknown()
	r.start(t)
	close(leave)
	if status := <-ended; status != 500 {
		t.Errorf("the one on its way: status %d", status)
	}
	g.flows(t)
	unknown() // Envoy sends no entry twice

	// The log was back in time for it, or was not.
	early, got := g.sent(t, "release", "on its way")
	if early.status != 200 && early.reason != "in_flight" || len(got) > 0 != (early.status == 200) {
		t.Errorf("the one on its way: %d %s, %d reached the upstream", early.status, early.reason, len(got))
	}
	if early.status == 200 {
		g.copies(t, "release", "on its way") // its own entry comes before the lease ends
	}
	g.later(lease)
	again := []string{"failed meanwhile"}
	if early.status != 200 {
		again = append(again, "on its way")
	}
	for _, body := range again {
		if a, got := g.sent(t, "release", body); a.status != 200 || len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != "possible" {
			t.Errorf("%s, after the lease: %d %s, %v", body, a.status, a.reason, got)
		}
	}
	g.copies(t, "release", "failed meanwhile")
	g.copies(t, "release", "on its way")
	g.copies(t, "taken", "delivered meanwhile")
}

// What docs/replay.md says of a metadata_filter: the entries that settle pass it.
func TestAccessLogFilteredByMetadata(t *testing.T) {
	text, err := os.ReadFile("../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	if !strings.Contains(page, "`metadata_filter` with `filter: envoy.filters.http.ext_authz`, `path: [{key: settle}]` and `present_match: true`") {
		t.Fatal("docs/replay.md says something else")
	}
	g := settle(t, func(config envoytest.Config) {
		config.Manager()["access_log"].([]any)[0].(map[string]any)["filter"] = map[string]any{"metadata_filter": map[string]any{
			"matcher": map[string]any{
				"filter": "envoy.filters.http.ext_authz", "path": []any{map[string]any{"key": "settle"}}, "value": map[string]any{"present_match": true},
			},
			"match_if_key_not_found": false,
		}}
	})
	g.Upstream.Answer(status(500))
	g.post(t, "taken", "filtered", 500)
	g.await(t, g.store.settled, true)
	g.Upstream.Answer(nil)
	g.passes(t, "taken", "filtered", "")
	g.refused(t, "taken", "filtered", 409, "replayed")
}

// sent is post with any outcome.
func (g *settling) sent(t *testing.T, webhook, body string) (answer, []envoytest.Arrival) {
	t.Helper()
	g.Upstream.Take()
	a := g.send(t, g.HTTP1, g.signed(t, webhook, []byte(body)))
	return a, g.Upstream.Take()
}

// flows returns when deliveries are settled again.
func (g *settling) flows(t *testing.T) {
	t.Helper()
	for len(g.store.settled) > 0 {
		<-g.store.settled
	}
	deadline := time.Now().Add(generous)
	for sent := 0; len(g.store.settled) == 0; sent++ {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is settled any more, after %d deliveries", sent)
		}
		g.post(t, "github", fmt.Sprintf("again %d", sent), 200)
	}
}

// copies wants a delivery refused as a copy, once it is settled.
func (g *settling) copies(t *testing.T, webhook, body string) {
	t.Helper()
	deadline := time.Now().Add(generous)
	for {
		a, got := g.sent(t, webhook, body)
		if len(got) > 0 {
			t.Fatalf("a copy of %s reached the upstream", body)
		}
		if a.reason == "replayed" {
			return
		}
		if a.reason != "in_flight" || time.Now().After(deadline) {
			t.Fatalf("a copy of %s: %d %s", body, a.status, a.reason)
		}
	}
}
