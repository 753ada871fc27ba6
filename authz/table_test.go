package authz_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

// table builds webhooks from "name host path [METHOD]" with - for any host.
func table(t testing.TB, lines ...string) *authz.Table {
	t.Helper()
	table := authz.NewTable()
	for _, line := range lines {
		f := strings.Fields(line)
		m := authz.Match{Path: f[2], Methods: []string{"POST"}}
		if f[1] != "-" {
			m.Hosts = strings.Split(f[1], ",")
		}
		if len(f) > 3 {
			m.Methods = f[3:]
		}
		if tie := table.Add(&authz.Webhook{Name: f[0]}, m); tie != nil {
			t.Fatalf("%s ties with %s", f[0], tie.Name)
		}
	}
	return table
}

func request(method, host, path string) *authz.Request {
	return &authz.Request{Method: authz.View(method), Host: authz.View(host), Path: authz.View(path)}
}

func TestLookup(t *testing.T) {
	hooks := table(t,
		"exact a.example.com /h", "wild *.example.com /h", "wilder *.b.example.com /h", "any - /h",
		"literal - /p/x", "param - /p/{id}", "below - /p/**", "deep - /p/{id}/x", "tenant - /t/{tenant}/s/**",
		"root - /", "slash - /h/", "odd - /odd/a;v=1/..%2fb", "get - /m GET", "put - /m PUT PATCH",
	)
	for _, c := range []struct{ host, path, want string }{
		{"a.example.com", "/h", "exact"},
		{"A.EXAMPLE.com", "/h", "exact"},
		{"a.example.com:8443", "/h", "exact"},
		{"a.example.com.", "/h", "exact"},
		{"x.example.com", "/h", "wild"},
		{"x.b.example.com", "/h", "wilder"},
		{"x.y.b.example.com", "/h", "wilder"},
		{"b.example.com", "/h", "wild"},
		{"example.com", "/h", "any"},
		{"notexample.com", "/h", "any"},
		{"127.0.0.1:10000", "/h", "any"},
		{"[::1]:443", "/h", "any"},
		{"a.example.com", "/p/x", "literal"}, // the host has no such path
		{"", "/h", ""},
		{"a.example.com,evil.example", "/h", ""},
		{"u@a.example.com", "/h", ""},
		{"a.example.com:80:80", "/h", ""},
		{"a.example.com:", "/h", ""},
		{"a example.com", "/h", ""},
		{"a.example.com/", "/h", ""},
		{"[::1", "/h", ""},
		{"[::1]x", "/h", ""},
		{"[]", "/h", ""},
		{".", "/h", ""},
		{"..", "/h", ""},
		{".example.com", "/h", ""},
		{"a..example.com", "/h", ""},
		{"a.example.com..", "/h", ""},
		{"a.example.com:123456", "/h", ""},
		{"a.example.com:8o", "/h", ""},
		{"a.example.com\x00", "/h", ""},
		{"a%2eexample.com", "/h", ""},
		{strings.Repeat("a.", 126) + "a", "/h", "any"},
		{strings.Repeat("a.", 127) + "a", "/h", ""},
		{"h", "/h?x=/../y", "any"},
		{"h", "/h/", "slash"},
		{"h", "/h//", ""},
		{"h", "//h", ""},
		{"h", "/H", ""},
		{"h", "/", "root"},
		{"h", "", ""},
		{"h", "h", ""},
		{"h", "*", ""},
		{"h", "/p/x", "literal"},
		{"h", "/p/y", "param"},
		{"h", "/p/y-_9", "param"},
		{"h", "/p/y.z", "below"},
		{"h", "/p/" + strings.Repeat("a", 128), "param"},
		{"h", "/p/" + strings.Repeat("a", 129), "below"},
		{"h", "/p/y/x", "deep"},
		{"h", "/p/y/z", "below"},
		{"h", "/p/x/x", "deep"},
		{"h", "/p/a/b/c/", "below"},
		{"h", "/p/é", "below"},
		{"h", "/p/a%20b", "below"},
		{"h", "/p", ""},
		{"h", "/p/", ""},
		{"h", "/p/a//b", ""},
		{"h", "/p/a/../b", ""},
		{"h", "/p/./b", ""},
		{"h", "/p/..", ""},
		{"h", "/p/a%2fb", ""},
		{"h", "/p/a%2Fb", ""},
		{"h", "/p/%2e%2e/b", ""},
		{"h", "/p/a%2e", ""},
		{"h", "/p/a%5cb", ""},
		{"h", `/p/a\b`, ""},
		{"h", "/p/a;b", ""},
		{"h", "/p/a%3bb", ""},
		{"h", "/p/a%00", ""},
		{"h", "/p/a%252f", ""},
		{"h", "/p/a%", ""},
		{"h", "/p/a%2", ""},
		{"h", "/p/a%zz", ""},
		{"h", "/p/a#b", ""},
		{"h", "/odd/a;v=1/..%2fb", "odd"},
		{"h", "/odd/a;v=1/..%2Fb", ""},
		{"h", "/t/acme/s/x", "tenant"},
		{"h", "/t/ac.me/s/x", ""},
	} {
		found := hooks.Lookup(request("POST", c.host, c.path))
		got := ""
		if found.Webhook != nil {
			got = found.Webhook.Name
		}
		if got != c.want || (found.Reason == authz.OK) != (c.want != "") || c.want == "" && found.Reason != authz.NoWebhook {
			t.Errorf("%q %q: %q (%s), want %q", c.host, c.path, got, found.Reason, c.want)
		}
		if c.want == "tenant" && string(found.Tenant) != "acme" {
			t.Errorf("tenant %q", found.Tenant)
		}
		// Where Envoy's configuration names the webhook, the same rules hold.
		named := request("POST", c.host, c.path)
		for _, hook := range hooks.Webhooks() {
			named.Webhook = authz.View(hook.Name)
			if f := hooks.Lookup(named); f.Webhook != nil && (f.Webhook != hook || c.want == "") {
				t.Errorf("%q %q as %s: found %s", c.host, c.path, hook.Name, f.Webhook.Name)
			} else if f.Webhook == nil && hook.Name == c.want {
				t.Errorf("%q %q as %s: not found", c.host, c.path, hook.Name)
			}
		}
	}
}

