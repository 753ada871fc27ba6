package explain

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

// signedAt is when deliveries of the table are signed, and come.
var signedAt = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// theSecret is good for all providers of the table, and another one is not the same.
const (
	theSecret    = "mB6sDq2ZxTn4vKc8pLw0JrYhGf5aUe7i"
	anotherOne   = "Xk3nVb9QwEr5tYu1iOp7aSd2fGh4jKl6"
	whsec        = "whsec_" + theSecret
	defaultBody  = `{"event":"order.paid","note":"café / tea","amount":12.50,"items":[{"id":1},{"id":2}]}`
	ownSchemeOf  = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{timestamp: {}}, {literal: '.'}, {body: {}}], timestamp: {header: X-Ts, unit: SECONDS}}}"
	millisScheme = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{timestamp: {}}, {literal: '.'}, {body: {}}], timestamp: {header: X-Ts, unit: MILLISECONDS}}}"
)

// mistake is a delivery that is right by the sender's policy, and wrong by the receiver's.
type mistake struct {
	name string
	// sender and receiver are what their policies say, after the webhook's name; the second
	// is the first where it is empty.
	sender, receiver string
	// theirs and ours are the secrets; theSecret where they are empty.
	theirs, ours string
	path, body   string
	host         string
	age          time.Duration
	// change is what becomes of it on the way.
	change func(*authz.Request)
	want   string // the cause; none if empty
}

func body(change func([]byte) []byte) func(*authz.Request) {
	return func(r *authz.Request) { r.Body.Segments = [][]byte{change(r.Body.Joined())} }
}

func header(name, value string) func(*authz.Request) {
	return func(r *authz.Request) { r.Set(name, value) }
}

func renamed(from, to string) func(*authz.Request) {
	return func(r *authz.Request) {
		for i := range r.Headers {
			if string(r.Headers[i].Name) == from {
				r.Headers[i].Name = authz.View(to)
			}
		}
	}
}

