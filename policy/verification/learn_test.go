package verification_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// A stranger came first, and the operator has thrown away what he brought: nothing more is
// learnt in that window, by this replica or another, and the provider's in the next.
func TestAfterAStranger(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	store, fingerprinter := memory.New(memory.Config{MaxEntries: 1000}), authz.NewFingerprinter(authz.FingerprintKey{})
	table := func(until time.Time) *authz.Table {
		file := filepath.Join(dir, "a.yaml")
		text := fmt.Sprintf("webhooks: [{name: a, match: {path: /a}, provider: asana, handshake: {setup_until: %s, learnt: {file: kept}}}]\n", until.UTC().Format(time.RFC3339))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := policy.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		table, err := policy.Compile(set, policy.Deps{Store: store, Fingerprinter: fingerprinter, MaxBodyBytes: 1 << 20, Now: now, Lasting: true})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	brings := func(table *authz.Table, text string, want authz.Reason) {
		t.Helper()
		d := &authz.Decision{}
		table.Decide(context.Background(), &authz.Request{
			Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/a"), Body: authz.Body{State: authz.BodyWhole},
			Headers: authz.Headers{{Name: authz.View("x-hook-secret"), Value: authz.View(text)}},
		}, now, d)
		if d.Reason != want || (d.Answered() != nil) != (want == authz.Handshake) {
			t.Errorf("%s: %s, want %s", text, d.Reason, want)
		}
	}
	const strangers, providers = "what-a-stranger-knows-7f3a9c", "what-the-provider-knows-99b1"
	first := table(now.Add(time.Hour))
	brings(first, strangers, authz.Handshake)
	brings(first, providers, authz.HandshakeRefused)
	waiting := filepath.Join(dir, "kept"+handshake.Waiting)
	if info, err := os.Stat(waiting); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := os.Remove(waiting); err != nil {
		t.Fatal(err)
	}
	brings(first, strangers, authz.HandshakeRefused)
	brings(table(now.Add(time.Hour)), strangers, authz.HandshakeRefused) // a reload, or another replica
	brings(table(now.Add(2*time.Hour)), providers, authz.Handshake)
	if text, err := os.ReadFile(waiting); err != nil || string(text) != providers+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".kept*")); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
