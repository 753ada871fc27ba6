package envoy_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

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

// Envoy repeats a check whose first attempt was too slow: it is not a copy, and
// the first attempt does not give back what the second holds.
func TestEnvoysRetryAdopts(t *testing.T) {
	g := settle(t, func(c envoytest.Config) {
		c.GRPCService()["retry_policy"] = map[string]any{
			"num_retries": 3, "retry_on": "reset,deadline-exceeded,unavailable,cancelled",
			"retry_back_off": map[string]any{"base_interval": "0.01s", "max_interval": "0.3s"},
		}
	})
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