func at(path string) func(*authz.Request) {
	return func(r *authz.Request) { r.Path = authz.View(path) }
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func indented(b []byte) []byte {
	var out bytes.Buffer
	_ = json.Indent(&out, b, "", "  ")
	return out.Bytes()
}

const (
	squareAt  = "provider: square, public_url: 'https://hooks.example.com'"
	hubspotAt = "provider: hubspot-v3, public_url: 'https://hooks.example.com'"
	twilioAt  = "provider: twilio, pinned_query: '', public_url: 'https://hooks.example.com'"
	form      = "From=%2B4912345&Body=hello+there&To=%2B4954321"
)

var mistakes = []mistake{
	// The secret.
	{name: "decoded, and is a text", sender: "provider: github", receiver: "provider: github", theirs: theSecret, ours: "format: BASE64", want: "key_as_text"},
	{name: "a text, and is base64", sender: "provider: shopify", theirs: "format: BASE64", want: "key_base64"},
	{name: "a text, and is hexadecimal", sender: "provider: linear", theirs: "format: HEX", want: "key_hex"},
	{name: "a line feed at its end at the sender", sender: "provider: github", theirs: theSecret + "\n", want: "key_line_feed"},
	{name: "a space at its end at the sender", sender: "provider: typeform", theirs: theSecret + " ", want: "key_space"},
	{name: "white space around ours", sender: "provider: slack", ours: " " + theSecret + " ", want: "key_space"},
	{name: "quotes around ours", sender: "provider: dropbox", ours: `"` + theSecret + `"`, want: "key_quotes"},
	{name: "base64 once more", sender: "provider: github", ours: theSecret, theirs: base64.StdEncoding.EncodeToString([]byte(theSecret)), want: "key_encoded_twice"},
	{name: "its name before it", sender: "provider: zoom", ours: "ZOOM_SECRET=" + theSecret, want: "key_decorated"},
	{name: "whsec_ and not decoded at the sender", sender: "provider: standard-webhooks", theirs: "text of " + whsec, ours: whsec, want: "key_as_text"},
	{name: "that of another webhook", sender: "provider: github", theirs: anotherOne, want: "key_of_webhook"},
	// Another scheme.
	{name: "sha1 of GitHub", sender: "provider: github, provider_scheme: sha1-legacy", receiver: "provider: github", want: "scheme_of_provider"},
	{name: "a delivery of another provider", sender: "provider: slack", receiver: "provider: stripe", want: "scheme_of_provider"},
	{name: "another header", sender: "provider: shopify", change: renamed("x-shopify-hmac-sha256", "x-proxy-hmac"), want: "scheme_header"},
	{name: "another encoding", sender: strings.Replace(ownSchemeOf, "HEX", "BASE64", 1), receiver: ownSchemeOf, want: "scheme_encoding"},
	{name: "another hash", sender: strings.Replace(ownSchemeOf, "SHA256", "SHA512", 1), receiver: ownSchemeOf, want: "scheme_hash"},
	{name: "the time left out of the content", sender: strings.Replace(strings.Replace(ownSchemeOf, "{timestamp: {}}, {literal: '.'}, ", "", 1), ", timestamp: {header: X-Ts, unit: SECONDS}", "", 1), receiver: ownSchemeOf, change: header("x-ts", fmt.Sprint(signedAt.Unix())), want: "scheme_content"},
	// The URL.
	{name: "http for https", sender: strings.Replace(squareAt, "https:", "http:", 1), receiver: squareAt, want: "url_scheme"},
	{name: "another host", sender: strings.Replace(squareAt, "hooks.", "pay.", 1), receiver: squareAt, host: "pay.example.com", want: "url_host"},
	{name: "the host before a proxy", sender: strings.Replace(hubspotAt, "hooks.", "shop.", 1), receiver: hubspotAt, change: header("x-forwarded-host", "shop.example.com"), want: "url_host"},
	{name: "a port", sender: strings.Replace(squareAt, ".com", ".com:8443", 1), receiver: squareAt, want: "url_port"},
	{name: "a prefix that a gateway took off", sender: strings.Replace(squareAt, ".com", ".com/api", 1), receiver: squareAt, want: "url_prefix"},
	{name: "a prefix that a header tells", sender: strings.Replace(hubspotAt, ".com", ".com/crm-in", 1), receiver: hubspotAt, change: header("x-forwarded-prefix", "/crm-in"), want: "url_prefix"},
	{name: "scheme and port", sender: strings.Replace(squareAt, "https://hooks.example.com", "http://hooks.example.com:8080", 1), receiver: squareAt, want: "url_scheme+url_port"},
	{name: "a slash at the end of the path", sender: squareAt, path: "/hook/in/", change: at("/hook/in"), want: "url_slash"},
	{name: "the query decoded on the way", sender: squareAt, path: "/hook/in?to=a%40example.com", change: at("/hook/in?to=a@example.com"), want: "url_query_encoded"},
	{name: "the query encoded on the way", sender: squareAt, path: "/hook/in?to=a@example.com", change: at("/hook/in?to=a%40example.com"), want: "url_query_decoded"},
	{name: "a query that a gateway added", sender: squareAt, path: "/hook/in", change: at("/hook/in?region=eu"), want: "url_no_query"},
	{name: "a query that the policy does not have", sender: strings.Replace(twilioAt, "''", "a=1", 1), receiver: twilioAt, path: "/hook/in?a=1", body: form, want: "url_query_pinned"},
	{name: "a prefix before a signed form", sender: strings.Replace(twilioAt, ".com", ".com/v1", 1), receiver: twilioAt, body: form, want: "url_prefix"},
	// The body.
	{name: "a line feed added", sender: "provider: stripe", change: body(func(b []byte) []byte { return append(bytes.Clone(b), '\n') }), want: "body_line_feed"},
	{name: "a line feed taken off", sender: "provider: github", body: defaultBody + "\n", change: body(func(b []byte) []byte { return bytes.TrimSpace(b) }), want: "body_line_feed"},
	{name: "other ends of lines", sender: "provider: intercom", body: "{\r\n\"a\": 1\r\n}", change: body(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }), want: "body_line_endings"},
	{name: "pretty-printed on the way", sender: "provider: shopify", change: body(indented), want: "body_json"},
	{name: "made compact on the way", sender: "provider: slack", body: string(indented([]byte(defaultBody))), change: body(func([]byte) []byte { return []byte(defaultBody) }), want: "body_json"},
	{name: "serialised anew by PHP", sender: "provider: zoom", change: body(func(b []byte) []byte {
		return []byte(strings.NewReplacer("é", `\u00e9`, "/", `\/`).Replace(string(b)))
	}), want: "body_json"},
	{name: "signed sorted by Python", sender: "provider: dropbox", body: `{"amount": 12.50, "event": "order.paid", "note": "caf\u00e9"}`, change: body(func([]byte) []byte {
		return []byte(`{"event":"order.paid","note":"café","amount":12.50}`)
	}), want: "body_json"},
	{name: "compressed after it was signed", sender: "provider: github", change: body(zipped), want: "body_compressed"},
	{name: "base64 of an API gateway", sender: "provider: stripe", change: body(func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }), want: "body_base64"},
	{name: "a JSON string on the way", sender: "provider: linear", change: body(func(b []byte) []byte {
		text, _ := json.Marshal(string(b))
		return text
	}), want: "body_quoted"},
	{name: "a byte order mark", sender: "provider: github", change: body(func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }), want: "body_byte_order_mark"},
	{name: "another charset", sender: "provider: typeform", change: body(func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "é", "\xe9")) }), want: "body_charset"},
	// Two at once.
	{name: "the secret and the body", sender: "provider: github", theirs: theSecret + "\n", change: body(indented), want: "body_json+key_line_feed"},
	{name: "the body and the URL", sender: strings.Replace(squareAt, "https:", "http:", 1), receiver: squareAt, change: body(indented), want: "body_json+url_scheme"},
	// The clock.
	{name: "an hour of a time zone", sender: "provider: stripe", age: time.Hour, want: "clock_zone"},
	{name: "seven minutes late", sender: "provider: slack", age: 7 * time.Minute, want: "clock_behind"},
	{name: "twenty minutes ahead", sender: "provider: stripe", age: -20*time.Minute - 7*time.Second, want: "clock_ahead"},
	{name: "milliseconds for seconds", sender: millisScheme, receiver: ownSchemeOf, want: "clock_milliseconds"},
	{name: "seconds for milliseconds", sender: ownSchemeOf, receiver: millisScheme, want: "clock_seconds"},
	// Where nothing fits, nothing is named.
	{name: "none: another secret", sender: "provider: github", theirs: "Pq8sVd3nRt6yBm1kLx5zHc9wJf2gTa7e"},
	{name: "none: another amount", sender: "provider: stripe", change: body(func(b []byte) []byte { return bytes.Replace(b, []byte("12.50"), []byte("99.50"), 1) })},
	{name: "none: a body cut", sender: "provider: slack", change: body(func(b []byte) []byte { return b[:len(b)-3] })},
	{name: "none: another path", sender: squareAt, path: "/hook/9", change: at("/hook/8")},
	{name: "none: another time", sender: "provider: slack", change: header("x-slack-request-timestamp", fmt.Sprint(signedAt.Unix()+1))},
	{name: "none: a made-up signature", sender: "provider: github", change: header("x-hub-signature-256", "sha256="+strings.Repeat("0f", 32))},
	{name: "none: another body behind a digest", sender: twilioAt, path: "/hook/in", body: form, change: body(func(b []byte) []byte { return bytes.Replace(b, []byte("hello"), []byte("hallo"), 1) })},
}

