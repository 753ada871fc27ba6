package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
)

// Where the sender's own id stands, and whether the scheme covers it.
func TestEventIDsOfWebhooks(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "s"), strings.Repeat("0123456789abcdef", 4))
	write(t, filepath.Join(dir, "w"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	write(t, filepath.Join(dir, "a.yaml"), `webhooks:
- {name: unsigned, match: {path: /a}, provider: github, secrets: [{file: s}]}
- {name: signed, match: {path: /b}, provider: standard-webhooks, secrets: [{file: w}]}
- {name: either, match: {path: /c}, provider: svix, secrets: [{file: w}]}
- {name: of-the-policy, match: {path: /d}, provider: github, event_id: X-My-Id, secrets: [{file: s}]}
- {name: none, match: {path: /e}, provider: stripe, secrets: [{file: s}]}
- name: own
  match: {path: /f}
  event_id: X-Event
  scheme: {hmac: {hash: SHA256, encoding: HEX, key_encoding: TEXT, signature: {headers: [x-sig], }, content: [{header: {name: x-event, charset: TOKEN}}, {literal: "."}, {body: {}}]}}
  secrets: [{file: s}]
`)
	table, err := compile(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, w := range table.Webhooks() {
		got += fmt.Sprintln(w.Name, w.EventIDs)
	}
	want := `unsigned [{x-github-delivery 0}]
signed [{webhook-id 2}]
either [{svix-id 1} {webhook-id 1}]
of-the-policy [{x-my-id 0}]
none []
own [{x-event 2}]
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What the catalogue says of ids, it says elsewhere too: in a scheme, a note or a vector.
func TestEventIDsHaveASource(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.GetEventId()) == 0 {
			continue
		}
		seen++
		entry, err := os.ReadFile(filepath.Join("provider", "catalogue", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		vectors, _ := os.ReadFile(filepath.Join("provider", "vectors", name+".json")) // some have none
		for _, id := range p.GetEventId() {
			if strings.Count(strings.ToLower(string(entry)), id) < 2 && !strings.Contains(strings.ToLower(string(vectors)), id) {
				t.Errorf("%s: %s stands nowhere else", name, id)
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d entries have ids", seen)
	}
}
