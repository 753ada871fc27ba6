package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy"
)

// block returns the code block behind a marker in the guide.
func block(t *testing.T, guide, marker string) string {
	t.Helper()
	_, rest, ok := strings.Cut(guide, "<!-- "+marker+" -->\n```")
	_, rest, hasLine := strings.Cut(rest, "\n")
	text, _, ends := strings.Cut(rest, "```\n")
	if !ok || !hasLine || !ends {
		t.Fatalf("the guide has no block %q", marker)
	}
	return text
}

// What the guide shows is what the catalogue has, and its policy does the same.
func TestAddingGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/providers/adding.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	for marker, file := range map[string]string{"catalogue: fingerprint": "catalogue/fingerprint.yaml", "vector: fingerprint": "vectors/fingerprint.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// Of the vectors, the guide has the first.
		if shown := strings.TrimSuffix(block(t, guide, marker), "\n]\n"); !strings.HasPrefix(string(data), shown) {
			t.Errorf("%s is not as the guide shows it", file)
		}
	}
	root := t.TempDir()
	s := &scheme{provider: "fingerprint", dir: root}
	for _, dir := range []string{"policies", "secrets"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.write(t, "policies/policy.yaml", block(t, guide, "policy"))
	s.write(t, "secrets/fingerprint", s.secret(0))
	eachScheme(t, func(t *testing.T, entry *scheme) {
		if entry.provider != s.provider {
			return
		}
		set, err := policy.Load(filepath.Join(root, "policies"))
		if err != nil {
			t.Fatal(err)
		}
		inline, err := policy.Compile(set, entry.deps)
		if err != nil {
			t.Fatal(err)
		}
		req := entry.delivery(t, now)
		req.Path = authz.View("/webhooks/fingerprint")
		if d := decideBy(t, inline, req, now); d.Reason != authz.OK || d.Proof != authz.ProofSignature {
			t.Errorf("the policy of the guide refuses a delivery: %s", d.Reason)
		}
		req.Body.Segments = [][]byte{[]byte("{}")}
		if d := decideBy(t, inline, req, now); d.Reason != authz.SignatureInvalid {
			t.Errorf("the policy of the guide lets a changed body pass: %s", d.Reason)
		}
	})
}
