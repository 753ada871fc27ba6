package console

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// get returns a page.
func get(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return response, readAll(t, response)
}

func readAll(t *testing.T, response *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return string(text)
}

// TestPages: each page is there, says what it should, and has the headers that keep
// pages of others out.
func TestPages(t *testing.T) {
	ring := decisionsOfADay(5000, noon)
	server := serving(t, sample(ring, noon))
	newest := ring.Query(recent.Query{Limit: 1}).Decisions[0]
	for path, want := range map[string]struct {
		status int
		words  []string
	}{
		"/":                                  {200, []string{"stripe-payments", "signature_invalid", "(no webhook)", "Unusual now", "994896bb", "Last denials", "1 documents of providers"}},
		"/?window=24h&sort=name":             {200, []string{"last 24 hours", `aria-sort="ascending"`}},
		"/decisions":                         {200, []string{newest.DecisionID, "5,000 are kept", "Older"}},
		"/decisions?reason=replayed":         {200, []string{"<option selected>replayed</option>", ">replayed<"}},
		"/decisions?webhook=nobody":          {200, []string{"No decision that is kept is like this."}},
		"/decisions?since=x":                 {200, []string{`role="alert"`, "RFC 3339"}},
		"/decisions?before=x":                {200, []string{"begin anew"}},
		"/decisions?before=x-9":              {200, []string{"begin anew"}},
		"/decisions?id=" + newest.DecisionID: {200, []string{"Checks, in their order", newest.RequestID}},
		"/decisions/" + newest.DecisionID:    {200, []string{"Checks, in their order", newest.RequestID, newest.TraceID}},
		"/decisions/nothing":                 {404, []string{"No such decision", "nothing"}},
		"/webhook?name=github":               {200, []string{"<h1>github</h1>", "/run/secrets/github", "≤ 64 µs"}},
		"/webhook?name=nobody":               {404, []string{"Not found"}},
		"/webhook":                           {404, []string{"Not found"}},
		"/keys":                              {200, []string{"older than 90 days: rotate", "503 Service Unavailable", "40,000"}},
		"/policy":                            {200, []string{"HB021", "policies/webhooks.yaml:14:5", "accepted", "issued like that"}},
		"/nothing":                           {404, []string{"Not found"}},
	} {
		response, text := get(t, server.URL+path)
		if response.StatusCode != want.status {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
		for _, word := range want.words {
			if !strings.Contains(text, word) {
				t.Errorf("%s does not say %q", path, word)
			}
		}
		if csp := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		// What is inline would not run, and nothing comes from elsewhere.
		if inline := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\s(on[a-z]+|style)=|(src|href|action)="(https?:|//)`).FindString(text); inline != "" {
			t.Errorf("%s has %q", path, inline)
		}
	}
}

// A handshake was answered, and neither failed nor reached the application.
func TestDecisionOfAHandshake(t *testing.T) {
	ring := recent.New(1<<20, "r")
	for i, shadow := range []bool{false, true} {
		ring.Append(&recent.Entry{
			Time: noon, ID: fmt.Sprintf("%032x", i), Webhook: "sns", Verdict: authz.Allow, Reason: authz.Handshake, Status: 200, Shadow: shadow,
			Handshake: "subscription_confirmation", Told: "https://sns.example.com/?Action=ConfirmSubscription",
			Checks: []authz.Outcome{{Stage: authz.StageAnswer, Reason: authz.Handshake}},
		})
	}
	server := httptest.NewServer(New(sample(ring, noon)))
	defer server.Close()
	for i, says := range []string{"200, and not forwarded", ">forwarded<"} {
		_, text := get(t, server.URL+"/decisions/"+fmt.Sprintf("%032x", i))
		for _, want := range []string{says, "subscription_confirmation", "https://sns.example.com/?Action=ConfirmSubscription", "answered: "} {
			if !strings.Contains(text, want) {
				t.Errorf("shadow %v: %q is missing", i == 1, want)
			}
		}
		if strings.Contains(text, "failed: ") || strings.Contains(text, `href="https://sns`) {
			t.Errorf("shadow %v: it says failed, or leads away", i == 1)
		}
	}
}

