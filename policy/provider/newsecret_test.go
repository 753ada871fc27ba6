package provider_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
)

// A new secret is one that serve takes, for each scheme of the catalogue, and another each
// time.
func TestNewSecrets(t *testing.T) {
	seen := map[string]bool{}
	eachScheme(t, func(t *testing.T, s *scheme) {
		text, err := provider.NewSecret(s.named.GetScheme())
		if errors.Is(err, provider.ErrNoNewSecret) {
			if s.jws().GetX5C() == nil {
				t.Error(err)
			}
			return
		}
		if err != nil || seen[string(text)] {
			t.Fatalf("%v, or one that was there before", err)
		}
		seen[string(text)] = true
		if err := os.WriteFile(filepath.Join(s.dir, "a"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s.deps.Strict = true
		other, err := provider.NewSecret(s.named.GetScheme())
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, "b", string(other))
		s.compile(t)
	})
	if len(seen) < 200 {
		t.Errorf("%d secrets", len(seen))
	}
}
