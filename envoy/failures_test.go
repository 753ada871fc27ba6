package envoy_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// failuresFilter is the filter that docs/replay.md shows.
func failuresFilter(t *testing.T) any {
	t.Helper()
	page, err := os.ReadFile("../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "<!-- envoy: failures -->\n```yaml\n")
	text, _, ended := strings.Cut(rest, "```")
	var entry struct {
		Filter any `yaml:"filter"`
	}
	if err := yaml.Unmarshal([]byte(text), &entry); err != nil || !found || !ended || entry.Filter == nil {
		t.Fatalf("docs/replay.md shows no filter: %v", err)
	}
	return entry.Filter
}

// With entries of failures alone, what failed may come again, and silence means that a
// delivery was taken, at the end of its lease and not before.
func TestFailuresAlone(t *testing.T) {
	g := settleUnproven(t, func(config envoytest.Config) {
		config.Manager()["access_log"].([]any)[0].(map[string]any)["filter"] = failuresFilter(t)
	})
	g.settler.ExpectFailures()
	comes := func(webhook, body, mark string) {
		t.Helper()
		if _, got := g.post(t, webhook, body, 200); len(got) != 1 || got[0].Header.Get("x-hookbastion-replay") != mark {
			t.Fatalf("%s, %s: %v", webhook, body, got)
		}
	}
	for _, webhook := range []string{"release", "taken", "acknowledge"} {
		comes(webhook, "taken at once", "")
		g.refused(t, webhook, "taken at once", 503, "in_flight")
	}

	// The service learns of each failure that would have released something.
	for _, code := range []int{500, 503, 429} {
		g.Upstream.Answer(status(code))
		g.post(t, "taken", http.StatusText(code), code)
		g.await(t, g.store.settled, true)
		g.Upstream.Answer(nil)
		comes("taken", http.StatusText(code), "")
	}
	g.Upstream.Answer(status(404))
	g.post(t, "release", "refused", 404)
	g.await(t, g.store.settled, true)
	g.Upstream.Answer(nil)
	comes("release", "refused", "")
	g.Upstream.Answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	g.post(t, "taken", "closed", 503)
	g.await(t, g.store.settled, true)
	g.Upstream.Answer(nil)
	comes("taken", "closed", "possible")
	g.Upstream.Answer(func(w http.ResponseWriter, _ *http.Request) { // 200, and the rest never comes
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "a part of it")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	response, err := g.HTTP1.Do(g.signed(t, "release", []byte("broken off")))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body) // it is cut
	_ = response.Body.Close()
	g.await(t, g.store.settled, true)
	g.Upstream.Answer(nil)
	comes("release", "broken off", "possible")
	entered := make(chan bool, 1)
	g.Upstream.Answer(func(_ http.ResponseWriter, r *http.Request) { entered <- true; <-r.Context().Done() })
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-entered; leave() }()
	if response, err := g.HTTP1.Do(g.signed(t, "release", []byte("left")).WithContext(ctx)); err == nil {
		_ = response.Body.Close()
	}
	g.await(t, g.store.settled, true) // no status at all
	g.Upstream.Answer(nil)
	comes("release", "left", "possible")

	// Nothing came of what was taken: those above, and each retry.
	g.later(lease)
	for _, webhook := range []string{"release", "taken", "acknowledge"} {
		g.refused(t, webhook, "taken at once", 409, "replayed")
	}
	g.refused(t, "release", "left", 409, "replayed")
	if s := g.store.Stats(); s.LeaseReleased != 0 || s.LeaseTaken == 0 {
		t.Errorf("%+v", s)
	}
	if n := len(g.store.settled); n != 0 {
		t.Errorf("%d entries of what was taken", n)
	}
}
