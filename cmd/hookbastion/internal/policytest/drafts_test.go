package policytest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
)

// texts are secrets in the forms that providers give them.
var texts = []string{"mB6sDq2ZxTn4vKc8pLw0JrYhGf5aUe7i", "whsec_bUI2c0RxMlp4VG40dktjOHBMdzBKcllo", strings.Repeat("3f9a1c7e5b2d8046", 4)}

// pagePolicy writes the policy of a provider's page, with a secret that it takes, and returns
// a runner of it; nil if it wants something else than a secret.
func pagePolicy(t *testing.T, name string) (*Runner, string) {
	t.Helper()
	p, err := provider.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	policies := filepath.Join(dir, "policies")
	if err := os.MkdirAll(policies, 0o700); err != nil {
		t.Fatal(err)
	}
	text := page.Snippet(p)
	if err := os.WriteFile(filepath.Join(policies, "webhooks.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, held := range texts {
		for _, m := range regexp.MustCompile(`file: \.\./(secrets/[\w./-]+)`).FindAllStringSubmatch(text, -1) {
			name := filepath.Join(dir, m[1])
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(held), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := NewRunner(&cli.Policies{Paths: []string{policies}}, s); err == nil {
			return r, policies
		}
	}
	return nil, policies
}

// TestDraftsOfTheCatalogue: the first tests of each provider's policy hold, a valid delivery
// and a changed body are among them, and nothing that should hold does not.
func TestDraftsOfTheCatalogue(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	whole, without := 0, 0
	for _, name := range names {
		r, policies := pagePolicy(t, name)
		if r == nil {
			without++
			continue
		}
		drafts, err := r.Drafts(now, policies)
		if err != nil || len(drafts) != 1 {
			t.Fatalf("%s: %d drafts, %v", name, len(drafts), err)
		}
		d := &drafts[0]
		if strings.HasPrefix(strings.Join(d.LeftOut, ""), "a delivery: ") {
			without++ // a key that only the provider has
			continue
		}
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		// A body that no signature covers can be changed, and that is said.
		open := provider.Proof(provider.First(p)) != authz.ProofSignature.String()
		for _, line := range d.LeftOut {
			if !open || line != "a changed body: step 1 is allowed with ok" {
				t.Errorf("%s: %s", name, line)
			}
		}
		f, errs := Parse(d.Name, []byte(d.Text))
		if len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
			continue
		}
		for _, result := range r.Run(f, now, func(string) bool { return true }) {
			if !result.Passed {
				t.Errorf("%s: %+v", name, result)
			}
		}
		if signed := slices.ContainsFunc(r.table.Webhooks()[0].Chain, func(c authz.Check) bool { _, ok := c.(*signature.Check); return ok }); signed && !open && !strings.Contains(d.Text, "name: a changed body\n") {
			t.Errorf("%s: no case of a changed body", name)
		}
		whole++
	}
	if whole < 150 {
		t.Errorf("%d drafts, %d without", whole, without)
	}
}