// A copy is let through with the token in the form, and in no other way.
func TestRedeliveryAsksForTheToken(t *testing.T) {
	ring := decisionsOfADay(5000, noon)
	config := sample(ring, noon)
	allowed := true
	config.MayRedeliver = func(*http.Request) bool { return allowed }
	server := serving(t, config)
	replayed := ring.Query(recent.Query{Reason: "replayed", Limit: 1}).Decisions[0]
	other := ring.Query(recent.Query{Reason: "signature_invalid", Limit: 1}).Decisions[0]
	post := func(id, token string) (int, string) {
		response, err := http.PostForm(server.URL+"/decisions/"+id+"/redeliver", url.Values{"token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, readAll(t, response)
	}
	for _, c := range []struct {
		name, id, token string
		may             bool
		status          int
		words           string
	}{
		{"right", replayed.DecisionID, "the right token of operators", true, 200, "passes, once, within 15 minutes"},
		{"wrong token", replayed.DecisionID, "another", true, 403, "not the token of operators"},
		{"no token", replayed.DecisionID, "", true, 403, "not the token of operators"},
		{"the listener has none", replayed.DecisionID, "the right token of operators", false, 403, "This was a copy"},
		{"no copy", other.DecisionID, "the right token of operators", true, 403, "signature_invalid"},
		{"no decision", strings.Repeat("0", 32), "the right token of operators", true, 404, "No such decision"},
	} {
		allowed = c.may
		status, text := post(c.id, c.token)
		if status != c.status || !strings.Contains(text, c.words) || c.status != 200 && strings.Contains(text, "passes, once, within 15 minutes") {
			t.Errorf("%s: %d\n%s", c.name, status, text)
		}
		if strings.Contains(text, "the right token") {
			t.Errorf("%s: the page has the token", c.name)
		}
	}
	// A form without end.
	if status, text := post(replayed.DecisionID, strings.Repeat("x", 11<<20)); status != 400 || !strings.Contains(text, "cannot be read") {
		t.Errorf("a form without end: %d", status)
	}
	// A page is read with GET, and nothing else works.
	if response, err := http.Post(server.URL+"/", "text/plain", nil); err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", response.Status, err)
	}
	if r, _ := get(t, server.URL+"/decisions/"+replayed.DecisionID+"/redeliver?token=the+right+token+of+operators"); r.StatusCode != 403 && r.StatusCode != 200 {
		t.Error(r.Status)
	}
}

// A decision that denied says what its reason means, in the words of its page.
func TestReasonIsExplained(t *testing.T) {
	ring := decisionsOfADay(5000, noon)
	server := serving(t, sample(ring, noon))
	for reason, words := range map[string]string{
		"replayed": "The same signed content was delivered before.", "signature_invalid": "Run <code>hookbastion explain</code> with a captured request",
	} {
		_, text := get(t, server.URL+"/decisions/"+ring.Query(recent.Query{Reason: reason, Limit: 1}).Decisions[0].DecisionID)
		if !strings.Contains(text, words) || !strings.Contains(text, "What to do") {
			t.Errorf("%s is not explained", reason)
		}
	}
	if _, text := get(t, server.URL+"/decisions/"+ring.Query(recent.Query{Reason: "ok", Limit: 1}).Decisions[0].DecisionID); strings.Contains(text, "What to do") {
		t.Error("what was allowed is explained")
	}
}

// One page after the other has every decision once.
func TestPagesOfDecisions(t *testing.T) {
	ring := decisionsOfADay(230, noon)
	server := serving(t, sample(ring, noon))
	seen, path := map[string]int{}, "/decisions"
	for range 10 {
		_, text := get(t, server.URL+path)
		for _, m := range regexp.MustCompile(`id="d-([0-9a-f]{32})"`).FindAllStringSubmatch(text, -1) {
			seen[m[1]]++
		}
		next := regexp.MustCompile(`<a href="([^"]+)" rel="next">`).FindStringSubmatch(text)
		if next == nil {
			break
		}
		path = strings.ReplaceAll(next[1], "&amp;", "&")
	}
	if len(seen) != 230 {
		t.Errorf("%d decisions", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s comes %d times", id, n)
		}
	}
}

// Pages are made while decisions come and are counted.
func TestConcurrentUse(t *testing.T) {
	ring := decisionsOfADay(500, noon)
	c := New(sample(ring, noon))
	server := httptest.NewServer(c)
	defer server.Close()
	var all sync.WaitGroup
	for _, path := range []string{"/", "/decisions", "/webhook?name=github", "/?window=24h&sort=denied"} {
		for range 3 {
			all.Go(func() {
				for range 10 {
					if response, err := http.Get(server.URL + path); err != nil || response.StatusCode != http.StatusOK {
						t.Errorf("%s: %v %v", path, response, err)
					} else {
						_, _ = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
				}
			})
		}
	}
	for i := range 2000 {
		ring.Append(&recent.Entry{Time: noon, ID: fmt.Sprint(i), Webhook: fmt.Sprint("w", i%700), Verdict: authz.Deny, Reason: authz.SignatureInvalid})
		if i%50 == 0 {
			c.history.follow(noon)
		}
	}
	all.Wait()
}

// Files for style and script are kept by browsers, since their name is that of what is
// in them.
func TestAssets(t *testing.T) {
	server := httptest.NewServer(New(sample(recent.New(0, ""), noon)))
	defer server.Close()
	_, page := get(t, server.URL)
	for _, a := range []asset{style, script, icon} {
		if !strings.Contains(page, a.path) {
			t.Errorf("the page does not name %s", a.path)
		}
		response, text := get(t, server.URL+a.path)
		if response.StatusCode != 200 || text != string(a.content) || !strings.Contains(response.Header.Get("Cache-Control"), "immutable") || response.Header.Get("Content-Type") != a.media {
			t.Errorf("%s: %s %v", a.path, response.Status, response.Header)
		}
	}
	if response, _ := get(t, server.URL+"/assets/console.css"); response.StatusCode != 404 {
		t.Error("a file without its hash")
	}
}

// However much is unusual, pages stay short and say what they leave out.
func TestManyAlarms(t *testing.T) {
	config := sample(decisionsOfADay(10, noon), noon)
	many := make([]monitor.Alarm, 1000)
	for i := range many {
		many[i] = monitor.Alarm{Time: noon.Add(time.Duration(i) * time.Second), Webhook: fmt.Sprint("w", i), Since: noon}
	}
	config.Anomalies = func() (current, past []monitor.Alarm) { return many, many }
	server := serving(t, config)
	for path, rows := range map[string]int{"/": maxFirstAlarms, "/anomalies": 2 * maxAlarms} {
		_, text := get(t, server.URL+path)
		if n := strings.Count(text, `class="kind"`); n != rows || !strings.Contains(text, ">w999<") || !strings.Contains(text, `<span class="badge">1000</span>`) {
			t.Errorf("%s has %d alarms", path, n)
		}
		if path == "/anomalies" && !strings.Contains(text, "1600 more are not shown") {
			t.Errorf("%s does not say how many it leaves out", path)
		}
	}
}

// Without lists of addresses, and where nobody watches, there are no such pages.
func TestOptionalPages(t *testing.T) {
	config := sample(decisionsOfADay(10, noon), noon)
	config.Anomalies, config.Ranges = nil, func() []cli.Range { return nil }
	server := serving(t, config)
	_, text := get(t, server.URL)
	for _, path := range []string{"/anomalies", "/ranges"} {
		if response, _ := get(t, server.URL+path); response.StatusCode != 404 || strings.Contains(text, `"`+path+`"`) {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}

// stuck is a client that reads nothing.
type stuck struct {
	http.ResponseWriter
	reached chan<- struct{}
	release <-chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.reached <- struct{}{}
	<-s.release
	return len(p), nil
}

// Clients that read nothing keep nobody from their page.
func TestSlowReaders(t *testing.T) {
	c := New(sample(recent.New(0, ""), noon))
	request := func() *http.Request { return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil) }
	reached, release := make(chan struct{}), make(chan struct{})
	var readers sync.WaitGroup
	for range 2 * maxBusy {
		readers.Go(func() { c.ServeHTTP(stuck{httptest.NewRecorder(), reached, release}, request()) })
	}
	for range 2 * maxBusy {
		select {
		case <-reached:
		case <-time.After(20 * time.Second):
			t.Fatal("a page waits for those who do not read theirs")
		}
	}
	close(release)
	readers.Wait()
}
