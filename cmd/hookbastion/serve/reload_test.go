package serve

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/diff"
	"github.com/hookbastion/hookbastion/policy/watch"
)

func reloadLines(report watch.Report) []string {
	var out bytes.Buffer
	logReload(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	})), report)
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestReloadIsLogged(t *testing.T) {
	table := authz.NewTable()
	table.Digest = "0123"
	changes := diff.Changes{
		{Webhook: "a", Kind: diff.Changed, Keys: []string{"limits", "mode"}},
		{Webhook: "b", Kind: diff.Changed, Keys: []string{"mode"}, Wider: []string{"x", "y\nz"}},
	}
	want := []string{
		`msg="policy loaded" webhooks=0 policy=0123 added=0 removed=0 changed=2 wider=1`,
		`msg="policy change" webhook=b change=changed keys=mode accepts_more="x; y\nz"`,
		`msg="policy change" webhook=a change=changed keys="limits mode"`,
	}
	if got := reloadLines(watch.Report{Table: table, Changes: changes}); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	changes = nil
	for i := range 1000 {
		changes = append(changes, diff.Change{Webhook: fmt.Sprint(i), Kind: diff.Added})
	}
	got := reloadLines(watch.Report{Table: table, Changes: changes})
	if len(got) != 1+maxChangeLines+1 || got[len(got)-1] != `msg="policy change: and others" webhooks=980` {
		t.Errorf("%d lines, the last is %s", len(got), got[len(got)-1])
	}

	errs := policy.Errors{{File: "p.yaml", Line: 1, Column: 2, Message: "wrong"}, {File: "q.yaml", Line: 3, Column: 4, Message: "wrong"}}
	if got := reloadLines(watch.Report{Err: errs}); len(got) != 2 || !strings.Contains(got[1], "q.yaml:3:4: wrong") {
		t.Errorf("%q", got)
	}
	if got := reloadLines(watch.Report{Err: errs, Repeated: true}); len(got) != 1 || !strings.Contains(got[0], "errors=2 repeated=true") {
		t.Errorf("%q", got)
	}
}
