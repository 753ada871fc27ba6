package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compile loads and compiles what is in the directories, with an empty store
// that has no start guard.
func compile(paths ...string) (*authz.Table, error) {
	set, _ := policy.Load(paths...) // Compile reports what is wrong with both
	return policy.Compile(set, deps())
}

func deps() policy.Deps {
	return policy.Deps{
		Store:         memory.New(memory.Config{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes:  1 << 20,
	}
}
