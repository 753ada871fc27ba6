package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/explain"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/records"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// deciding is an admin listener with a hundred decisions, every tenth of them denied.
func deciding(t *testing.T) (*httptest.Server, *recent.Ring) {
	t.Helper()
	ring := recent.New(0, "replica-1")
	for i := 1; i <= 100; i++ {
		e := &recent.Entry{Time: time.Now().Add(time.Duration(i-100) * time.Minute), ID: fmt.Sprintf("%032x", i), Webhook: "a", Verdict: authz.Allow, Reason: authz.OK, Status: 200}
		if i%10 == 0 {
			e.Webhook, e.Verdict, e.Reason, e.Path = "b", authz.Deny, authz.SignatureInvalid, authz.View("/<script>")
		}
		ring.Append(e)
	}
	a, err := newAdmin(&settings.Settings{}, nil, &known{decisions: ring}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.server.Handler)
	t.Cleanup(server.Close)
	return server, ring
}

func ask(t *testing.T, address string) (int, string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestDecisionsOfTheAdminListener(t *testing.T) {
	server, _ := deciding(t)
	for query, want := range map[string]struct {
		status, count int
		newest        int
	}{
		"":                          {200, 100, 100},
		"?limit=7":                  {200, 7, 100},
		"?verdict=allow&limit=1000": {200, 90, 99},
		"?webhook=b":                {200, 10, 100},
		"?webhook=c":                {200, 0, 0},
		"?reason=signature_invalid": {200, 10, 100},
		"?reason=ok&webhook=b":      {200, 0, 0},
		"?since=10m30s":             {200, 11, 100},
		"?since=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339): {200, 0, 0},
		"?limit=0":              {400, 0, 0},
		"?limit=1001":           {400, 0, 0},
		"?limit=x":              {400, 0, 0},
		"?verdict=maybe":        {400, 0, 0},
		"?reason=because":       {400, 0, 0},
		"?since=yesterday":      {400, 0, 0},
		"?since=-5m":            {400, 0, 0},
		"?web=a":                {400, 0, 0},
		"?webhook=a&webhook=b":  {400, 0, 0},
		"?before=x":             {400, 0, 0},
		"?%zz":                  {400, 0, 0},
		"?before=another-50":    {200, 0, 0},
		"?after=another-50":     {200, 100, 100},
		"/00000000000000000000": {404, 0, 0},
	} {
		status, text := ask(t, server.URL+"/api/v1/decisions"+query)
		var answer cli.Decisions
		if status != want.status || status == 200 && json.Unmarshal([]byte(text), &answer) != nil || len(answer.Decisions) != want.count {
			t.Errorf("%s: %d with %d decisions: %s", query, status, len(answer.Decisions), text[:min(len(text), 200)])
			continue
		}
		if want.count > 0 && answer.Decisions[0].DecisionID != fmt.Sprintf("%032x", want.newest) {
			t.Errorf("%s: the newest is %s", query, answer.Decisions[0].DecisionID)
		}
		if strings.Contains(text, "<script>") || status == 200 && !strings.Contains(text, `"decisions":[`) {
			t.Errorf("%s: %s", query, text)
		}
	}
	status, text := ask(t, server.URL+"/api/v1/decisions/"+fmt.Sprintf("%032x", 10))
	if status != 200 || !strings.Contains(text, `"reason":"signature_invalid"`) || !strings.Contains(text, `"replica":"replica-1"`) {
		t.Errorf("one decision: %d %s", status, text)
	}
}

// By the cursors everything is seen once, older and newer.
func TestDecisionsByCursor(t *testing.T) {
	server, ring := deciding(t)
	client := cli.Admin{URL: server.URL}
	first, err := client.Decisions(t.Context(), url.Values{"limit": {"30"}})
	if err != nil {
		t.Fatal(err)
	}
	ring.Append(&recent.Entry{Time: time.Now(), ID: "new"})
	seen := len(first.Decisions)
	for page := first; page.Next != ""; seen += len(page.Decisions) {
		if page, err = client.Decisions(t.Context(), url.Values{"limit": {"30"}, "before": {page.Next}}); err != nil {
			t.Fatal(err)
		}
	}
	if seen != 100 {
		t.Errorf("%d of 100 seen", seen)
	}
	page, err := client.Decisions(t.Context(), url.Values{"after": {first.Last}})
	if err != nil || len(page.Decisions) != 1 || page.Decisions[0].DecisionID != "new" {
		t.Errorf("what is new: %+v, %v", page, err)
	}
	if one, err := client.Decision(t.Context(), "new"); err != nil || one.DecisionID != "new" {
		t.Errorf("%+v, %v", one, err)
	}
}

// command runs a subcommand to its end.
func command(t *testing.T, cmd *cobra.Command, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SilenceUsage = true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestRecordsOfAService(t *testing.T) {
	server, ring := deciding(t)
	for range 1500 { // more than one page
		ring.Append(&recent.Entry{Time: time.Now(), ID: "more", Webhook: "c", Verdict: authz.Allow, Reason: authz.OK})
	}
	for name, c := range map[string]struct {
		args  []string
		rows  int
		first string
	}{
		"the last":   {nil, 1000, "more"},
		"more pages": {[]string{"--last", "1555"}, 1555, fmt.Sprintf("%032x", 46)},
		"all":        {[]string{"--last", "100000"}, 1600, fmt.Sprintf("%032x", 1)},
		"filtered":   {[]string{"--webhook", "b", "--verdict", "deny", "--reason", "signature_invalid"}, 10, fmt.Sprintf("%032x", 10)},
		"since":      {[]string{"--since", "10m30s", "--webhook", "a"}, 9, fmt.Sprintf("%032x", 91)},
		"none":       {[]string{"--webhook", "d"}, 0, ""},
	} {
		out, err := command(t, records.New(), append(c.args, "--admin", server.URL, "--output", "json")...)
		first, _, _ := strings.Cut(out, "\n")
		if err != nil || strings.Count(out, "\n") != c.rows || !strings.Contains(first, c.first) {
			t.Errorf("%s: %d rows, the first %s: %v", name, strings.Count(out, "\n"), first, err)
		}
		if c.rows == 0 {
			continue
		}
		if _, fault := record.Parse([]byte(first)); fault != nil {
			t.Errorf("%s: %v: %s", name, fault, first)
		}
	}
	if out, err := command(t, records.New(), "--admin", server.URL, "--webhook", "b"); err != nil || !strings.Contains(out, `"/<script>"`) && !strings.Contains(out, " /<script> ") {
		t.Errorf("%v: %s", err, out)
	}
	out, err := command(t, explain.New(), "--decision", fmt.Sprintf("%032x", 10), "--admin", server.URL)
	if !errors.Is(err, cli.Denied) || !strings.Contains(out, "deny: signature_invalid") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := command(t, explain.New(), "--decision", "none", "--admin", server.URL); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
}

// Whoever follows a service sees what is decided from then on, once.
func TestFollowingAService(t *testing.T) {
	server, ring := deciding(t)
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	cmd := records.New()
	cmd.SetArgs([]string{"--admin", server.URL, "--follow", "--output", "json", "--last", "2"})
	cmd.SetOut(write)
	ended := make(chan error)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	rows := record.NewReader(read, "rows")
	for i, want := range []string{fmt.Sprintf("%032x", 99), fmt.Sprintf("%032x", 100), "new-0", "new-1", "new-2"} {
		if i == 2 {
			for n := range 3 {
				ring.Append(&recent.Entry{Time: time.Now(), ID: fmt.Sprintf("new-%d", n)})
			}
		}
		if r, err := rows.Next(); err != nil || r.DecisionID != want {
			t.Fatalf("%+v, %v, want %s", r, err, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
