package provider_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

var update = flag.Bool("update", false, "write the pages of the providers anew")

const pages = "../../docs/providers"

// The pages are those of the catalogue. -update writes them.
func TestPages(t *testing.T) {
	index, err := page.Index()
	if err != nil {
		t.Fatal(err)
	}
	retries, err := page.Retries()
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := page.Ranges()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"README.md": index, "retries.md": retries, "ranges.md": addresses}
	for name, p := range entries(t) {
		want[name+".md"] = page.Markdown(p)
	}
	for name, text := range want {
		file := filepath.Join(pages, name)
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%s is not what the catalogue says; run make generate (%v)", file, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(pages, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if name := filepath.Base(file); want[name] == "" && name != "adding.md" && name != "judges.md" {
			t.Errorf("%s is of no provider", file)
		}
	}
}

// The policy of every page compiles, and proves what the page says.
func TestSnippets(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		if s.named.GetOptional() {
			return
		}
		p, err := provider.Get(s.provider)
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		snippet, _, _ := strings.Cut(page.Snippet(p), "    credentials:")
		if !strings.Contains(snippet, "secrets:") { // in place of what would be fetched
			snippet += "    secrets: [{file: ../secrets/" + s.provider + "}]\n"
		}
		for dir, text := range map[string]string{"policies/policy.yaml": snippet, "secrets/" + s.provider: s.secret(0)} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, dir)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, dir), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := policy.Load(filepath.Join(root, "policies"))
		if err != nil {
			t.Fatal(err)
		}
		var all []keys.Key
		deps := s.deps
		deps.OnKey = func(k keys.Key) { all = append(all, k) }
		table, err := policy.Compile(set, deps)
		if err != nil {
			t.Fatal(err)
		}
		// What the provider is weak in is no fault of the policy's.
		found, err := lint.Lint(lint.Input{Set: set, Table: table, Keys: all, Now: now})
		found = slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Severity == finding.Info || f.ID == "HB050" || f.ID == "HB051" })
		if err != nil || len(found) > 0 {
			t.Errorf("the page's policy has findings: %v, %v", found, err)
		}
		if table.Webhook(s.provider) == nil {
			t.Error("no webhook")
		}
		d := s.decide(t, s.delivery(t, now), now)
		if s.open() { // only the page's policy pins the query
			req := s.unsigned(table.Webhook(s.provider))
			req.Path = authz.View("/webhooks/" + s.provider)
			if err := table.Webhook(s.provider).Sign(req, authz.Signing{Now: now, Private: s.private(0), NewID: func() string { return "msg_1" }}); err != nil {
				t.Fatal(err)
			}
			d = decideBy(t, table, req, now)
		}
		if got := provider.Proof(s.named.GetScheme()); d.Reason != authz.OK || got != d.Proof.String() {
			t.Errorf("the page says %s, a delivery proves %s", got, d.Proof)
		}
	})
}

// What the page says of coverage is what the attacks find.
func TestDescriptions(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		d := page.Describe(s.named.GetScheme())
		if d.Where == "" || s.token() == nil && (d.What == "" || d.Key == "") {
			t.Errorf("%+v", d)
		}
		_, _, timed := s.timed()
		body, path, query, method := s.covers()
		for what, test := range map[string]struct {
			names []string
			want  bool
		}{
			"body": {[]string{"the body"}, body}, "method": {[]string{"the method"}, method}, "time": {[]string{"a time"}, timed},
			"path":  {[]string{"the URL", "the URL without its query", "the path and the query", "the path"}, path},
			"query": {[]string{"the URL", "the path and the query", "the query"}, query || s.signsPartOfQuery()},
		} {
			got := slices.ContainsFunc(test.names, func(name string) bool { return slices.Contains(d.Covered, name) })
			if what == "query" && s.signsPartOfQuery() {
				got = got || slices.Contains(d.Covered, "data.id of the query")
			}
			if got != test.want {
				t.Errorf("the %s is covered: %v, want %v; %q", what, got, test.want, d.Covered)
			}
			for _, name := range test.names {
				if slices.Contains(d.Covered, name) && slices.Contains(d.NotCovered, name) {
					t.Errorf("%s is covered and is not", name)
				}
			}
		}
		if timed != (d.Time != "") {
			t.Errorf("time %q", d.Time)
		}
	})
}

// signsPartOfQuery is Mercado Pago's way: one parameter is signed.
func (s *scheme) signsPartOfQuery() bool {
	return s.signs(func(p *policyv1.Part) bool { return p.GetCode() == policyv1.Part_MERCADO_PAGO })
}

// In a terminal, lines are broken where they can be, and no mark of Markdown
// is left.
func TestTextFitsATerminal(t *testing.T) {
	for name, p := range entries(t) {
		text := page.Text(p)
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			if breakable := strings.Contains(strings.TrimLeft(line, " -"), " "); len([]rune(line)) > 80 && breakable && !strings.HasPrefix(line, "#") {
				t.Errorf("%s: a long line: %s", name, line)
			}
		}
		if strings.ContainsAny(text, "`") || strings.Contains(text, "&lt;") || strings.Contains(text, "| ---") {
			t.Errorf("%s has Markdown:\n%s", name, text)
		}
		for what, want := range map[string]string{"secret": p.GetSecret(), "documentation": p.GetDocumentation(), "title": p.GetTitle()} {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s lacks its %s", name, what)
			}
		}
	}
}
