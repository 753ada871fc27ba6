package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// setOf loads a set of so many webhooks.
func setOf(t *testing.T, webhooks int) *policy.Set {
	t.Helper()
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("webhooks:\n")
	for i := range webhooks {
		fmt.Fprintf(&text, "- {name: w%d, match: {path: /w%d}, provider: github, secrets: [{file: s}]}\n", i, i)
	}
	put(t, filepath.Join(dir, "p.yaml"), text.String())
	put(t, filepath.Join(dir, "s"), "gL7xQ2mVb3YdTnX0pW")
	set, err := policy.Load(filepath.Join(dir, "p.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What is known of the table that serves stays known while a newer one is held back or
// given up, and is bounded.
func TestInspector(t *testing.T) {
	in := &inspector{settings: &settings.Settings{Lease: 1}}
	one, two, three := authz.NewTable(), authz.NewTable(), authz.NewTable()
	load := func(set *policy.Set, table, serves *authz.Table, keyCount int) {
		about := in.begin(set)
		for i := range keyCount {
			about.onKey()(keys.Key{Webhook: "w0", ID: fmt.Sprint(i), Kind: "secret"})
		}
		in.done(set, table, serves, about)
	}
	small := setOf(t, 1)
	load(small, one, nil, 3)
	if got := in.of(one); len(got.keys) != 3 || len(got.findings) == 0 || got.notLooked != "" {
		t.Errorf("%d keys, findings %v, %q", len(got.keys), got.findings, got.notLooked)
	}
	for range 3 { // held back, again and again
		load(small, two, one, 5)
	}
	if got := in.of(one); len(got.keys) != 3 {
		t.Errorf("of the one that serves: %d keys", len(got.keys))
	}
	if got := in.of(two); len(got.keys) != 5 { // it serves now
		t.Errorf("of the next: %d keys", len(got.keys))
	}
	large := setOf(t, maxInspected+1)
	load(large, three, two, 2*maxKeptKeys)
	if got := in.of(three); len(got.keys) != maxKeptKeys || got.moreKeys != maxKeptKeys || len(got.findings) != 0 || !strings.Contains(got.notLooked, "hookbastion validate") {
		t.Errorf("of a large one: %d keys and %d, findings %d, %q", len(got.keys), got.moreKeys, len(got.findings), got.notLooked)
	}
	if got := in.of(two); len(got.keys) != 5 {
		t.Errorf("of the one that still serves: %d keys", len(got.keys))
	}
	if got := in.of(one); got.notLooked == "" {
		t.Error("something is known of a table that is gone")
	}
	var none *inspector
	if about := none.begin(small); about != nil || about.onKey() != nil {
		t.Error("nobody asks, and something is kept")
	}
	none.done(small, one, nil, nil)
}

// Many findings are cut off, and counted.
func TestInspectorCutsFindingsOff(t *testing.T) {
	in := &inspector{settings: &settings.Settings{}}
	table := authz.NewTable()
	set := setOf(t, maxKeptFindings)
	in.done(set, table, nil, in.begin(set))
	if got := in.of(table); len(got.findings) != maxKeptFindings || got.moreFindings == 0 {
		t.Errorf("%d findings, and %d", len(got.findings), got.moreFindings)
	}
}

func BenchmarkInspector(b *testing.B) {
	dir := b.TempDir()
	var text strings.Builder
	text.WriteString("webhooks:\n")
	for i := range maxInspected {
		fmt.Fprintf(&text, "- {name: w%d, match: {path: /w%d}, provider: github, secrets: [{file: s}]}\n", i, i)
	}
	for name, content := range map[string]string{"p.yaml": text.String(), "s": "gL7xQ2mVb3YdTnX0pW"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	set, err := policy.Load(filepath.Join(dir, "p.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	in := &inspector{settings: &settings.Settings{}}
	for b.Loop() {
		in.done(set, authz.NewTable(), nil, in.begin(set))
	}
}
