package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy"
)

// Each place of keys of the guide compiles to something that is fetched, with what the
// webhook must give.
func TestGuidePublished(t *testing.T) {
	all := rows(t, "the provider publishes")
	if len(all) < 7 {
		t.Errorf("only %d places of keys", len(all))
	}
	for _, row := range all {
		published := row[1][0]
		t.Run(published, func(t *testing.T) {
			dir := t.TempDir()
			var credentials []string
			for _, name := range []string{"token", "secret"} {
				if strings.Contains(published, "{"+name+"}") {
					credentials = append(credentials, "{name: "+name+", file: "+name+"}")
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte("a-credential"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			given := ""
			if len(credentials) > 0 {
				given = "    credentials: [" + strings.Join(credentials, ", ") + "]\n"
			}
			text := "webhooks:\n  - name: a\n    match: {path: /a}\n" + given + "    scheme:\n" +
				"      rsa: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}], key_id: {headers: [X-Key]}}\n      published: " + published + "\n"
			if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			set, err := policy.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			table, err := policy.Compile(set, policy.Deps{MaxBodyBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if !table.Fetched.Needs() {
				t.Error("nothing is fetched for it")
			}
		})
	}
}
