package explain

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
)

// TestCausesOfTheCatalogue: a line feed behind the body is found whoever the provider is, if
// the signature does not hold for it.
func TestCausesOfTheCatalogue(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for i, name := range names {
		if testing.Short() && i%10 != 0 {
			continue
		}
		policies, raw := pageDelivery(t, name)
		if raw == nil {
			continue // what it signs with is not a secret
		}
		e, text := runExplain(t, policies, raw)
		if e.Reason != authz.SignatureInvalid.String() {
			continue // it is not a part of what is signed, or is no JSON any more
		}
		if len(e.Causes) == 0 || e.Causes[0].ID != "body_line_feed" {
			t.Errorf("%s:\n%s", name, text)
		}
		named++
	}
	t.Logf("named for %d of %d providers", named, len(names))
	if named < 100 && !testing.Short() {
		t.Errorf("of %d providers", named)
	}
}

// pageDelivery is a delivery of the policy on a provider's page, with a line feed behind its
// body; nil if it cannot be signed with a secret.
func pageDelivery(t *testing.T, name string) (policies string, raw []byte) {
	t.Helper()
	p, err := provider.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, text := t.TempDir(), page.Snippet(p)
	policies = filepath.Join(dir, "policies")
	files := regexp.MustCompile(`file: \.\./(secrets/[\w./-]+)`).FindAllStringSubmatch(text, -1)
	for _, held := range []string{theSecret, whsec, strings.Repeat("3f9a1c7e5b2d8046", 4)} {
		if err := sample.WriteFile(filepath.Join(policies, "webhooks.yaml"), []byte(text)); err != nil {
			t.Fatal(err)
		}
		for _, m := range files {
			if err := sample.WriteFile(filepath.Join(dir, m[1]), []byte(held)); err != nil {
				t.Fatal(err)
			}
		}
		from := cli.Policies{Paths: []string{policies}}
		table, err := from.Table()
		if err != nil {
			continue
		}
		d := sample.Delivery{Webhook: name, Host: "hooks.example.com"}
		req, err := d.Request(table, signedAt, nil)
		if err != nil || req.Body.Len() == 0 {
			continue
		}
		req.Body.Segments = append(req.Body.Segments, []byte("\n"))
		var out bytes.Buffer
		if err := sample.PrintRaw(&out, req); err != nil {
			t.Fatal(err)
		}
		return policies, out.Bytes()
	}
	return "", nil
}
