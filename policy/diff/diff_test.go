package diff_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/diff"
)

// set loads webhooks that are good.
func set(t *testing.T, hooks ...string) *policy.Set {
	t.Helper()
	dir := t.TempDir()
	text := "webhooks:\n- " + strings.Join(hooks, "\n- ") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Forget()
	return s
}

func changes(t *testing.T, before, after *policy.Set) diff.Changes {
	t.Helper()
	c, err := diff.Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A webhook that says what it was called before is the same one.
func TestCompareRenamed(t *testing.T) {
	const rest = "match: {path: /a}, provider: stripe, secrets: [{file: s}]"
	before := set(t, "{name: a, "+rest+"}", "{name: z, match: {path: /z}, provider: stripe, secrets: [{file: s}]}")
	for after, want := range map[string]string{
		"{name: b, " + rest + ", formerly: [a]}":               "b changed [name formerly] []",
		"{name: b, " + rest + ", formerly: [x, a]}":            "b changed [name formerly] [copies of deliveries from before, kept under another name]",
		"{name: b, " + rest + ", formerly: [a], mode: SHADOW}": "b changed [name mode formerly] [everything, by mode SHADOW]",
		"{name: a, " + rest + ", formerly: [x]}":               "a changed [formerly] [copies of deliveries from before, kept under another name]",
		"{name: b, " + rest + "}":                              "a removed [] []; b added [] []",
		"{name: b, " + rest + ", formerly: [somebody]}":        "a removed [] []; b added [] []",
	} {
		var lines []string
		for _, c := range changes(t, before, set(t, after, "{name: z, match: {path: /z}, provider: stripe, secrets: [{file: s}]}")) {
			lines = append(lines, fmt.Sprint(c.Webhook, " ", c.Kind, " ", c.Keys, " ", c.Wider))
		}
		if got := strings.Join(lines, "; "); got != want {
			t.Errorf("%s: got %s, want %s", after, got, want)
		}
	}
}

// Whose deliveries are accepted, and how many signatures are tried.
func TestCompareParameters(t *testing.T) {
	const rest = "name: a, match: {path: /a}, provider: kick, secrets: [{file: s}]"
	before := set(t, "{"+rest+", parameters: {broadcaster_user_ids: [1, 2]}}")
	for after, want := range map[string]string{
		"parameters: {broadcaster_user_ids: [2]}":                                 "[parameters] []",
		"parameters: {broadcaster_user_ids: [2, 3]}":                              "[parameters] [another broadcaster_user_ids]",
		"parameters: {broadcaster_user_ids: [1, 2]}, limits: {max_signatures: 5}": "[limits] []",
		"parameters: {broadcaster_user_ids: [1, 2]}, limits: {max_signatures: 6}": "[limits] [more signatures]",
		"mode: ENFORCE": "[mode parameters] [another broadcaster_user_ids]",
	} {
		c := changes(t, before, set(t, "{"+rest+", "+after+"}"))
		if len(c) != 1 || fmt.Sprint(c[0].Keys, " ", c[0].Wider) != want {
			t.Errorf("%s: %+v, want %s", after, c, want)
		}
	}
}

func TestCompare(t *testing.T) {
	open := "unverified: {reason: a test needs it}"
	hook := func(name, path, rest string) string {
		return fmt.Sprintf("{name: %s, match: {path: %s}, %s}", name, path, rest)
	}
	before := set(t, hook("a", "/a", open), hook("b", "/b", open), hook("c", "/c", open), hook("d", "/d", open+", mode: SHADOW"))
	after := set(t, hook("e", "/e", open), hook("d", "/d", open), hook("c", "/x", open+", limits: {max_signatures: 19}"), hook("a", "/a", open),
		"{name: f, match: {path: /f}, provider: stripe, secrets: [{file: s}]}")
	want := []string{
		"b removed [] []",
		"c changed [match limits] [more signatures path /x]",
		"d changed [mode] []",
		"e added [] [anything without proof, by unverified]",
		"f added [] []",
	}
	got := changes(t, before, after)
	var lines []string
	for _, c := range got {
		lines = append(lines, fmt.Sprint(c.Webhook, " ", c.Kind, " ", c.Keys, " ", c.Wider))
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if got.Count(diff.Added) != 2 || got.Count(diff.Removed) != 1 || got.Count(diff.Changed) != 2 || got.Wider() != 2 {
		t.Errorf("counted %d, %d, %d, %d", got.Count(diff.Added), got.Count(diff.Removed), got.Count(diff.Changed), got.Wider())
	}
	if again := changes(t, after, after); len(again) != 0 {
		t.Errorf("nothing changed, but %v", again)
	}
}

// Each row is a change, what it lets in, and what its opposite lets in.
func tokenJWT(issuer string) string {
	return "jwt: {issuers: [" + issuer + "], audiences: [me], algorithms: [RS256], keys: [{file: k}]}"
}

func TestWider(t *testing.T) {
	const stripe, github = "provider: stripe, secrets: [{file: s}]", "provider: github, secrets: [{file: s}]"
	const path = "match: {path: /a}, "
	const noTime = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [x]}, content: [{body: {}}]}}, secrets: [{file: s}]"
	const keyed = "scheme: {ed25519: {encoding: HEX, signature: {headers: [x]}, content: [{body: {}}]}, published: {urls: ['https://b.example/k']}}"
	const meta = "provider: meta, secrets: [{file: s}]"
	for _, test := range []struct{ before, after, wider, opposite string }{
		{path + stripe, path + stripe + ", respond: {denied_status: 400}", "", ""},
		{path + stripe, path + stripe + ", public_url: https://a.example", "", ""},
		{"match: {path: /a, hosts: [a.example]}, " + stripe, path + stripe, "any host", ""},
		{"match: {path: /a, hosts: [a.example, b.example]}, " + stripe, "match: {path: /a, hosts: [A.example., c.example]}, " + stripe, "host c.example", "host b.example"},
		{"match: {path: /a, hosts: ['*.example']}, " + stripe, "match: {path: /a, hosts: [a.example, '*.b.example']}, " + stripe, "", "host *.example"},
		{"match: {path: '/a/**'}, " + stripe, "match: {path: /a/b}, " + stripe, "", "path /a/**"},
		{"match: {path: '/a/**'}, " + stripe, "match: {path: /ab}, " + stripe, "path /ab", "path /a/**"},
		{path + stripe, "match: {path: /a, methods: [POST, PUT]}, " + stripe, "method PUT", ""},
		{path + stripe, "match: {extension_only: true}, " + stripe, "every path that Envoy names it for", "path /a"},
		{"match: {extension_only: true}, " + stripe, "match: {extension_only: true, methods: [GET]}, " + stripe, "method GET", "method POST"},
		{path + stripe, "match: {path: /a, methods: [POST]}, " + stripe, "", ""},
		{path + stripe, path + "provider: slack, secrets: [{file: s}]", "deliveries signed up to 5m0s ahead; another scheme", "another scheme"},
		{path + github, path + github + ", provider_scheme: sha1-legacy", "another scheme", "another scheme"},
		{path + github, path + "token: {any_of: [{bearer: {value: {file: s}}}]}", "no signature", "no token"},
		{path + stripe, path + "unverified: {reason: a test needs it}", "deliveries without a signed time; no signature; anything without proof, by unverified", ""},
		{path + stripe, path + "provider: stripe, secrets: [{file: s}, {id: new, file: t}]", "key new", ""},
		{path + stripe, path + "provider: stripe, secrets: [{file: s, not_after: 2027-01-01T00:00:00Z}]", "", "key 1 at other times"},
		{path + "provider: stripe, secrets: [{file: s, not_before: 2027-01-01T00:00:00Z}]", path + "provider: stripe, secrets: [{file: s, not_before: 2026-01-01T00:00:00Z}]", "key 1 at other times", ""},
		{path + keyed + ", secrets: [{file: k}]", path + keyed + ", secrets: [{url: 'https://a.example/k'}]", "key 1", "key 1"},
		{path + keyed + ", secrets: [{file: k}]", path + keyed, "keys that the provider publishes", "key 1"},
		{path + stripe, path + stripe + ", source_ip: {allow: [192.0.2.0/24]}", "", "any source address"},
		{path + stripe + ", source_ip: {allow: [192.0.2.0/24]}", path + stripe + ", source_ip: {allow: [192.0.2.7, 198.51.100.0/24]}", "source 198.51.100.0/24", "source 192.0.2.0/24"},
		{path + stripe + ", source_ip: {deny: [192.0.2.0/24]}", path + stripe + ", source_ip: {deny: [192.0.2.7]}", "source 192.0.2.0/24, which was refused", ""},
		{path + stripe, path + stripe + ", transport: {require_tls: true}", "", "senders without TLS"},
		{path + stripe + ", transport: {min_version: TLSV1_3}", path + stripe + ", transport: {min_version: TLSV1_2}", "older versions of TLS", ""},
		{path + stripe + ", transport: {require_tls: true}", path + stripe + ", transport: {client_certificate: {sans: [a]}}", "", "senders without a client certificate"},
		{path + stripe + ", transport: {client_certificate: {sans: [a], ca: {file: c}}}", path + stripe + ", transport: {client_certificate: {sans: [b]}}", "client name b; client certificates of another authority", "client name a"},
		{path + stripe + ", transport: {client_certificate: {sans: [a]}}", path + stripe + ", transport: {client_certificate: {ca: {file: c}}}", "any client name", "client certificates of another authority"},
		{path + stripe, path + stripe + ", assertion: {audience: a}", "", ""},
		{path + stripe, path + stripe + ", token: {any_of: [{bearer: {value: {file: t}}}]}", "", "no token"},
		{path + "token: {any_of: [{bearer: {value: {file: t}}}]}", path + "token: {any_of: [{bearer: {value: {file: t}}}], " + tokenJWT("a") + "}", "", "no JSON Web Token"},
		{path + "token: {" + tokenJWT("a") + "}", path + "token: {any_of: [{bearer: {value: {file: t}}}], " + tokenJWT("a") + "}", "", "no static token"},
		{path + "token: {" + tokenJWT("a") + "}", path + "token: {" + tokenJWT("b") + "}", "other JSON Web Tokens", "other JSON Web Tokens"},
		{path + "token: {any_of: [{bearer: {value: {file: t}}}]}", path + "token: {any_of: [{bearer: {value: {file: t}}}, {header: {name: x, value: {file: t}}}]}", "token 2", ""},
		{path + stripe, path + stripe + ", freshness: {tolerance: 300s, future: 60s}", "", ""},
		{path + stripe, path + stripe + ", freshness: {tolerance: 301s}", "deliveries signed up to 5m1s ago", ""},
		{path + stripe, path + stripe + ", freshness: {future: 61s}", "deliveries signed up to 1m1s ahead", ""},
		{path + github, path + github + ", replay: {window: 1h}", "copies after 1h0m0s", ""},
		{path + stripe, path + stripe + ", replay: {window: 1h}", "", ""}, // its time counts
		{path + stripe, path + stripe + ", replay: {on_replay: MARK}", "copies, marked", ""},
		{path + stripe, path + stripe + ", limits: {max_body_bytes: 1KiB}", "", "larger bodies"},
		{path + stripe, path + stripe + ", limits: {max_header_bytes: 128KiB, max_signatures: 17}", "larger headers; more signatures", ""},
		{path + stripe, path + stripe + ", limits: {content_types: [application/json]}", "", "any content type"},
		{path + stripe + ", limits: {content_types: [a/b, c/d]}", path + stripe + ", limits: {content_types: [a/b, e/f]}", "content type e/f", "content type c/d"},
		{path + github, path + "provider: meta, secrets: [{file: s}], handshake: {mode: OFF}", "", "more handshakes, which are answered"}, // both sign alike
		{path + meta, path + meta + ", handshake: {mode: ON}", "more handshakes, which are answered", ""},
		{path + meta + ", handshake: {mode: OFF}", path + meta, "more handshakes, which are answered", ""},
		{path + meta, path + meta + ", handshake: {verify_token: {file: v}}", "", ""},
		{path + meta + ", handshake: {setup_until: 2026-12-01T10:00:00Z, learnt: {file: l}}", path + meta + ", handshake: {setup_until: 2026-12-01T11:00:00Z, learnt: {file: m}}",
			"a secret that the provider brings, until 2026-12-01T11:00:00Z; a secret in m", "a secret in l"},
		{path + stripe, path + stripe + ", mode: SHADOW", "everything, by mode SHADOW", ""},
		{path + noTime, path + stripe, "another scheme", "deliveries without a signed time; another scheme"},
	} {
		a, b := set(t, "{name: a, "+test.before+"}"), set(t, "{name: a, "+test.after+"}")
		wider := func(before, after *policy.Set) string {
			c := changes(t, before, after)
			if len(c) != 1 || c[0].Kind != diff.Changed {
				t.Fatalf("%s -> %s: %v", test.before, test.after, c)
			}
			return strings.Join(c[0].Wider, "; ")
		}
		if got := wider(a, b); got != test.wider {
			t.Errorf("%s -> %s: %q, want %q", test.before, test.after, got, test.wider)
		}
		if got := wider(b, a); got != test.opposite {
			t.Errorf("%s -> %s: %q, want %q", test.after, test.before, got, test.opposite)
		}
	}
}
