package envoy_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// A check whose client leaves gives its nonce back.
func TestCancelledCheckGivesBack(t *testing.T) {
	g := settle(t, nil)
	entered := make(chan bool, 1)
	hold := func(ctx context.Context, a replay.Answer) {
		if a.Outcome == replay.Reserved {
			entered <- true
			<-ctx.Done()
		}
	}
	g.store.before.Store(&hold)
	for _, client := range []*http.Client{g.HTTP1, g.HTTP2} {
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-entered; leave() }()
		if response, err := client.Do(g.signed(t, "taken", []byte("the same")).WithContext(ctx)); err == nil {
			_ = response.Body.Close()
			t.Errorf("status %d", response.StatusCode)
		}
		g.await(t, g.store.released, true)
	}
	g.store.before.Store(nil)
	g.passes(t, "taken", "the same", "")
}

// repeatChecks has Envoy ask again when a check takes too long.
func repeatChecks(c envoytest.Config) {
	c.GRPCService()["retry_policy"] = map[string]any{
		"num_retries": 3, "retry_on": "reset,deadline-exceeded,unavailable,cancelled",
		"retry_back_off": map[string]any{"base_interval": "0.01s", "max_interval": "0.3s"},
	}
}

// An attempt is held up before it reserves, Envoy repeats the check, and the
// request is with the application when the first attempt comes to the store, sees
// that nobody waits for it, and gives back. Nobody's copy passes for that.
func TestLateAttemptTakesNothing(t *testing.T) {
	for _, webhook := range []string{"taken", "release", "stripe"} {
		t.Run(webhook, func(t *testing.T) {
			g := settleUnproven(t, func(c envoytest.Config) {
				repeatChecks(c)
				c.GRPCService()["timeout"] = "1s"
			})
			g.settler.Pause = func(context.Context, time.Duration) bool { return false } // the time of an attempt is short
			g.post(t, "github", "the first delivery", 200)
			g.await(t, g.store.settled, true)
			asked, entered, leave := make(chan struct{}), make(chan struct{}), make(chan struct{})
			arrives := sync.OnceFunc(func() { close(entered) })
			var attempts atomic.Int64
			late := func(ctx context.Context) {
				if attempts.Add(1) == 1 {
					close(asked)
					<-ctx.Done()
					<-entered
				}
			}
			g.Upstream.Answer(func(http.ResponseWriter, *http.Request) {
				arrives()
				<-leave
			})
			g.store.early.Store(&late)
			now := time.Now()
			send := func() answer {
				return g.send(t, g.HTTP1, signedAt(t, g.table, webhook, "https://"+g.Address, []byte("on its way"), now))
			}
			first := make(chan int, 1)
			go func() {
				response, err := g.HTTP1.Do(signedAt(t, g.table, webhook, "https://"+g.Address, []byte("on its way"), now))
				if err != nil {
					first <- 0
					return
				}
				_ = response.Body.Close()
				first <- response.StatusCode
			}()
			<-asked
			g.await(t, g.store.released, true) // the first attempt
			g.store.early.Store(nil)
			if a := send(); a.status != 503 || a.reason != "in_flight" {
				t.Errorf("a copy while it is with the application: status %d %q", a.status, a.reason)
			}
			close(leave)
			if status := <-first; status != 200 {
				t.Errorf("the delivery: status %d", status)
			}
			g.await(t, g.store.settled, true)
			if a := send(); a.status != 409 || a.reason != "replayed" {
				t.Errorf("a copy: status %d %q", a.status, a.reason)
			}
			if got := g.Upstream.Take(); len(got) != 1 {
				t.Errorf("%d reached the application", len(got))
			}
			if s := g.store.Stats(); attempts.Load() < 2 || s.Adopted == 0 || s.GivenBack != 0 {
				t.Errorf("%d attempts, %+v", attempts.Load(), s)
			}
		})
	}
}

