package model_test

import (
	"regexp"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// TestHosts: an exact domain comes before the longest ending, that before the longest
// beginning, that before the one for all.
func TestHosts(t *testing.T) {
	targets := map[*model.Target]string{}
	var hosts []*model.Host
	for _, domain := range []string{"*", "*.com", "*.example.com", "hooks.*", "hooks.example.*", "hooks.example.com", "Upper.example.com"} {
		target := &model.Target{Clusters: []string{domain}}
		targets[target] = domain
		hosts = append(hosts, &model.Host{Domains: []string{domain}, Routes: []*model.Route{
			{If: model.Path(model.NewText("prefix", "/", false)), Targets: []*model.Target{target}},
		}})
	}
	for host, want := range map[string]string{
		"hooks.example.com": "hooks.example.com", "HOOKS.example.COM": "hooks.example.com", "upper.example.com": "Upper.example.com",
		"a.example.com": "*.example.com", "example.com": "*.com", "hooks.example.org": "hooks.example.*", "hooks.org": "hooks.*",
		"hooks.com": "*.com", "org": "*", "hooks.example.com:80": "hooks.example.*",
	} {
		routes := &model.Routes{Hosts: hosts}
		chosen := routes.Choose(model.View{Request: &model.Request{Method: "POST", Host: host, Path: "/a"}})
		if len(chosen) != 1 || targets[chosen[0]] != want {
			t.Errorf("%s: %d, %s; want %s", host, len(chosen), targets[chosen[0]], want)
		}
		if chosen := (&model.Routes{Hosts: hosts}).Choose(model.View{Request: &model.Request{Host: host, Path: "*"}}); chosen[0] != nil {
			t.Errorf("%s: a path that no route matches has one", host)
		}
	}
}

// TestHeader holds headers against what Envoy does with those that are not there.
func TestHeader(t *testing.T) {
	exact := model.NewText("exact", "a", false)
	present := model.NewText("present", "", false)
	for _, test := range []struct {
		name          string
		c             model.Condition
		is, is2, none model.Truth // a, b, not there
	}{
		{"exact", model.Header("x", exact, false, false), model.Yes, model.No, model.No},
		{"not exact", model.Header("x", exact, true, false), model.No, model.Yes, model.No},
		{"not exact, or not there", model.Header("x", exact, true, true), model.No, model.Yes, model.Yes},
		{"present", model.Header("x", present, false, false), model.Yes, model.Yes, model.No},
		{"not present", model.Header("x", present, true, false), model.No, model.No, model.Yes},
		{"unknown", model.Header("x", model.Text{}, false, false), model.Maybe, model.Maybe, model.No},
	} {
		for i, header := range []map[string]string{{"x": "a"}, {"x": "b"}, {}} {
			want := []model.Truth{test.is, test.is2, test.none}[i]
			if got := test.c.Holds(model.View{Request: &model.Request{Header: header}}); got != want {
				t.Errorf("%s: %v: %v, want %v", test.name, header, got, want)
			}
		}
	}
}

// FuzzSamples: what is made to match an expression matches it, if it says nothing of where
// words and lines begin.
func FuzzSamples(f *testing.F) {
	for _, s := range []string{"/(hook|open)/[a-z]+", ".*", "/v[0-9]{1,3}/x?", "(?i)a", "[^/]+", "a|", "", "(a(b(c)*)+){2}", "\\d\\w\\s", "[\\x00-\\x10]"} {
		f.Add(s)
	}
	edges := regexp.MustCompile(`[\^$]|\\[bBAz]`)
	f.Fuzz(func(t *testing.T, expression string) {
		text := model.NewText("regex", expression, false)
		if text.Kind == "" || edges.MatchString(regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(expression, "")) || len(expression) > 200 {
			return
		}
		for _, s := range text.Samples() {
			if len(s) < 2048 && !text.Matches(s) {
				t.Errorf("%q does not match %q", s, expression)
			}
		}
	})
}