func TestLookupMethods(t *testing.T) {
	hooks := table(t, "get - /m GET", "put - /m PUT PATCH", "post - /p")
	for _, c := range []struct {
		method, path string
		want         authz.Reason
		allow        string
	}{
		{"GET", "/m", authz.OK, ""},
		{"PATCH", "/m", authz.OK, ""},
		{"POST", "/m", authz.MethodNotAllowed, "GET, PATCH, PUT"},
		{"post", "/p", authz.MethodNotAllowed, "POST"},
		{"GET", "/p", authz.MethodNotAllowed, "POST"},
		{"", "/p", authz.MethodNotAllowed, "POST"},
	} {
		if f := hooks.Lookup(request(c.method, "h", c.path)); f.Reason != c.want || f.Methods != c.allow {
			t.Errorf("%s %s: %s, allow %q", c.method, c.path, f.Reason, f.Methods)
		}
	}
	req := request("GET", "h", "/p")
	req.Webhook = authz.View("post")
	if f := hooks.Lookup(req); f.Reason != authz.MethodNotAllowed || f.Methods != "POST" {
		t.Errorf("named: %s, allow %q", f.Reason, f.Methods)
	}
	req.Webhook = authz.View("nobody")
	if f := hooks.Lookup(req); f.Reason != authz.NoWebhook {
		t.Errorf("a webhook that is none: %s", f.Reason)
	}
}

// TestWebhooksThatEnvoyAloneSelects: they are found by name on any path that all
// parsers read alike, and never by host and path.
func TestWebhooksThatEnvoyAloneSelects(t *testing.T) {
	hooks := table(t, "stripe - /stripe", "below - /hooks/**", "root - /")
	for _, name := range []string{"named", "other"} { // of which no two can tie
		if tie := hooks.Add(&authz.Webhook{Name: name}, authz.Match{ExtensionOnly: true, Methods: []string{"POST"}}); tie != nil {
			t.Fatalf("%s and %s match the same requests", name, tie.Name)
		}
	}
	for _, c := range []struct {
		name, method, host, path string
		want                     string
		reason                   authz.Reason
	}{
		{"named", "POST", "a.example", "/pay", "named", authz.OK},
		{"other", "POST", "b.example:8443", "/pay?a=/../b", "other", authz.OK},
		{"named", "POST", "a.example", "/", "named", authz.OK},
		{"named", "POST", "a.example", "/a/b%20c/", "named", authz.OK},
		{"named", "POST", "a.example", "/stripe", "named", authz.OK}, // if Envoy says so
		{"named", "POST", "a.example", "/hooks/x", "named", authz.OK},
		{"named", "GET", "a.example", "/pay", "", authz.MethodNotAllowed},
		{"named", "POST", "a,b", "/pay", "", authz.NoWebhook},
		{"named", "POST", "", "/pay", "", authz.NoWebhook},
		{"named", "POST", "a.example", "/%73tripe", "", authz.NoWebhook}, // another one's to some
		{"", "POST", "a.example", "/pay", "", authz.NoWebhook},
		{"", "POST", "a.example", "", "", authz.NoWebhook},
		{"nobody", "POST", "a.example", "/pay", "", authz.NoWebhook},
		{"Named", "POST", "a.example", "/pay", "", authz.NoWebhook},
		{"below", "POST", "a.example", "/pay", "", authz.NoWebhook}, // it has a path
	} {
		found := hooks.Lookup(&authz.Request{Method: authz.View(c.method), Host: authz.View(c.host), Path: authz.View(c.path), Webhook: authz.View(c.name)})
		got := ""
		if found.Webhook != nil {
			got = found.Webhook.Name
		}
		if got != c.want || found.Reason != c.reason {
			t.Errorf("%q, %s %s%s: %q, %s; want %q, %s", c.name, c.method, c.host, c.path, got, found.Reason, c.want, c.reason)
		}
	}
	for _, path := range []string{"", "pay", "//", "//pay", "/a//b", "/a/../pay", "/./pay", "/a/..", "/a/%2e%2e/pay", "/a%2fpay", "/a%2Fpay", "/a%5cpay", "/a\\pay", "/pay;a=b", "/pay%", "/pay%2", "/pay%zz", "/pa%25y", "/pay#a", "/pa\x00y", "*", "http://a.example/pay"} {
		if found := hooks.Lookup(&authz.Request{Method: authz.View("POST"), Host: authz.View("a.example"), Path: authz.View(path), Webhook: authz.View("named")}); found.Reason != authz.NoWebhook {
			t.Errorf("%q is a path: %s", path, found.Reason)
		}
	}
	if method, path := hooks.Sample("named"); method != "POST" || path != "" {
		t.Errorf("a sample: %s %q", method, path)
	}
	if hooks.Tenant("named", "/pay") != "" || hooks.TenantOf("named") != -1 {
		t.Error("a path that is not in the policy has a tenant")
	}
}

