package policy_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

func TestTokenRules(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "basic"), "hook:the password\n")
	write(t, filepath.Join(dir, "bearer"), "the bearer\n")
	write(t, filepath.Join(dir, "policy.yaml"), `webhooks:
  - name: a
    match: {path: /a}
    token:
      any_of:
        - {id: basic, basic: {value: {file: basic}}}
        - {id: digest, query: {name: t, value: {digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}}
        - {bearer: {value: {file: bearer}}, not_before: 2026-01-01T00:00:00Z, not_after: 2027-01-01T00:00:00Z}
`)
	table, err := compile(dir)
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		path, authorization string
		at                  time.Time
		want                authz.Reason
		key                 string
	}{
		{"/a", "Basic aG9vazp0aGUgcGFzc3dvcmQ=", inside, authz.OK, "basic"},
		{"/a", "basic aG9vazp0aGUgcGFzc3dvcmQ=", inside, authz.OK, "basic"},
		{"/a", "Basic aG9vazp0aGUgcGFzc3dvcmQ", inside, authz.TokenMissing, ""},
		{"/a", "Basic hook:the password", inside, authz.TokenMissing, ""},
		{"/a", "Bearer aG9vazp0aGUgcGFzc3dvcmQ=", inside, authz.TokenInvalid, ""},
		{"/a?t=test", "", inside, authz.OK, "digest"},
		{"/a?x=1&t=test", "", inside, authz.OK, "digest"},
		{"/a?t=%74est", "", inside, authz.OK, "digest"},
		{"/a?t=Test", "", inside, authz.TokenInvalid, ""},
		{"/a?t=test&t=test", "", inside, authz.TokenMissing, ""},
		{"/a?t=", "", inside, authz.TokenMissing, ""},
		{"/a?T=test", "", inside, authz.TokenMissing, ""},
		{"/a", "Bearer the bearer", inside, authz.OK, "token-3"},
		{"/a", "Bearer the bearer", outside, authz.KeyNotValidNow, ""},
		{"/a", "Bearer another", inside, authz.TokenInvalid, ""},
		{"/a", "", inside, authz.TokenMissing, ""},
	} {
		req := &authz.Request{Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View(c.path)}
		if c.authorization != "" {
			req.Set("authorization", c.authorization)
		}
		var d authz.Decision
		table.Decide(context.Background(), req, c.at, &d)
		if d.Reason != c.want || d.KeyID != c.key {
			t.Errorf("%s %s: %s, key %q; want %s, %q", c.path, c.authorization, d.Reason, d.KeyID, c.want, c.key)
		}
	}
}
