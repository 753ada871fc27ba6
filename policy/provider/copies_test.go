package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
)

// The table of who repeats how has a row for each entry, and the rows say what the
// compiler makes of the entry and what a denial gets.
func TestRetriesTable(t *testing.T) {
	text, err := page.Retries()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		if name, rest, ok := strings.Cut(line, "`]("); ok && strings.HasPrefix(name, "| [`") {
			rows[strings.TrimPrefix(name, "| [`")] = strings.Split(strings.Trim(rest, "| \n"), " | ")
		}
	}
	documented := 0
	eachScheme(t, func(t *testing.T, s *scheme) {
		p, err := provider.Get(s.provider)
		if err != nil {
			t.Fatal(err)
		}
		row := rows[s.provider]
		if len(row) != 7 {
			t.Fatalf("its row is %q", row)
		}
		if s.named.GetOptional() {
			return
		}
		want := "forwarded"
		for _, check := range s.table.Webhook("a").Chain {
			if r, ok := check.(*replay.Check); ok {
				want = map[replay.OnCopy]string{replay.DenyCopy: "409", replay.AcknowledgeCopy: "200, else 409"}[r.OnCopy]
				if timed := r.Tolerance > 0; timed != (row[3] == "its time") {
					t.Errorf("known for %s, signs a time: %v", row[3], timed)
				}
			}
		}
		if row[2] != want {
			t.Errorf("a copy gets %s, want %s", row[2], want)
		}
		d := s.decide(t, s.signed(t, "b", now), now)
		if status := fmt.Sprint(d.Status()); !strings.HasPrefix(row[4], status) || (d.Challenge() != "") != strings.Contains(row[4], "WWW-Authenticate") {
			t.Errorf("a denial gets %q, want %s, challenge %q", row[4], status, d.Challenge())
		}
		if r := p.GetRefusal(); r != nil {
			documented++
			if !strings.HasSuffix(r.GetText(), ".") || !strings.ContainsAny(r.GetSource(), "./ ") {
				t.Errorf("after a denial: %s (%s)", r.GetText(), r.GetSource())
			}
		} else if row[5] != "not documented" || !strings.Contains(strings.Join(strings.Fields(page.Markdown(p)), " "), "What the sender does after a refusal is not documented, as far as was found.") {
			t.Errorf("after a denial: %s", row[5])
		}
	})
	if documented < 60 {
		t.Errorf("only %d schemes have a documented refusal", documented)
	}
}

// A copy is not acknowledged while nobody has told what became of the first.
func TestNobodyIsToldThatAnUnknownDeliveryWasTaken(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		if s.token() != nil || s.named.GetOptional() {
			return
		}
		if d := decideBy(t, s.table, s.delivery(t, now), now); d.Reason != authz.OK {
			t.Fatalf("the first: %s", d.Reason)
		}
		if d := decideBy(t, s.table, s.delivery(t, now), now); d.Reason != authz.Replayed || d.Status() != 409 {
			t.Errorf("a copy while nobody has told of the first: %s, status %d", d.Reason, d.Status())
		}
	})
}
