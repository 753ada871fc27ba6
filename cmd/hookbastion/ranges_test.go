package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

// meta is the document of GitHub, with six networks in hooks.
const meta = `{"verifiable_password_authentication": false, "web": ["20.201.28.151/32"], "hooks": ["192.30.252.0/22", "185.199.108.0/22", "140.82.112.0/20",
 "143.55.64.0/20", "2a0a:a440::/29", "2606:50c0::/32"]}`

// subcommand runs a subcommand and returns what it prints.
func subcommand(t *testing.T, want cli.Exit, args ...string) string {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	if code := cli.Finish(&problems, cmd.Execute()); code != want {
		t.Errorf("%v: exit %d: %s%s", args, code, out.String(), problems.String())
	}
	return out.String() + problems.String()
}

// publisher is a provider's server, whose document becomes what a test wants.
type publisher struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

func (p *publisher) say(answer http.HandlerFunc) { p.answer.Store(&answer) }

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func publish(t *testing.T) (p *publisher, ca string) {
	p = &publisher{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.answer.Load())(w, r) }))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})))
	return p, ca
}

// Through the settings, a service and a real Envoy: whatever becomes of a document, what was
// good last counts, and it is said in the log, the metrics, /readyz and ranges list. A
// change that is held counts when an operator accepts it.
func TestRangesAreRefreshed(t *testing.T) {
	server, ca := publish(t)
	server.say(says(meta))
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	write(t, policy, "webhooks: [{name: a, match: {path: /a}, unverified: {reason: a test of addresses}, source_ip: {ranges: [github]}}]\n")
	unix := socket(t)
	args := append(serveArgs(policy, unix), "--admin-listen", "127.0.0.1:0", "--fetch-allow-private", "127.0.0.1", "--fetch-ca", ca,
		"--fetch-directory", filepath.Join(dir, "fetched"), "--ranges-refresh", "--ranges-urls", "github="+server.URL+"/meta", "--source-trusted-hops", "1")
	e := startEdge(t, unix, nil)
	from := func(address string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+e.client.Address+"/a", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Forwarded-For", address)
		response, err := e.client.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	const known, lost, strange = "192.30.252.7", "143.55.64.9", "34.74.90.65"
	var p *process
	list := func() (cli.Range, string) {
		t.Helper()
		text := subcommand(t, cli.Good, "ranges", "list", "--output", "json", "--admin", "http://"+p.stderr.await(t, `admin=(\S+)`)[1])
		var all []cli.Range
		if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != 1 || all[0].Name != "github" {
			t.Fatalf("%v: %s", err, text)
		}
		return all[0], text
	}

	// What is fetched counts: it has no 9.234.98.160/28 as the program has.
	p = start(t, args...)
	p.stderr.await(t, "msg=serving")
	p.stderr.await(t, `msg=fetched url=\S+/meta`)
	awaitStatus(t, func() int { return from(known) }, http.StatusOK) // when Envoy is connected
	for address, want := range map[string]int{lost: 200, strange: 403, "9.234.98.161": 403} {
		if got := from(address); got != want {
			t.Errorf("from %s: %d", address, got)
		}
	}
	if r, text := list(); r.State != "current" || r.Networks != 6 || r.Fetched == nil || r.URL != server.URL+"/meta" || r.Format != "json" || r.Provider != "GitHub" {
		t.Errorf("%s", text)
	}
	if _, page := get(t, siteOf(t, p)+"/readyz"); page != "ok\n" {
		t.Errorf("readyz: %s", page)
	}
	terminate(t, p)

	shrunk := says(`{"hooks": ["192.30.252.0/22"]}`)
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		state  string
		result string // of the metric
		detail string
	}{
		{"moves", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/meta/new", http.StatusMovedPermanently)
		}, "failing", "redirect", "answered 301, and redirects are not followed"},
		{"HTML", says("<!DOCTYPE html><html><body>GitHub has moved</body></html>"), "failing", "content", "the document is not JSON"},
		{"the world", says(strings.Replace(meta, `"192.30.252.0/22"`, `"192.30.252.0/22", "0.0.0.0/0"`, 1)), "failing", "content", "the document names a network wider than"},
		{"malformed", says(meta[:len(meta)-2]), "failing", "content", "the document is not JSON"},
		{"another shape", says(`{"hooks": {"ipv4": ["192.30.252.0/22"]}}`), "failing", "content", "the document has no list"},
		{"empty", says(`{"hooks": []}`), "failing", "content", "the document names no network"},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(spaces{}, 9<<20))
		}, "failing", "too_large", "sends more than 8388608 bytes"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "failing", "status", "answered 500"},
		{"away", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "failing", "transport", "broke off"},
		{"grows", says(strings.Replace(meta, `"hooks": [`, `"hooks": ["34.0.0.0/8", `, 1)), "held", "held", "grows beyond double: 1 networks are new, beside 6; held since "},
		{"shrinks", shrunk, "held", "held", "loses more than half: 5 of 6 networks; held since "},
	} {
		server.say(row.answer)
		p = start(t, args...) // at once, it asks
		p.stderr.await(t, "msg=serving")
		p.stderr.await(t, regexp.QuoteMeta(row.detail))
		awaitStatus(t, func() int { return from(known) }, http.StatusOK)
		for address, want := range map[string]int{lost: 200, strange: 403} {
			if got := from(address); got != want {
				t.Errorf("%s: from %s: %d", row.name, address, got)
			}
		}
		if r, text := list(); r.State != row.state || r.Networks != 6 || !strings.Contains(r.Detail, row.detail) || (r.Held != nil) != (row.state == "held") {
			t.Errorf("%s: %s", row.name, text)
		}
		if _, page := get(t, siteOf(t, p)+"/readyz"); page != "ok, with the last good addresses of github ("+row.state+"): see the log, and hookbastion ranges list\n" {
			t.Errorf("%s: readyz: %s", row.name, page)
		}
		held := map[string]string{"held": "1", "failing": "0"}[row.state]
		if _, page := get(t, siteOf(t, p)+"/metrics"); !regexp.MustCompile(`hookbastion_fetches_total\{[^}]*result="`+row.result+`"[^}]*\} 1`).MatchString(page) ||
			!regexp.MustCompile(`hookbastion_ranges_held\{[^}]*ranges="github"[^}]*\} `+held).MatchString(page) || !strings.Contains(page, "hookbastion_ranges_age_seconds{") {
			t.Errorf("%s: the metrics do not tell", row.name)
		}
		if row.name != "shrinks" {
			terminate(t, p)
		}
	}

	// An operator looks at what is held, and lets it count.
	admin := []string{"--admin", "http://" + p.stderr.await(t, `admin=(\S+)`)[1]}
	diff := subcommand(t, cli.Good, append([]string{"ranges", "diff", "github"}, admin...)...)
	digest := regexp.MustCompile(`--digest (\S+) lets it count`).FindStringSubmatch(diff)
	if digest == nil || !strings.Contains(diff, "- 143.55.64.0/20\n") || strings.Contains(diff, "+ ") {
		t.Fatalf("diff: %s", diff)
	}
	if text := subcommand(t, cli.Unusable, append([]string{"ranges", "accept", "github", "--digest", "0123"}, admin...)...); !strings.Contains(text, "409 Conflict: no such change is held") {
		t.Errorf("%s", text)
	}
	if text := subcommand(t, cli.Unusable, append([]string{"ranges", "accept", "stripe"}, admin...)...); !strings.Contains(text, "no policy of the service names that list") {
		t.Errorf("%s", text)
	}
	if got := from(lost); got != http.StatusOK {
		t.Errorf("before it was accepted: %d", got)
	}
	subcommand(t, cli.Good, append([]string{"ranges", "accept", "github", "--digest", digest[1]}, admin...)...)
	p.stderr.await(t, `msg="a change of addresses is accepted" list=github`)
	p.stderr.await(t, `msg=fetched url=\S+/meta`)
	if a, b := from(known), from(lost); a != http.StatusOK || b != http.StatusForbidden {
		t.Errorf("after it was accepted: %d, %d", a, b)
	}
	if r, text := list(); r.State != "current" || r.Networks != 1 {
		t.Errorf("%s", text)
	}
	if text := subcommand(t, cli.Good, append([]string{"ranges", "show", "github"}, admin...)...); !strings.Contains(text, "\n192.30.252.0/22\n") || !strings.Contains(text, server.URL) {
		t.Errorf("%s", text)
	}
	terminate(t, p)
}

