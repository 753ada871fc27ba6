package authz_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// ambiguous is a slow reading of the rule: what two parsers could read
// differently.
func ambiguous(path string) bool {
	if _, err := url.PathUnescape(path); err != nil {
		return true // a malformed escape
	}
	for _, e := range escape.FindAllString(path, -1) {
		text, _ := url.PathUnescape(e)
		if c := text[0]; strings.IndexByte(`./\;%#`, c) >= 0 || c < ' ' || c == 0x7f {
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
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// FuzzAmbiguousPaths holds that no such path matches policies made of plain
// segments, {x} and /**, and that /** matches every other one.
func FuzzAmbiguousPaths(f *testing.F) {
	for _, path := range []string{
		"/", "/a", "/a/", "/a//", "//", "/a/.", "/a/./", "/a/..", "/a/../", "/a/...", "/.a", "/a\\b", "/a;b", "/a;", "/;/",
		"/%2e", "/%2E%2e/", "/a%2fb", "/a%2Fb/", "/a%5c", "/a%3b", "/a%25", "/a%252e", "/a%", "/a%2", "/a%2g", "/a%41", "/a%c0%ae",
		"/a?b//", "/a?/../", "/a%3fb", "/a#b", "/a%23", "/a\x00", "/a%00", "/a\x7f", "/a%7f", "/a b", "/é", "", "a", "*", "http://h/a",
	} {
		f.Add(path)
	}
	plain := table(f, "a - /a", "param - /a/{id}", "below - /**", "deep - /{x}/b/**")
	f.Fuzz(func(t *testing.T, path string) {
		only, _, _ := strings.Cut(path, "?")
		found := plain.Lookup(request("POST", "h", path))
		want := !ambiguous(only) && only != "/" // ** stands for one segment or more
		if (found.Webhook != nil) != want {
			t.Fatalf("%q: found %v, ambiguous %v", path, found.Webhook != nil, ambiguous(only))
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