// TestRootTakesNoOtherPath: a webhook at / is meant by no path of one segment.
func TestRootTakesNoOtherPath(t *testing.T) {
	hooks := table(t, "root - /", "all - /**")
	for path, want := range map[string]string{"/": "root", "/pay": "all", "/pay/": "all", "/pay/x": "all", "/pay.json": "all", "/.json": ""} {
		got := ""
		if found := hooks.Lookup(request("POST", "a.example", path)); found.Webhook != nil {
			got = found.Webhook.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestTies(t *testing.T) {
	for _, c := range []struct {
		first, second string
		tie           bool
	}{
		{"a - /h", "b - /h", true},
		{"a - /h", "b - /h GET", false},
		{"a - /h POST GET", "b - /h GET", true},
		{"a - /{x}", "b - /{tenant}", true},
		{"a - /x", "b - /{tenant}", false},
		{"a a.example /h", "b - /h", false},
		{"a a.example,b.example /h", "b b.example /h", true},
		{"a *.a.example /h", "b *.b.a.example /h", false},
		{"a - /x/**", "b - /x/**", true},
	} {
		hooks := table(t, c.first)
		f := strings.Fields(c.second)
		m := authz.Match{Path: f[2], Methods: []string{"POST"}}
		if f[1] != "-" {
			m.Hosts = strings.Split(f[1], ",")
		}
		if len(f) > 3 {
			m.Methods = f[3:]
		}
		if tie := hooks.Add(&authz.Webhook{Name: "b"}, m); (tie != nil) != c.tie {
			t.Errorf("%s and %s: tie %v", c.first, c.second, tie)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	hooks := table(t, "a *.example.com /webhooks/{tenant}/stripe", "b - /x/**")
	req := request("POST", "Hooks.Example.com:443", "/webhooks/acme/stripe?x=y")
	if n := testing.AllocsPerRun(100, func() { hooks.Lookup(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzLookup holds the tree to a slow reading of the rules.
func FuzzLookup(f *testing.F) {
	for _, path := range []string{"/p/x", "/p/y/x", "/p/a/../b", "/p/a%2fb", "/p//", "/t/acme/s/x;y", "/", ""} {
		f.Add(path)
	}
	patterns := []string{"/p/x", "/p/{id}", "/p/**", "/p/{id}/x", "/t/{tenant}/s/**", "/"}
	var lines []string
	for i, p := range patterns {
		lines = append(lines, string(rune('a'+i))+" - "+p)
	}
	hooks := table(f, lines...)
	f.Fuzz(func(t *testing.T, path string) {
		found := hooks.Lookup(request("POST", "h", path))
		only, _, _ := strings.Cut(path, "?")
		for _, bad := range []string{"//", "/./", "/../", "\\", ";", "%2f", "%2F", "%5c", "%5C", "%2e", "%2E", "%00", "#"} {
			if found.Webhook != nil && strings.Contains(only+"/", bad) && !strings.HasSuffix(only, "/") {
				t.Fatalf("%q has %q and matches %s", path, bad, found.Webhook.Name)
			}
		}
		best := ""
		for i := len(patterns) - 1; i >= 0; i-- {
			req := request("POST", "h", path)
			req.Webhook = authz.View(string(rune('a' + i)))
			if hooks.Lookup(req).Webhook != nil && moreSpecific(patterns[i], best) {
				best = patterns[i]
			}
		}
		got := ""
		if found.Webhook != nil {
			got = patterns[found.Webhook.Name[0]-'a']
		}
		if got != best {
			t.Fatalf("%q: the tree says %q, one after the other %q", path, got, best)
		}
	})
}

// moreSpecific compares segment by segment: exact, then {x}, then **.
func moreSpecific(a, b string) bool {
	if b == "" {
		return true
	}
	rank := func(seg string) int {
		switch {
		case seg == "**":
			return 2
		case strings.HasPrefix(seg, "{"):
			return 1
		}
		return 0
	}
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(as), len(bs)) {
		if rank(as[i]) != rank(bs[i]) {
			return rank(as[i]) < rank(bs[i])
		}
	}
	return false
}
