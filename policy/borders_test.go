package policy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy"
)

// validate names the webhooks whose query and form are not told apart, and what
// would.
func TestBorderFindings(t *testing.T) {
	for name, c := range map[string]struct{ hook, want string }{
		"no pin":            {"match: {path: /t}, provider: twilio", `give pinned_query, the query of the URL that the provider has ("" for none)`},
		"no pin, open path": {"match: {path: '/t/{tenant}'}, provider: twilio", `("" for none), and a match.path that does not end in {x} or /**`},
		"open path":         {"match: {path: /t/**}, provider: twilio, pinned_query: a=1", "; give a match.path that does not end in {x} or /**"},
		"pinned":            {"match: {path: /t}, provider: twilio, pinned_query: a=1", ""},
		"pinned to none":    {"match: {path: '/{tenant}/t'}, provider: twilio, pinned_query: ''", ""},
		"plivo":             {"match: {path: /t}, provider: plivo-v3", "give pinned_query"},
		"plivo by GET":      {"match: {path: /t, methods: [GET]}, provider: plivo-v3", ""},
		"mandrill":          {"match: {path: /t/**}, provider: mandrill", ""},
		"square":            {"match: {path: /t/**}, provider: square", ""},
		"slides": {
			"match: {path: /t}, scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-S]}, content: [{url: {}}, {body: {}}], slides: {reason: plain text}}}",
			"deliveries are x-hookbastion-verified: partial; give pinned_query, the query of the URL that the provider has (\"\" for none)",
		},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "key"), "a secret of enough bytes")
		write(t, filepath.Join(dir, "p.yaml"), "webhooks:\n- {name: w, public_url: 'https://h.example', secrets: [{file: key}], "+c.hook+"}\n")
		set, err := policy.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		table, err := policy.Compile(set, deps())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found, err := set.BorderFindings(table)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case c.want == "" && len(found) == 0:
		case c.want != "" && len(found) == 1 && found[0].ID == "HB081" && found[0].Severity == "warning" && strings.HasSuffix(found[0].Message, c.want),
			name == "plivo" && len(found) == 1 && strings.Contains(found[0].Message, c.want):
		default:
			t.Errorf("%s: %v, want %q", name, found, c.want)
		}
	}
}
