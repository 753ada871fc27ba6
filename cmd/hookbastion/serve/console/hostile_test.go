package console

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// hostile are texts that would do something where they were not text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus=alert(1) autofocus='`, `</title><svg/onload=alert(1)>`,
	`javascript:alert(1)`, `{{.}}${alert(1)}`, "\x00\x1b[31m<b>\u202e", `</textarea><iframe srcdoc="<script>alert(1)</script>">`,
}

// hostileConfig has such a text in each field that a stranger or a file could fill.
func hostileConfig(text string) Config {
	ring := recent.New(1<<20, text)
	view := authz.View(text)
	for i := range 3 {
		ring.Append(&recent.Entry{
			Time: noon.Add(-time.Duration(i) * time.Minute), ID: fmt.Sprintf("%032x", i), Webhook: text, Provider: text, KeyID: text, Unverified: text,
			Verdict: []authz.Verdict{authz.Allow, authz.Deny, authz.Deny}[i], Reason: []authz.Reason{authz.OK, authz.Replayed, authz.SignatureInvalid}[i],
			Status: 409, Shadow: i == 2, Source: netip.MustParseAddr("fe80::1%" + url.PathEscape(text)), Tenant: view, RequestID: view, EventID: view, Method: view, Path: view,
			Redeliver: text, Digest: text, Handshake: text, Told: text, Checks: []authz.Outcome{{Stage: authz.StageReplay, Reason: authz.Replayed}},
		})
	}
	config := sample(ring, noon)
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: text}, authz.Match{Path: "/", Methods: []string{"POST"}})
	fault := policy.Errors{{}}
	fault[0].File, fault[0].Path, fault[0].Message = text, text, text
	config.Policy = func() Policy {
		return Policy{
			Digest: text, Loaded: noon, Webhooks: 1, Table: table, Errors: fault, NotLooked: "",
			Findings: []finding.Finding{{Place: finding.Place{File: text, Path: text}, ID: text, Severity: finding.Warning, Message: text, Risk: text, Fix: text, Link: text, Suppressed: text}},
		}
	}
	config.Keys = func(string) Keys {
		return Keys{
			Since: noon, List: []keylist.Key{{Webhook: text, Kind: text, ID: text, Reference: text, Strength: text, Advice: []string{text}, Matches: &telemetry.KeyStat{Last: noon}}},
			Fetched: []cli.Fetched{{Source: text, URL: text, State: text, Failure: text}},
		}
	}
	config.Ranges = func() []cli.Range {
		return []cli.Range{{Name: text, Provider: text, URL: text, State: text, Detail: text, Ends: text}}
	}
	config.Anomalies = func() (current, past []monitor.Alarm) {
		all := []monitor.Alarm{{Webhook: text, Source: text, Unit: text, Message: text}}
		return all, all
	}
	config.Condition = func() []string { return []string{text} }
	config.Version, config.Replica = text, text
	return config
}

// hostilePages are the addresses of all pages, with the text as parameters, too.
func hostilePages(text string) []string {
	q := url.QueryEscape(text)
	return []string{
		"/?window=" + q + "&sort=" + q, "/decisions", "/decisions?webhook=" + q, "/decisions?reason=" + q + "&verdict=" + q, "/decisions?since=" + q, "/decisions?id=" + q, "/decisions?before=" + q,
		"/decisions/" + url.PathEscape(text), "/decisions/" + fmt.Sprintf("%032x", 1), "/decisions/" + fmt.Sprintf("%032x", 1) + "/redeliver", "/decisions/" + fmt.Sprintf("%032x", 2),
		"/webhook?name=" + q, "/keys", "/policy", "/ranges", "/anomalies", "/" + url.PathEscape(text),
	}
}

// Texts of strangers are text. What a browser makes of them is in TestHostileTextInABrowser.
func TestHostileText(t *testing.T) {
	for _, text := range hostile {
		server := serving(t, hostileConfig(text))
		for _, path := range hostilePages(text) {
			_, page := get(t, server.URL+path)
			for _, bad := range []string{"<script>", "<img", "<svg/", "<iframe", `href="javascript:`, "\x1b", "\x00", "\u202e"} {
				if strings.Contains(page, bad) {
					t.Errorf("%s has %s", path, bad)
				}
			}
		}
	}
}