// policyOf is a policy with one webhook and its secret, and another one beside it.
func policyOf(t *testing.T, dir, says, held string) string {
	t.Helper()
	format := ""
	switch {
	case held == "":
		held = theSecret
	case strings.HasPrefix(held, "format: "):
		held, format = theSecret, ", "+held
		if strings.HasSuffix(format, "HEX") {
			held = ""
		}
	}
	if text, ok := strings.CutPrefix(held, "text of "); ok {
		held, format = text, ", format: TEXT"
	}
	if held == "" {
		held = strings.Repeat("3f9a1c7e5b2d8046", 4)
	}
	// A file loses one line break at its end when it is read.
	files := map[string]string{
		"secret": held + "\n", "other": anotherOne + "\n",
		"policy.yaml": fmt.Sprintf("webhooks:\n- {name: hook, match: {path: /hook/**}, %s, secrets: [{file: secret%s, allow_weak: {reason: a test of causes}}]}\n"+
			"- {name: beside, match: {path: /beside}, provider: github, secrets: [{file: other}]}\n", says, format),
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "policy.yaml")
}

// deliver makes the delivery that the sender signs and the receiver gets.
func (m *mistake) deliver(t *testing.T) (receiver string, capture []byte) {
	t.Helper()
	ours := m.ours
	if m.theirs == "format: HEX" { // the same text, which is no word that base64 would do for
		ours = strings.Repeat("3f9a1c7e5b2d8046", 4)
	}
	sender := cli.Policies{Paths: []string{policyOf(t, t.TempDir(), m.sender, m.theirs)}}
	table, err := sender.Table()
	if err != nil {
		t.Fatal(err)
	}
	path, text, host := m.path, m.body, m.host
	if path == "" {
		path = "/hook/in"
	}
	if text == "" {
		text = defaultBody
	}
	if host == "" {
		host = "hooks.example.com"
	}
	d := sample.Delivery{Webhook: "hook", Host: host, Path: path}
	req, err := d.Request(table, signedAt.Add(-m.age), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if m.change != nil {
		m.change(req)
	}
	var raw bytes.Buffer
	if err := sample.PrintRaw(&raw, req); err != nil {
		t.Fatal(err)
	}
	says := m.receiver
	if says == "" {
		says = m.sender
	}
	return policyOf(t, t.TempDir(), says, ours), raw.Bytes()
}

// explain runs the command on a capture.
func runExplain(t *testing.T, policy string, capture []byte, more ...string) (explained, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "request.http")
	if err := os.WriteFile(name, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := New()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"--policy", policy, "--now", fmt.Sprint(signedAt.Unix()), "--output", "json", name}, more...))
	_ = cmd.Execute() // the verdict is in what it prints
	text := out.String()
	var e explained
	if err := json.NewDecoder(&out).Decode(&e); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return e, text
}

