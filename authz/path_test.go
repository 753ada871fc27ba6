package authz_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/hookbastion/hookbastion/authz"
)

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// ambiguous is a slow reading of the rule: what two parsers could read
// differently.
func ambiguous(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil || !utf8.ValidString(decoded) {
		return true // a malformed escape, or bytes that are a slash to some
	}
	for _, r := range decoded {
		if r >= utf8.RuneSelf && strings.ContainsFunc(norm.NFKC.String(string(r)), func(r rune) bool {
			return strings.ContainsRune(`./\;%#?`, r) || r < ' ' || r == 0x7f
		}) {
			return true // a full-width slash, for instance
		}
	}
	for _, e := range escape.FindAllString(path, -1) {
		text, _ := url.PathUnescape(e)
		if c := text[0]; strings.IndexByte(`./\;%#?`, c) >= 0 || c < ' ' || c == 0x7f {
			return true
		}
	}
	for _, c := range []byte(path) {
		if c < ' ' || c == 0x7f || c == '\\' || c == ';' || c == '#' {
			return true
		}
	}
	if path == "" || path[0] != '/' || strings.Contains(path, "//") {
		return true
	}
	for _, seg := range strings.Split(path, "/") {
		if text, _ := url.PathUnescape(seg); seg != "" && strings.Trim(text, ". ") == "" {
			return true // some drop dots and spaces at the end of a name
		}
	}
	return false
}

// FuzzAmbiguousPaths holds that no such path matches policies made of plain
// segments, {x} and /**, and that /** matches every other one, if there is no
// other webhook that it could be meant for.
func FuzzAmbiguousPaths(f *testing.F) {
	for _, path := range []string{
		"/", "/a", "/a/", "/a//", "//", "/a/.", "/a/./", "/a/..", "/a/../", "/a/...", "/.a", "/a\\b", "/a;b", "/a;", "/;/",
		"/%2e", "/%2E%2e/", "/a%2fb", "/a%2Fb/", "/a%5c", "/a%3b", "/a%25", "/a%252e", "/a%", "/a%2", "/a%2g", "/a%41", "/a%c0%ae",
		"/a?b//", "/a?/../", "/a%3fb", "/a%ef%bc%8fb", "/a\u2025", "/a\xff", "/a#b", "/a%23", "/a\x00", "/a%00", "/a\x7f", "/a%7f", "/a b", "/é", "", "a", "*", "http://h/a",
	} {
		f.Add(path)
	}
	plain := table(f, "a - /a", "param - /a/{id}", "below - /**", "deep - /{x}/b/**")
	alone := table(f, "below - /**")
	f.Fuzz(func(t *testing.T, path string) {
		only, _, _ := strings.Cut(path, "?")
		want := !ambiguous(only) && only != "/" // ** stands for one segment or more
		if found := alone.Lookup(request("POST", "h", path)); (found.Webhook != nil) != want {
			t.Fatalf("%q: found %v, ambiguous %v", path, found.Webhook != nil, ambiguous(only))
		}
		if found := plain.Lookup(request("POST", "h", path)); found.Webhook != nil && !want {
			t.Fatalf("%q matches %s", path, found.Webhook.Name)
		}
		for _, hook := range plain.Webhooks() {
			named := request("POST", "h", path)
			named.Webhook = authz.View(hook.Name)
			if ambiguous(only) && plain.Lookup(named).Webhook != nil {
				t.Fatalf("%q matches %s by name", path, hook.Name)
			}
		}
	})
}

func TestPathsThatThePolicyWritesSo(t *testing.T) {
	odd := []string{"/a//b", "/a/../b", "/a/.", `/a\b`, "/a%2Fb", "/a%2e", "/a%5c", "/a;v=1", "/a%zz", "/a/"}
	for i, path := range odd {
		hooks := table(t, "hook - "+path)
		for j, sent := range odd {
			if got := hooks.Lookup(request("POST", "h", sent)).Webhook != nil; got != (i == j) {
				t.Errorf("policy %q, request %q: %v", path, sent, got)
			}
		}
	}
}