// spaces is an endless document.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// A list that is not in the program keeps the service from starting where nothing is
// fetched; where something is, deliveries wait for it.
func TestRangesThatMustBeFetched(t *testing.T) {
	server, ca := publish(t)
	server.say(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	write(t, policy, "webhooks: [{name: a, match: {path: /a}, unverified: {reason: a test of addresses}, source_ip: {ranges: [mollie]}}]\n")
	p := start(t, serveArgs(policy, socket(t))...)
	if err := p.wait(t); err == nil || !strings.Contains(p.stderr.String(), "source_ip.ranges[0]: needs a refresh, since its networks are not in the program") {
		t.Errorf("%v: %s", err, p.stderr)
	}
	unix := socket(t)
	p = start(t, append(serveArgs(policy, unix), "--fetch-allow-private", "127.0.0.1", "--fetch-ca", ca, "--ranges-refresh", "--ranges-urls", "mollie="+server.URL+"/ips.txt")...)
	p.stderr.await(t, "msg=serving")
	p.stderr.await(t, "not fetched, and there is no last good one: deliveries that need it get 503")
	if _, page := get(t, siteOf(t, p)+"/readyz"); !strings.Contains(page, "without 1 documents of providers") {
		t.Errorf("readyz: %s", page)
	}
	e := startEdge(t, unix, nil)
	response, err := e.client.HTTP.Post("https://"+e.client.Address+"/a", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("%d, %v", response.StatusCode, response.Header)
	}
	terminate(t, p)
}
