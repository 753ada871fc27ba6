package provider_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
)

var update = flag.Bool("update", false, "write the pages of the providers anew")

const pages = "../../docs/providers"

// The pages are those of the catalogue. -update writes them.
func TestPages(t *testing.T) {
	index, err := provider.Index()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"README.md": index}
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		want[name+".md"] = provider.Page(p)
	}
	for name, text := range want {
		file := filepath.Join(pages, name)
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%s is not what the catalogue says; run make generate (%v)", file, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(pages, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if name := filepath.Base(file); want[name] == "" && name != "adding.md" && name != "judges.md" {
			t.Errorf("%s is of no provider", file)
		}
	}
}

// The policy of every page compiles, and proves what the page says.
func TestSnippets(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		if s.named.GetOptional() {
			return
		}
		p, err := provider.Get(s.provider)
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		for dir, text := range map[string]string{"policies/policy.yaml": provider.Snippet(p), "secrets/" + s.provider: s.secret(0)} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, dir)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, dir), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := policy.Load(filepath.Join(root, "policies"))
		if err != nil {
			t.Fatal(err)
		}
		table, err := policy.Compile(set, s.deps)
		if err != nil {
			t.Fatal(err)
		}
		if table.Webhook(s.provider) == nil {
			t.Error("no webhook")
		}
		d := s.decide(t, s.delivery(t, now), now)
		if got := provider.Proof(s.named.GetScheme()); d.Reason != authz.OK || got != d.Proof.String() {
			t.Errorf("the page says %s, a delivery proves %s", got, d.Proof)
		}
	})
}

// What the page says of coverage is what the attacks find.
func TestDescriptions(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		d := provider.Describe(s.named.GetScheme())
		if d.Where == "" || s.token() == nil && (d.What == "" || d.Key == "") {
			t.Errorf("%+v", d)
		}
		_, _, timed := s.timed()
		body, _, _, method := s.covers()
		covered := "," + strings.Join(d.Covered, ",") + ","
		for name, want := range map[string]bool{"the body": body, "the method": method, "a time": timed} {
			if got := strings.Contains(covered, ","+name+","); got != want {
				t.Errorf("%s is covered: %v, want %v", name, got, want)
			}
		}
		if timed != (d.Time != "") {
			t.Errorf("time %q", d.Time)
		}
	})
}
