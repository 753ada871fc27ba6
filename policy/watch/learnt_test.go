package watch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/watch"
)

// A secret that the provider brings: until somebody accepts it, deliveries are to come
// again; from then on they are verified with it, without a change of the policy.
func TestLearntSecret(t *testing.T) {
	dir := t.TempDir()
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	write(t, filepath.Join(dir, "p", "a.yaml"), fmt.Sprintf(
		"webhooks: [{name: a, match: {path: /a}, provider: asana, handshake: {setup_until: %s, learnt: {file: ../kept/asana}}}]\n", until))
	write(t, filepath.Join(dir, "kept", "other"), "")
	store, fingerprinter := memory.New(memory.Config{MaxEntries: 1000}), authz.NewFingerprinter(authz.FingerprintKey{})
	w := run(t, &watch.Watcher{
		Paths: []string{filepath.Join(dir, "p")},
		Compile: func(set *policy.Set, previous *authz.Table) (*authz.Table, error) {
			return policy.Compile(set, policy.Deps{Store: store, Fingerprinter: fingerprinter, MaxBodyBytes: 1 << 20, Now: time.Now(), Previous: previous, Lasting: true})
		},
	})
	decide := func(name, value string) *authz.Decision {
		d := &authz.Decision{}
		w.Table().Decide(context.Background(), &authz.Request{
			Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/a"), Body: authz.Body{Segments: [][]byte{[]byte("{}")}, Size: 2, State: authz.BodyWhole},
			Headers: authz.Headers{{Name: authz.View(name), Value: authz.View(value)}},
		}, time.Now(), d)
		return d
	}
	const brought = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"
	const signed = "5a92a2ab5c9c1a1f6e2be90cb9ddbd24ee7b8a1c3b8ac2f8f0d8c1fcb6a2f9b2" // by nobody
	learnt := 0
	for _, step := range []struct {
		name, value string
		want        authz.Reason
	}{
		{"x-hook-signature", signed, authz.KeysUnavailable},
		{"x-hook-secret", brought, authz.Handshake},
		{"x-hook-secret", "another-secret-that-comes-later", authz.HandshakeRefused},
		{"x-hook-secret", brought, authz.Handshake}, // a repeat
		{"x-hook-signature", signed, authz.KeysUnavailable},
	} {
		d := decide(step.name, step.value)
		if d.Reason != step.want {
			t.Fatalf("%s: %s, want %s", step.name, d.Reason, step.want)
		}
		if d.Answered() != nil && d.Answer.Learnt {
			learnt++
		}
		if d.Answered() != nil && (len(d.Answer.Headers) != 1 || string(d.Answer.Headers[0].Value) != brought) {
			t.Errorf("the answer has %v", d.Answer.Headers)
		}
	}
	if learnt != 1 {
		t.Errorf("%d answers say that a secret was taken", learnt)
	}
	if err := handshake.Accept(filepath.Join(dir, "kept", "asana")); err != nil {
		t.Fatal(err)
	}
	w.await("the accepted secret", func(o outcome) bool { return o.Err == nil && len(o.Table.Secrets.Names()) == 1 })
	if d := decide("x-hook-signature", signed); d.Reason != authz.SignatureInvalid {
		t.Errorf("another signature: %s", d.Reason)
	}
	req := &authz.Request{Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/a"), Body: authz.Body{Segments: [][]byte{[]byte("{}")}, Size: 2, State: authz.BodyWhole}}
	if err := w.Table().Webhook("a").Sign(req, authz.Signing{Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	d := &authz.Decision{}
	w.Table().Decide(context.Background(), req, time.Now(), d)
	if d.Reason != authz.OK || d.KeyID != "learnt" {
		t.Errorf("a delivery: %s, key %q", d.Reason, d.KeyID)
	}
	if d := decide("x-hook-secret", brought); d.Reason != authz.HandshakeRefused {
		t.Errorf("the secret once more: %s", d.Reason)
	}
}
