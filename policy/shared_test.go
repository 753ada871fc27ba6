package policy_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/policy"
)

// withSecret is a directory with a policy and the file secret.
func withSecret(t *testing.T, policyText string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "secret"), "a secret of some length")
	write(t, filepath.Join(dir, "a.yaml"), policyText)
	return dir
}

// Webhooks share what is compiled of one scheme, and only that.
func TestSharedPlans(t *testing.T) {
	const own = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}]}}"
	dir := withSecret(t, `webhooks:
  - {name: a, match: {path: /a}, provider: square, secrets: [{file: secret}]}
  - {name: same, match: {path: /b}, provider: square, secrets: [{id: other, file: secret}]}
  - {name: url, match: {path: /c}, provider: square, public_url: "https://a.example", secrets: [{file: secret}]}
  - {name: more, match: {path: /d}, provider: square, limits: {max_signatures: 9}, secrets: [{file: secret}]}
  - {name: own, match: {path: /e}, `+own+`, secrets: [{file: secret}]}
  - {name: own-same, match: {path: /f}, `+own+`, secrets: [{file: secret}]}
  - {name: own-other, match: {path: /g}, scheme: {hmac: {hash: SHA512, encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}]}}, secrets: [{file: secret}]}
`)
	table, err := compile(dir)
	if err != nil {
		t.Fatal(err)
	}
	plan := func(name string) *signature.Plan {
		for _, check := range table.Webhook(name).Chain {
			if c, ok := check.(*signature.Check); ok {
				return c.Schemes[0].(*signature.Content).Plan //nolint:forcetypeassert // or the test fails
			}
		}
		t.Fatalf("%s has no signature", name)
		return nil
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{{"a", "same", true}, {"a", "url", false}, {"a", "more", false}, {"own", "own-same", true}, {"own", "own-other", false}} {
		if (plan(c.a) == plan(c.b)) != c.same {
			t.Errorf("%s and %s: the same plan: %v", c.a, c.b, !c.same)
		}
	}
}

// A scheme with an error has it in each webhook that has the scheme.
func TestErrorsOfSharedSchemes(t *testing.T) {
	const bad = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig], grammar: PREFIX}, content: [{body: {}}]}}"
	dir := withSecret(t, "webhooks:\n"+
		"  - {name: a, match: {path: /a}, "+bad+", secrets: [{file: secret}]}\n  - {name: b, match: {path: /b}, "+bad+", secrets: [{file: secret}]}\n")
	_, err := compile(dir)
	if errs, ok := err.(policy.Errors); !ok || len(errs) != 2 { //nolint:errorlint // the type itself is asked for
		t.Errorf("%v", err)
	}
}

// What share takes for a check's key must have all of the check.
func TestKeysOfSharedChecks(t *testing.T) {
	if n := reflect.TypeFor[authz.Limits]().NumField(); n != 4 {
		t.Errorf("authz.Limits has %d fields: limitsKey must have them all", n)
	}
	if n := reflect.TypeFor[source.Check]().NumField(); n != 3 {
		t.Errorf("source.Check has %d fields: sourceKey must have them all", n)
	}
}
