package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/policy"
)

// Texts of strangers do nothing in a browser, and leave no element that is not ours.
func TestHostileTextInABrowser(t *testing.T) {
	b := startBrowser(t)
	for _, text := range hostile {
		server := serving(t, hostileConfig(text))
		tab := b.tab(1280, 900, "light")
		for _, path := range hostilePages(text) {
			tab.open(server.URL + path)
			var strange []string
			tab.eval(`[...document.querySelectorAll("iframe, img, object, embed, style, base, textarea, [autofocus], script:not([src^='/assets/console.']), b, svg[onload]")].map(e => e.outerHTML)`, &strange)
			var handlers []string
			tab.eval(`[...document.querySelectorAll("*")].flatMap(e => [...e.attributes]).filter(a => /^on|^style$/.test(a.name) || /^(href|src|action)$/.test(a.name) && /^\s*javascript:/i.test(a.value)).map(a => a.name + "=" + a.value)`, &handlers)
			if len(strange)+len(handlers) > 0 {
				t.Errorf("%s has %s %s", path, strange, handlers)
			}
		}
		requests, troubles := tab.seen()
		for _, r := range requests {
			if !strings.HasPrefix(r, server.URL+"/") || strings.Contains(r, "/x") && strings.HasSuffix(r, "/x") {
				t.Errorf("%s is asked for", r)
			}
		}
		for _, trouble := range troubles {
			if !strings.Contains(trouble, "404 (Not Found)") { // pages that are not there
				t.Error(trouble)
			}
		}
	}
}

// Names without end make no page wider than the screen.
func TestLongTextInABrowser(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 500), strings.Repeat("a-b/", 125)} {
		server := serving(t, hostileConfig(text))
		b := startBrowser(t)
		for _, screen := range screens {
			tab := b.tab(screen.width, screen.height, "light")
			for _, path := range hostilePages(text) {
				tab.open(server.URL + path)
				var wide []string
				if tab.eval(`document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".wide, nav, pre")).map(e => e.outerHTML.slice(0, 80))`, &wide); len(wide) > 0 {
					t.Errorf("%.80s on a %s is wider than the screen: %s", path, screen.name, wide)
				}
			}
		}
	}
}

// Behind a password, which a browser was asked for once, the page goes on asking.
func TestBehindAPassword(t *testing.T) {
	ring := decisionsOfADay(10, noon)
	c := New(sample(ring, noon))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "token" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.ServeHTTP(w, r)
	}))
	defer server.Close()
	tab := startBrowser(t).tab(1280, 900, "light")
	tab.open(strings.Replace(server.URL, "://", "://me:token@", 1) + "/decisions")
	ring.Append(&recent.Entry{Time: noon, ID: "after", Webhook: "github", Verdict: authz.Deny, Reason: authz.SignatureInvalid})
	tab.until(`document.getElementById("d-after") !== null`)
	if _, troubles := tab.seen(); len(troubles) > 0 {
		t.Error(troubles)
	}
}

// All that can be used is reached with the Tab key, in the order of the page, and is seen
// to be where one is.
func TestKeyboard(t *testing.T) {
	ring := decisionsOfADay(2000, noon)
	server := serving(t, sample(ring, noon))
	b := startBrowser(t)
	for _, screen := range screens {
		tab := b.tab(screen.width, screen.height, "light")
		pages := pagesOf(ring)
		for _, name := range []string{"day", "denials", "none"} { // as others
			delete(pages, name)
		}
		for name, path := range pages {
			tab.open(server.URL + path)
			var want int
			tab.eval(`(() => {
				window.usable = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter(e => e.checkVisibility());
				return usable.length;
			})()`, &want)
			for i := range want {
				tab.press("Tab", 9)
				var at struct {
					Index   int
					Outline bool
					Is      string
				}
				tab.eval(`(() => {
					const e = document.activeElement, s = getComputedStyle(e);
					return {index: usable.indexOf(e), outline: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1, is: e.outerHTML.slice(0, 120)};
				})()`, &at)
				if at.Index != i || !at.Outline {
					t.Fatalf("%s on a %s: after %d keys at %d, outline %t: %s", name, screen.name, i+1, at.Index, at.Outline, at.Is)
				}
			}
			if want < 5 {
				t.Errorf("%s: only %d things can be used", name, want)
			}
		}
	}
	// The first key leads past the navigation.
	tab := b.tab(1280, 900, "light")
	tab.open(server.URL)
	tab.press("Tab", 9)
	tab.press("Enter", 13)
	tab.until(`document.activeElement.id === "main"`)
}

