package explain

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/signature/cause"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
)

var update = flag.Bool("update", false, "rewrite docs/causes.md")

var (
	pageCommand = regexp.MustCompile("<!-- run -->\n```sh\nhookbastion explain (.*)\n```\n")
	pageOutput  = regexp.MustCompile("(?s)(<!-- output -->\n```\n)(.*?)(```\n)")
	pageCauses  = regexp.MustCompile(`(?s)(<!-- causes -->\n)(.*?)(<!-- end of causes -->)`)
)

// TestCausesPage: the page's command prints what the page shows, and its table has all causes.
func TestCausesPage(t *testing.T) {
	page, err := filepath.Abs("../../../docs/causes.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	command := pageCommand.FindStringSubmatch(text)
	if command == nil || !pageOutput.MatchString(text) || !pageCauses.MatchString(text) {
		t.Fatal("the page has lost a part")
	}
	want := pageOutput.ReplaceAllStringFunc(text, func(string) string { return "<!-- output -->\n```\n" + pageRun(t, command[1]) + "```\n" })
	want = pageCauses.ReplaceAllStringFunc(want, func(string) string {
		var b strings.Builder
		b.WriteString("<!-- causes -->\n| cause | what was found |\n| --- | --- |\n")
		for _, m := range cause.Meanings() {
			fmt.Fprintf(&b, "| `%s` | %s |\n", m[0], m[1])
		}
		return b.String() + "<!-- end of causes -->"
	})
	switch {
	case want == text:
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the page is not what the command says; run go test ./cmd/hookbastion/explain -run CausesPage -update\n%s", want)
	}
}

// pageRun runs the page's command on a delivery that an editor has added a line feed to.
func pageRun(t *testing.T, arguments string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"secrets/github": theSecret, "policies/webhooks.yaml": "webhooks: [{name: github, match: {path: /webhooks/github}, provider: github, secrets: [{file: ../secrets/github}]}]\n",
	} {
		if err := sample.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	policies := cli.Policies{Paths: []string{"policies"}}
	table, err := policies.Table()
	if err != nil {
		t.Fatal(err)
	}
	d := sample.Delivery{Webhook: "github", Host: "hooks.example.com"}
	req, err := d.Request(table, signedAt, []byte(`{"action":"opened","repository":{"full_name":"acme/shop"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Body.Segments = append(req.Body.Segments, []byte("\n"))
	var raw, out bytes.Buffer
	if err := sample.PrintRaw(&raw, req); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("refused.http", raw.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := New()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetArgs(strings.Fields(arguments))
	_ = cmd.Execute() // it is denied
	return out.String()
}

// TestShowContent: what is signed is shown in full where that was asked for, and without the
// key that it has in it.
func TestShowContent(t *testing.T) {
	m := mistake{sender: ownSchemeOf}
	policy, capture := m.deliver(t)
	e, text := runExplain(t, policy, capture)
	if e.Signed != nil {
		t.Errorf("it is shown though it holds:\n%s", text)
	}
	e, text = runExplain(t, policy, capture, "--show-content")
	var whole string
	for _, p := range e.Signed.Pieces {
		if p.Text == nil || p.SHA256 != "" {
			t.Fatalf("a part is not shown:\n%s", text)
		}
		whole += *p.Text
	}
	if want := fmt.Sprint(signedAt.Unix()) + "." + defaultBody; whole != want || e.Signed.Bytes != len(want) {
		t.Errorf("%q, want %q", whole, want)
	}
	inside := mistake{sender: "provider: midtrans", body: `{"order_id":"1","status_code":"200","gross_amount":"1.00"}`}
	policy, capture = inside.deliver(t)
	e, text = runExplain(t, policy, capture, "--show-content")
	hidden := 0
	for _, p := range e.Signed.Pieces {
		if p.Part == "secret" && p.Text == nil && p.SHA256 == "" && p.Bytes == 0 {
			hidden++
		}
	}
	if hidden != 1 || strings.Contains(text, theSecret) {
		t.Errorf("the secret is a part of the content:\n%s", text)
	}
}

// TestLimits: the bound that was met is named, with its value and what was found.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		sender mistake
		want   limit
	}{
		"body of the webhook": {mistake{sender: "provider: github, limits: {max_body_bytes: 50}"}, limit{"limits.max_body_bytes of the policy", "50", fmt.Sprint(len(defaultBody))}},
		"body of all": {mistake{sender: "provider: github", body: strings.Repeat("x", 1<<20+1)},
			limit{"the setting envoy.max_request_bytes, which is with_request_body.max_request_bytes of Envoy's filter", "1048576", "1048577"}},
		"headers":      {mistake{sender: "provider: github, limits: {max_header_bytes: 300}", change: header("x-long", strings.Repeat("x", 300))}, limit{"limits.max_header_bytes of the policy", "300", "461"}},
		"content type": {mistake{sender: "provider: github, limits: {content_types: [application/json]}", change: header("content-type", "text/plain")}, limit{"limits.content_types of the policy", "application/json", `"text/plain"`}},
		"signatures": {mistake{sender: "provider: standard-webhooks, limits: {max_signatures: 2}", theirs: whsec, ours: whsec, change: header("webhook-signature", strings.Repeat("v1,"+strings.Repeat("A", 43)+"= ", 3))},
			limit{"limits.max_signatures of the policy", "2", "more"}},
		"age":   {mistake{sender: "provider: stripe, freshness: {tolerance: 2m}", age: 3 * time.Minute}, limit{"freshness.tolerance of the policy", "2m0s", "3m0s"}},
		"ahead": {mistake{sender: "provider: stripe, freshness: {future: 30s}", age: -2 * time.Minute}, limit{"freshness.future of the policy", "30s", "2m0s"}},
		"none":  {mistake{sender: "provider: github", theirs: anotherOne}, limit{}},
	} {
		policy, capture := c.sender.deliver(t)
		e, text := runExplain(t, policy, capture)
		if got := e.Limit; got == nil && c.want != (limit{}) || got != nil && *got != c.want {
			t.Errorf("%s: %+v, want %+v\n%s", name, got, c.want, text)
		}
	}
}