// A path that only some router reads as another webhook's belongs to no wider
// one: whoever writes it so would choose by which webhook it is verified.
func TestPathsThatReadLikeAnotherWebhooks(t *testing.T) {
	hooks := table(t,
		"stripe - /hooks/stripe", "public - /hooks/**", "all - /**", "deep - /Verified/**", "tenant - /t/{tenant}/stripe",
		"admin - /t/admin", "any-t - /t/{tenant}", "host a.example.com /only", "city - /straße/köln", "slash - /s/", "spaced - /a%20b", "get - /m GET",
	)
	for path, want := range map[string]string{
		"/hooks/stripe": "stripe", "/hooks/stripes": "public", "/hooks/strip": "public", "/hooks/a/stripe": "public", "/hooks/stripe/a": "public",
		"/hooks/x%20y": "public", "/hooks/été": "public", "/hooks/x.json": "public", "/hooks/a.b/stripe.json": "public", "/else": "all",
		"/hooks/%73tripe": "", "/hooks/%53tripe": "", "/hooks/strip%65": "", "/%68ooks/stripe": "", "/hooks/Stripe": "", "/HOOKS/STRIPE": "",
		"/hooks/stripe/": "", "/hooks/Stripe/": "", "/hooks/%73tripe/": "", "/hooks/stripe.": "", "/hooks/stripe%20": "", "/hooks/stripe+": "",
		"/hooks/stripe.json": "", "/hooks/Stripe.JSON": "", "/hooks/stripe%3Fx": "", "/hooks/stripe%23": "", "/hooks/stripe;x": "",
		"/hooks/%2573tripe": "", "/hooks/st\u00adripe": "", "/hooks/st%E2%80%8Bripe": "", "/hooks/\u017ftripe": "", "/hooks/str\u0131pe": "",
		"/hooks/\uff53tripe": "", "/hooks/%EF%BD%93tripe": "", "/hooks/\uff0fstripe": "", "/hooks\uff0fstripe": "", "/hooks/x/\u2025/stripe": "",
		"/hooks/%c0%afstripe": "", "/hooks/%c0%ae%c0%ae/stripe": "", "/hooks/\xff": "", "/hooks/...": "", "/hooks/..%20/x": "", "/hooks/%20": "", "/hooks/..a": "public", "/hooks/stripe\u00a0": "",
		"/Hooks/x": "", "/%68ooks/x": "", "/Verified/x": "deep", "/verified/x": "", "/%56erified/x": "", "/verified": "all",
		"/t/acme/stripe": "tenant", "/t/acme/%73tripe": "", "/t/ac%6de/stripe": "", "/T/acme/stripe": "", "/t/acme/stripe/": "", "/t/ac.me/stripe": "all",
		"/t/admin": "admin", "/t/Admin": "", "/t/acme": "any-t", "/t/acm%65": "", "/t/admin/": "",
		"/STRASSE/KÖLN": "", "/straße/KÖLN": "", "/stra\u1e9ee/köln": "", "/straße/ko\u0308ln": "", "/stra%c3%9fe/k%C3%B6ln": "",
		"/s/": "slash", "/s": "", "/S": "", "/a%20b": "spaced", "/a+b": "", "/a b": "", "/m": "method", "/%6d": "",
	} {
		found := hooks.Lookup(request("POST", "h", path))
		got := ""
		if found.Webhook != nil {
			got = found.Webhook.Name
		} else if found.Reason == authz.MethodNotAllowed {
			got = "method"
		}
		if got != want {
			t.Errorf("%+q: %q (%s), want %q", path, got, found.Reason, want)
		}
	}
	// The same by the host: the webhook of one host is not reached over the one
	// for all, nor the other way round where they are both written so.
	for _, c := range []struct{ host, path, want string }{
		{"a.example.com", "/only", "host"}, {"A.example.com:443", "/only", "host"}, {"b.example.com", "/only", "all"},
		{"a.example.com", "/Only", ""}, {"a.example.com", "/%6fnly", ""}, {"b.example.com", "/Only", "all"}, {"a.example.com", "/hooks/stripe", "stripe"},
	} {
		found := hooks.Lookup(request("POST", c.host, c.path))
		if got := nameOf(found); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.host, c.path, got, c.want)
		}
	}
	// Envoy's configuration may give a path to a wider webhook, but only as it is
	// written.
	for path, want := range map[string]string{"/hooks/stripe": "public", "/hooks/x": "public", "/hooks/%73tripe": "", "/hooks/stripe/": ""} {
		req := request("POST", "h", path)
		req.Webhook = authz.View("public")
		if got := nameOf(hooks.Lookup(req)); got != want {
			t.Errorf("%s by name: %q, want %q", path, got, want)
		}
	}
	var d authz.Decision
	explanation := &authz.Explanation{}
	hooks.DecideExplained(context.Background(), request("POST", "h", "/hooks/%73tripe"), time.Now(), &d, explanation)
	if f := explanation.Findings; len(f) != 1 || f[0].Reason != authz.NoWebhook || !strings.Contains(f[0].Found, "webhook stripe") {
		t.Errorf("explained as %+v", f)
	}
	both := table(t, "a - /x", "b - /X", "c - /**")
	for path, want := range map[string]string{"/x": "a", "/X": "b", "/%78": "", "/x/": "", "/y": "c"} {
		if got := nameOf(both.Lookup(request("POST", "h", path))); got != want {
			t.Errorf("%s of two that differ in case: %q, want %q", path, got, want)
		}
	}
}

func nameOf(found authz.Found) string {
	if found.Webhook == nil {
		return ""
	}
	return found.Webhook.Name
}

// Go's own router is one of the generous ones: it decodes before it compares.
func TestWhatGosRouterServesIsVerified(t *testing.T) {
	hooks := table(t, "stripe - /hooks/stripe", "public - /hooks/**")
	served := ""
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/stripe", func(http.ResponseWriter, *http.Request) { served = "stripe" })
	mux.HandleFunc("POST /hooks/", func(http.ResponseWriter, *http.Request) { served = "public" })
	for _, path := range []string{"/hooks/stripe", "/hooks/%73tripe", "/hooks/%53tripe", "/hooks/other", "/hooks/stripe/", "/hooks/./stripe", "/hooks/x%2F..%2Fstripe"} {
		served = ""
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
		if found := hooks.Lookup(request("POST", "h", path)); found.Webhook != nil && found.Webhook.Name != served {
			t.Errorf("%s: verified as %s, served as %q", path, found.Webhook.Name, served)
		}
	}
}