// A page that is open shows what is decided, leaves alone where somebody is, and stands
// still when it is told to.
func TestLiveUpdates(t *testing.T) {
	ring := decisionsOfADay(500, noon)
	config := sample(ring, noon)
	var ahead atomic.Int64
	config.Now = func() time.Time { return noon.Add(time.Duration(ahead.Load())) }
	var failing atomic.Bool
	config.Policy = func() Policy {
		p := samplePolicy(noon)
		if failing.Load() {
			p.Errors = policy.Errors{{}}
			p.Errors[0].Message = "is wrong"
		}
		return p
	}
	server := serving(t, config)
	decide := func(id int) string {
		ahead.Add(int64(time.Second))
		text := fmt.Sprintf("%032x", id)
		ring.Append(&recent.Entry{Time: config.Now(), ID: text, Webhook: "github", Verdict: authz.Deny, Reason: authz.SignatureInvalid, Status: 401})
		return text
	}
	tab := startBrowser(t).tab(1280, 900, "light")
	tab.open(server.URL + "/decisions")
	var first string
	tab.eval(`(() => { const link = document.querySelector(".decisions tbody a"); link.focus(); return link.id; })()`, &first)
	id := decide(1)
	tab.until(`document.getElementById("d-` + id + `") !== null`)
	var focused string
	if tab.eval(`document.activeElement.id`, &focused); focused != first {
		t.Errorf("the focus went from %s to %q", first, focused)
	}

	// Paused, no page is asked for, however long one waits; and then it goes on.
	still := tab.b.tab(1280, 900, "light")
	still.open(server.URL + "/decisions")
	still.eval(`document.querySelector(".here button").click()`, nil)
	still.until(`document.querySelector(".here button").textContent === "Paused"`)
	before, _ := still.seen()
	id = decide(2)
	still.advance(10 * time.Minute)
	if after, _ := still.seen(); len(after) != len(before) {
		t.Errorf("%d requests while paused", len(after)-len(before))
	}
	before, _ = still.seen()
	still.eval(`document.querySelector(".here button").click()`, nil)
	still.advance(time.Minute)
	if after, _ := still.seen(); len(after) == len(before) {
		t.Error("no request after the pause")
	}
	tab.until(`document.getElementById("d-` + id + `") !== null`)

	// A part that is new comes.
	var there bool
	tab.open(server.URL + "/policy")
	failing.Store(true)
	tab.until(`document.querySelector("#part-errors td") !== null`)

	// What is opened stays open.
	tab.eval(`document.querySelector("summary").click()`, nil)
	decide(3)
	tab.until(`document.querySelector("#clock time").textContent.endsWith("33")`)
	if tab.eval(`document.querySelector("details[open]") !== null`, &there); !there {
		t.Error("what was opened has been closed")
	}

	// A service that is away is said to be, and the page stays.
	server.CloseClientConnections()
	server.Listener.Close()
	tab.until(`document.querySelector(".here button").textContent === "No answer"`)
	if tab.eval(`document.querySelectorAll("#part-findings tbody tr").length === 3`, &there); !there {
		t.Error("the page is gone")
	}
}

// Without scripts, filters, pages and the form work.
func TestWithoutScripts(t *testing.T) {
	ring := decisionsOfADay(2000, noon)
	server := serving(t, sample(ring, noon))
	tab := startBrowser(t).tab(1280, 900, "light")
	tab.must("Emulation.setScriptExecutionDisabled", map[string]bool{"value": true}, nil)
	tab.open(server.URL + "/decisions")
	tab.eval(`document.getElementById("f-reason").value = "replayed"`, nil)
	tab.eval(`document.querySelector(".filters button").focus()`, nil)
	tab.press("Enter", 13)
	tab.wait()
	var reasons []string
	tab.eval(`[...document.querySelectorAll(".decisions td.reason")].map(e => e.textContent)`, &reasons)
	if len(reasons) < 3 || slices.ContainsFunc(reasons, func(r string) bool { return r != "replayed" }) {
		t.Errorf("the filter shows %s", reasons)
	}
	tab.eval(`document.querySelector(".decisions tbody a").focus()`, nil)
	tab.press("Enter", 13)
	tab.wait()
	tab.eval(`document.querySelector("a.button").focus()`, nil)
	tab.press("Enter", 13)
	tab.wait()
	for _, c := range []struct{ token, words string }{{"wrong", "This is not the token of operators."}, {"the right token of operators", "passes, once, within 15 minutes"}} {
		tab.eval(`(() => { const t = document.getElementById("token"); t.value = "`+c.token+`"; t.focus(); })()`, nil)
		tab.press("Enter", 13)
		tab.wait()
		var text string
		if tab.eval(`document.querySelector("main").textContent`, &text); !strings.Contains(text, c.words) {
			t.Errorf("with the token %q: %s", c.token, text)
		}
	}
	if requests, _ := tab.seen(); slices.ContainsFunc(requests, func(r string) bool { return strings.Contains(r, "token") }) {
		t.Errorf("the token is in an address: %s", requests)
	}
}
