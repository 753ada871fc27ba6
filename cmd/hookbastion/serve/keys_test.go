package serve

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/keys"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/serve/console"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// known is what a service would know.
type known struct {
	anomalies *watchman
	live      *cli.LiveKeys
	decisions *recent.Ring
	ranges    []*ranges.List
}

func (k *known) Keys() cli.LiveKeys                { return *k.live }
func (*known) Webhooks() map[string]watermark.Kept { return nil }
func (*known) Policy() console.Policy              { return console.Policy{} }
func (k *known) Ranges() []*ranges.List            { return k.ranges }
func (k *known) Decisions() *recent.Ring           { return k.decisions }
func (*known) Captures() *captures.Keeper          { return nil }
func (*known) Table() *authz.Table                 { return nil }
func (k *known) Anomalies() Anomalies              { return k.anomalies.list() }

// What the admin listener knows stands beside what the files say.
func TestKeysLive(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	put(t, token, "an admin token of enough length\n")
	put(t, filepath.Join(dir, "s"), "gL7xQ2mVb3YdTnX0pW")
	put(t, filepath.Join(dir, "p.yaml"), `webhooks:
- name: a
  match: {path: /a}
  provider: github
  secrets: [{id: old, file: s}, {id: new, file: s}, {id: later, file: s, not_before: 2030-01-01T00:00:00Z}]
- {name: b, match: {path: /b}, provider: github, secrets: [{file: s}]}
`)
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	live := cli.LiveKeys{Since: at, Complete: true, Keys: []telemetry.KeyMatch{
		{Webhook: "a", KeyID: "old", KeyStat: telemetry.KeyStat{First: at, Last: at.Add(time.Hour), Count: 3}},
	}}
	a, err := newAdmin(&settings.Settings{Admin: settings.Admin{Token: token}}, replay.NewSettler(memory.New(memory.Config{MaxEntries: 1000}), 0, replay.NewSealKey()), &known{live: &live}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.server.Handler)
	defer server.Close()
	list := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := keys.New()
		cmd.SetArgs(append([]string{"--policy", filepath.Join(dir, "p.yaml"), "--admin", server.URL}, args...))
		cmd.SetOut(&out)
		err := cmd.Execute()
		return out.String(), err
	}
	if _, err := list(); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without the token: %v", err)
	}
	out, err := list("--token-file", token)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a old: 3 matches, the first at 2026-10-01T12:00:00Z, the last at 2026-10-01T13:00:00Z\n",
		"a new: never seen since 2026-10-01T12:00:00Z\n", "b 1: never seen since", "a later: starts at 2030-01-01T00:00:00Z\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "later: never seen") || strings.Contains(out, "old: never seen") {
		t.Error(out)
	}
	// A key that stopped when another one began can go, after some days.
	live.Keys = append(live.Keys, telemetry.KeyMatch{Webhook: "a", KeyID: "new", KeyStat: telemetry.KeyStat{First: at.Add(2 * time.Hour), Last: at.Add(3 * time.Hour), Count: 1}})
	for now, want := range map[string]bool{"2026-10-04T12:59:59Z": false, "2026-10-04T13:00:00Z": true} {
		out, err := list("--token-file", token, "--now", now)
		if err != nil || strings.Contains(out, "a old: safe to retire: no match for 3d, and new matches since\n") != want || strings.Contains(out, "a new: safe") {
			t.Errorf("at %s: %v\n%s", now, err, out)
		}
	}
	live.Keys = live.Keys[:1]
	// Where webhooks are counted together, nobody knows what was never seen.
	live.Complete = false
	if out, err := list("--token-file", token); err != nil || strings.Contains(out, "b 1: never seen") || !strings.Contains(out, "a new: never seen") {
		t.Errorf("%v\n%s", err, out)
	}
}