// Envoy repeats a check whose first attempt was too slow: it is not a copy, and
// the first attempt does not give back what the second holds.
func TestEnvoysRetryAdopts(t *testing.T) {
	g := settle(t, repeatChecks)
	var attempts atomic.Int64
	again := make(chan struct{})
	hold := func(ctx context.Context, _ replay.Answer) {
		switch attempts.Add(1) {
		case 1:
			<-ctx.Done()
			select { // an answer before Envoy's own clock has run out would count
			case <-again:
			case <-time.After(generous):
			}
		case 2:
			close(again)
		}
	}
	g.store.before.Store(&hold)
	g.passes(t, "taken", "the same", "")
	g.store.before.Store(nil)
	if s := g.store.Stats(); attempts.Load() < 2 || s.Copies != 0 || s.Adopted+s.GivenBack == 0 {
		t.Errorf("%d attempts, %+v", attempts.Load(), s)
	}
	g.refused(t, "taken", "the same", 409, "replayed")
}

// The operator lets one refused copy through; of many at once, one passes.
func TestRedeliverLetsOneThrough(t *testing.T) {
	g := settle(t, nil)
	g.passes(t, "github", "again", "")
	a := g.refused(t, "github", "again", 409, "replayed")
	id := a.record["decision_id"].(string)
	if webhook, err := g.settler.Redeliver(t.Context(), id, g.now()); err != nil || webhook != "github" {
		t.Fatalf("%q, %v", webhook, err)
	}
	if webhook, err := g.settler.Redeliver(t.Context(), id, g.now()); err != nil || webhook != "" {
		t.Errorf("the same decision again: %q, %v", webhook, err)
	}
	statuses := make(chan int, 20)
	for range cap(statuses) {
		go func() {
			response, err := g.HTTP1.Do(g.signed(t, "github", []byte("again")))
			if err != nil {
				statuses <- 0
				return
			}
			_ = response.Body.Close()
			statuses <- response.StatusCode
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	got := g.Upstream.Take()
	if len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != "redelivered" || count[200] != 1 || count[409] != cap(statuses)-1 {
		t.Errorf("%d reached the upstream, statuses %v", len(got), count)
	}
}

func TestStopDoesNotWaitForAccessLogs(t *testing.T) {
	g := settle(t, nil)
	begin := time.Now()
	g.Server.Stop()
	if took := time.Since(begin); took > 3*time.Second { // of 5 that it may take
		t.Errorf("the stop took %s", took)
	}
}

// A delivery is signed with two keys, as while one is rotated. An attacker takes
// one of the signatures off, either one: it is the same delivery.
func TestSignatureTakenOffIsACopy(t *testing.T) {
	g := settle(t, nil)
	for _, keep := range []string{"1", "next"} {
		first := map[string]string{"1": "next", "next": "1"}[keep] // that the first copy has alone
		now := time.Now()
		body := []byte(`{"keeps":"` + keep + `"}`)
		signature := map[string]string{}
		for _, key := range []string{"1", "next"} {
			req := g.signedWith(t, "rotating", body, key, now)
			at, value, _ := strings.Cut(req.Header.Get("Stripe-Signature"), ",")
			signature["t"], signature[key] = at, value
		}
		if signature["1"] == signature["next"] || !strings.HasPrefix(signature["next"], "v1=") {
			t.Fatalf("%v", signature)
		}
		send := func(keys ...string) answer {
			req := g.signedWith(t, "rotating", body, "1", now)
			header := signature["t"]
			for _, key := range keys {
				header += "," + signature[key]
			}
			req.Header.Set("Stripe-Signature", header)
			return g.send(t, g.HTTP1, req)
		}
		if a := send("1", "next"); a.status != 200 {
			t.Fatalf("with both: status %d %s", a.status, a.reason)
		}
		g.await(t, g.store.settled, true)
		for _, keys := range [][]string{{first}, {keep}, {"next", "1"}, {"1", "next"}} {
			if a := send(keys...); a.reason != "replayed" {
				t.Errorf("signed by %v: status %d %s", keys, a.status, a.reason)
			}
		}
		if got := g.Upstream.Take(); len(got) != 1 {
			t.Errorf("%d reached the upstream", len(got))
		}
	}
}

// signedWith signs with one of the keys of a webhook.
func (g *settling) signedWith(t *testing.T, webhook string, body []byte, key string, now time.Time) *http.Request {
	t.Helper()
	req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/" + webhook), Body: authz.Body{Segments: [][]byte{body}}}
	if err := g.table.Webhook(webhook).Sign(req, authz.Signing{KeyID: key, Now: now}); err != nil {
		t.Fatal(err)
	}
	out, err := http.NewRequest(http.MethodPost, "https://"+g.Address+"/"+webhook, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	watchMACs(t, out.Header)
	return out
}