// TestCauses plants a mistake in each delivery. Explain names it, first of all, and names none
// where none was made; and it prints no secret.
func TestCauses(t *testing.T) {
	planted, providers := 0, map[string]bool{}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			policy, capture := m.deliver(t)
			e, text := runExplain(t, policy, capture)
			if e.Verdict != "deny" {
				t.Fatalf("the mistake is none:\n%s", text)
			}
			got := ""
			if len(e.Causes) > 0 {
				got = e.Causes[0].ID
			}
			if got != m.want {
				t.Errorf("%s, want %q:\n%s", got, m.want, text)
			}
			for _, kept := range []string{theSecret, anotherOne, base64.StdEncoding.EncodeToString([]byte(theSecret))} {
				if strings.Contains(text, kept) {
					t.Errorf("a secret is printed:\n%s", text)
				}
			}
			if strings.Contains(text, "order.paid") {
				t.Errorf("the body is printed:\n%s", text)
			}
		})
		if m.want != "" {
			planted++
			name, _, _ := strings.Cut(strings.TrimPrefix(m.sender, "provider: "), ",")
			providers[strings.Fields(name)[0]] = true
		}
	}
	if planted < 25 || len(providers) < 10 {
		t.Errorf("%d mistakes over %d providers", planted, len(providers))
	}
}
