package provider_test

import (
	"fmt"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

// at compiles one webhook with the scheme, at a path and with a public URL.
func (s *scheme) at(t *testing.T, path, publicURL string) *authz.Table {
	t.Helper()
	other := *s
	other.dir = t.TempDir()
	other.deps.Store = memory.New(memory.Config{MaxEntries: 1000})
	other.write(t, "a", s.secret(0))
	other.write(t, "policy.yaml", fmt.Sprintf(
		"webhooks:\n  - {name: a, match: {path: %q}, public_url: %q, provider: %s, provider_scheme: %s, secrets: [{id: key-1, file: a}]%s}\n",
		path, publicURL, s.provider, s.named.GetName(), s.parameters))
	return other.compile(t)
}

// move makes a delivery that was signed for one path arrive at another.
func (s *scheme) move(t *testing.T, table *authz.Table, from, to string) *authz.Request {
	t.Helper()
	req := s.unsigned(table.Webhook("a"))
	req.Path = authz.View(from)
	if err := table.Webhook("a").Sign(req, authz.Signing{Now: now, Private: s.private(0), X5C: s.x5c(0), NewID: func() string { return "msg_1" }}); err != nil {
		t.Fatal(err)
	}
	moved := *req
	moved.Path = append(authz.View(to), req.Path[len(from):]...) // and what signing added
	return &moved
}

// Where a gateway takes the beginning of the path off, public_url says it, for
// every scheme that signs the path.
func TestGatewayThatTakesAPrefixOff(t *testing.T) {
	signing := 0
	eachScheme(t, func(t *testing.T, s *scheme) {
		whole := s.at(t, "/pre/fix/{x}", "https://hooks.example.com")
		req := s.move(t, whole, "/pre/fix/x?data.id=1", "/x?data.id=1")
		for publicURL, known := range map[string]bool{
			"https://hooks.example.com/pre/fix": true, "https://hooks.example.com:443/pre/fix": false,
			"https://hooks.example.com": false, "https://hooks.example.com/pre": false,
		} {
			d := decideBy(t, s.at(t, "/{x}", publicURL), req, now)
			_, path, _, _ := s.covers()
			switch {
			case known || !path:
				if d.Reason != authz.OK {
					t.Errorf("%s: %s", publicURL, d.Reason)
				}
			case d.Reason == authz.OK && publicURL == "https://hooks.example.com:443/pre/fix":
				// a scheme that takes the port or not, or signs no host
			case d.Reason == authz.OK:
				t.Errorf("%s: another path is let in", publicURL)
			}
			if path && known {
				signing++
			}
		}
	})
	if signing < 10 {
		t.Errorf("only %d schemes sign a path", signing)
	}
}

// A URL that was registered without a slash is signed so, and comes with one.
func TestURLThatIsRegisteredWithoutASlash(t *testing.T) {
	signing := 0
	eachScheme(t, func(t *testing.T, s *scheme) {
		if !s.signsHost() {
			return
		}
		signing++
		for _, base := range []string{"https://hooks.example.com", "https://hooks.example.com/pre"} {
			for _, query := range []string{"", "?data.id=1"} {
				table := s.at(t, "/", base)
				if d := decideBy(t, table, s.move(t, table, query, "/"+query), now); d.Reason != authz.OK {
					t.Errorf("%s%s, which comes as /%[2]s: %[3]s", base, query, d.Reason)
				}
				table = s.at(t, "/x", base)
				if d := decideBy(t, table, s.move(t, table, query, "/x"+query), now); d.Reason == authz.OK {
					t.Errorf("%s%s was signed, and /x%[2]s is let in", base, query)
				}
			}
		}
	})
	if signing < 9 {
		t.Errorf("only %d schemes sign the URL", signing)
	}
}
