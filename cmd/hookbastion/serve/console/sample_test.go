package console

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

func clock() time.Time { return noon }

var noon = time.Date(2026, 11, 29, 12, 0, 30, 0, time.UTC)

// hook is a webhook of the sample.
type hook struct {
	name, provider, path, key string
	weight                    float64
	shadow                    bool
	denied                    float64
	reasons                   []authz.Reason
}

var hooks = []hook{
	{"stripe-payments", "stripe", "/webhooks/stripe", "2026-10", 22, false, .01, []authz.Reason{authz.Replayed, authz.TimestampTooOld, authz.SignatureInvalid}},
	{"github", "github", "/webhooks/github", "1", 18, false, .004, []authz.Reason{authz.SignatureInvalid, authz.SignatureMissing}},
	{"shopify-orders", "shopify", "/webhooks/acme/shopify", "acme", 15, false, .012, []authz.Reason{authz.SignatureInvalid, authz.Replayed}},
	{"slack-events", "slack", "/webhooks/slack", "1", 12, false, .006, []authz.Reason{authz.TimestampTooOld}},
	{"adyen-notifications", "adyen", "/webhooks/adyen", "live", 9, false, .01, []authz.Reason{authz.SignatureInvalid, authz.InFlight}},
	{"twilio-messages", "twilio", "/webhooks/twilio", "1", 7, true, .11, []authz.Reason{authz.SignatureInvalid, authz.BodyAltered}},
	{"hubspot", "hubspot", "/webhooks/hubspot", "2", 5, false, .02, []authz.Reason{authz.SourceDenied, authz.SignatureInvalid}},
	{"zendesk-tickets", "zendesk", "/webhooks/zendesk", "1", 3.5, false, .008, []authz.Reason{authz.Replayed}},
	{"pagerduty", "pagerduty", "/webhooks/pagerduty", "1", 2, false, .002, []authz.Reason{authz.SignatureInvalid}},
	{"docusign-envelopes", "docusign", "/webhooks/docusign", "prod", 1.5, false, .01, []authz.Reason{authz.BodyTooLarge}},
	{"intercom", "intercom", "/webhooks/intercom", "1", 1.2, false, .01, []authz.Reason{authz.SignatureMissing}},
	{"paypal", "paypal", "/webhooks/paypal", "cert", .8, false, .03, []authz.Reason{authz.KeysUnavailable, authz.SignatureInvalid}},
}

var stages = []authz.Stage{authz.StageLimits, authz.StageSource, authz.StageSignature, authz.StageFreshness, authz.StageReplay}

// stageOf is the check that says a reason.
func stageOf(r authz.Reason) int {
	switch r {
	case authz.BodyTooLarge, authz.BodyAltered:
		return 0
	case authz.SourceDenied:
		return 1
	case authz.TimestampTooOld:
		return 3
	case authz.Replayed, authz.InFlight:
		return 4
	default:
		return 2
	}
}

// decisionsOfADay fills a ring with decisions of the day that ends now, always the same:
// a day's rhythm, a burst of bad signatures, strangers that try paths.
func decisionsOfADay(count int, now time.Time) *recent.Ring {
	ring := recent.New(64<<20, "edge-1") // as much as serve has
	random := rand.New(rand.NewPCG(1, 2))
	total := 0.0
	for i := range hooks {
		total += hooks[i].weight
	}
	digest := "994896bb6e2c9d7e"
	at := make([]time.Time, count)
	for i := range at {
		// Uniform in a time that runs faster at night.
		u := float64(i) / float64(count)
		at[i] = now.Add(-time.Duration((1 - u + .08*math.Sin(2*math.Pi*u)/math.Pi) * 24 * float64(time.Hour)))
	}
	for i := range count {
		e := recent.Entry{
			Time: at[i], ID: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), Method: authz.View("POST"), Digest: digest,
			RequestID: authz.View(fmt.Sprintf("%08x-1b8a-9e57-a990-%012x", random.Uint32(), random.Uint64()>>16)),
			Duration:  time.Duration(40+random.ExpFloat64()*45) * time.Microsecond, BodyBytes: int(300 + random.ExpFloat64()*2500),
			Source: netip.AddrFrom4([4]byte{203, 0, 113, byte(random.IntN(200))}), Status: 200, Verdict: authz.Allow, Reason: authz.OK,
		}
		random64 := random.Uint64()
		for j := range e.Trace {
			e.Trace[j] = byte(random64 >> (j % 8 * 8))
		}
		pick := random.Float64() * total
		h := &hooks[0]
		for j := range hooks {
			if h = &hooks[j]; pick < h.weight {
				break
			}
			pick -= h.weight
		}
		denied := h.denied
		ago := now.Sub(e.Time)
		if h.name == "shopify-orders" && ago > 18*time.Minute && ago < 31*time.Minute {
			denied = .7
		}
		e.Webhook, e.Provider, e.Path, e.KeyID, e.Shadow = h.name, h.provider, authz.View(h.path), h.key, h.shadow
		e.Signed, e.Skew = true, time.Duration(20+random.IntN(900))*time.Millisecond
		e.EventID = authz.View(fmt.Sprintf("evt_%016x", random.Uint64()))
		if random.Float64() < denied {
			e.Verdict, e.Reason, e.Status, e.KeyID = authz.Deny, h.reasons[random.IntN(len(h.reasons))], 401, ""
			if ago > 18*time.Minute && ago < 31*time.Minute && h.name == "shopify-orders" {
				e.Reason = authz.SignatureInvalid
			}
			if e.Reason == authz.Replayed {
				e.Status, e.Redeliver = 409, "a-ticket"
			}
		} else if random.IntN(90) == 0 {
			e.Webhook, e.Provider, e.KeyID, e.Shadow, e.Signed, e.EventID = "", "", "", false, false, nil
			e.Path = authz.View([]string{"/.env", "/wp-login.php", "/webhooks/../admin", "/api/v2/hooks", "/webhooks/<script>alert(1)</script>"}[random.IntN(5)])
			e.Source = netip.AddrFrom4([4]byte{198, 51, 100, byte(random.IntN(12))})
			e.Verdict, e.Reason, e.Status, e.Duration = authz.Deny, authz.NoWebhook, 404, 6*time.Microsecond
		}
		if e.Reason != authz.NoWebhook {
			for j := 0; j <= len(stages)-1; j++ {
				outcome := authz.Outcome{Stage: stages[j], Reason: authz.OK}
				if e.Verdict == authz.Deny && j == stageOf(e.Reason) {
					outcome.Reason = e.Reason
				}
				e.Checks = append(e.Checks, outcome)
				if outcome.Reason != authz.OK {
					break
				}
			}
		}
		ring.Append(&e)
	}
	return ring
}

// samplePolicy is a table with the webhooks of the sample.
func samplePolicy(now time.Time) Policy {
	table := authz.NewTable()
	for i := range hooks {
		table.Add(&authz.Webhook{Name: hooks[i].name, Provider: hooks[i].provider}, authz.Match{Path: hooks[i].path, Methods: []string{"POST"}})
	}
	find := func(id string, s finding.Severity, line int, message, suppressed string) finding.Finding {
		return finding.Finding{
			Place: finding.Place{File: "policies/webhooks.yaml", Line: line, Column: 5}, ID: id, Severity: s, Message: message,
			Risk: "Whoever has seen one delivery can send it again for as long.", Fix: "Shorten it to what the provider says.", Suppressed: suppressed,
		}
	}
	return Policy{
		Digest: "994896bb6e2c9d7e", Loaded: now.Add(-3 * time.Hour), Webhooks: len(hooks), Table: table, Errors: policy.Errors{},
		Findings: []finding.Finding{
			find("HB021", finding.Warning, 14, "the tolerance is longer than the window in which copies are known", ""),
			find("HB073", finding.Info, 31, "GitHub signs no time: how old a delivery is cannot be known", ""),
			find("HB050", finding.Info, 58, "the secret is as short as the provider issues it", "issued like that"),
		},
	}
}

func sampleKeys(now time.Time) Keys {
	days := func(n int) *time.Time { at := now.Add(-time.Duration(n) * 24 * time.Hour); return &at }
	k := Keys{Since: now.Add(-26 * time.Hour), Complete: true}
	for i := range hooks {
		h := &hooks[i]
		key := keylist.Key{Webhook: h.name, Kind: "secret", ID: h.key, Reference: "/run/secrets/" + h.name, Modified: days(12 + 17*i), Bytes: 32, Strength: "good", Advice: []string{}}
		key.Matches = &telemetry.KeyStat{First: *days(1), Last: now.Add(-time.Duration(i*i) * time.Minute), Count: int64(40000 / (i + 1))}
		if i > 4 && i%3 == 2 {
			key.Advice = append(key.Advice, "older than 90 days: rotate")
		}
		k.List = append(k.List, key)
	}
	until := now.Add(33 * 24 * time.Hour)
	k.List = append(k.List, keylist.Key{Webhook: "stripe-payments", Kind: "secret", ID: "2026-04", Reference: "/run/secrets/stripe-payments-old", Modified: days(230), NotAfter: &until, Bytes: 16, Strength: "weak", Advice: []string{"older than 90 days: rotate", "never seen since " + k.Since.Format(time.RFC3339)}})
	k.Fetched = []cli.Fetched{
		{Source: "https://api.paypal.com/v1/notifications/certs/{id}", URL: "https://api.paypal.com/v1/notifications/certs/CERT-360caa42", Confirmed: days(0), Changed: days(80), State: "current"},
		{Source: "https://api.example.com/jwks", URL: "https://api.example.com/jwks", Confirmed: days(2), Changed: days(9), State: "failing", Failure: "503 Service Unavailable"},
	}
	return k
}

func sampleRanges(now time.Time) []cli.Range {
	at := func(hours int) *time.Time { t := now.Add(-time.Duration(hours) * time.Hour); return &t }
	return []cli.Range{
		{Name: "github:hooks", Provider: "github", URL: "https://api.github.com/meta", Format: "json", Networks: 6, Fetched: at(5), State: "current"},
		{Name: "hubspot", Provider: "hubspot", URL: "https://api.hubspot.example/ip-ranges", Format: "json", Networks: 28, Fetched: at(29), State: "held", Detail: "a change waits: 20 networks would go",
			Held: &cli.HeldRange{Digest: "4f1c", Since: now.Add(-3 * time.Hour), Until: now.Add(21 * time.Hour), Lost: 20, Added: 1}},
		{Name: "stripe", Provider: "stripe", URL: "https://stripe.com/files/ips/ips_webhooks.json", Format: "json", Networks: 12, Fetched: at(24 * 40), State: "snapshot", Ends: "2027-01-31"},
	}
}

func sampleAlarms(now time.Time) (current, past []monitor.Alarm) {
	ended := now.Add(-7 * time.Hour)
	return []monitor.Alarm{
			{Time: now.Add(-24 * time.Minute), Kind: monitor.SignatureFailures, Webhook: "shopify-orders", Source: "203.0.113.0/24", Baseline: .011, Value: .71, Unit: "of deliveries", Samples: 352, Since: now.Add(-31 * time.Minute), Message: "signatures fail from networks that deliver: the provider's secret has probably changed"},
			{Time: now.Add(-2 * time.Hour), Kind: monitor.PathScan, Source: "198.51.100.0/24", Baseline: .3, Value: 41, Unit: "paths an hour", Samples: 97, Since: now.Add(-3 * time.Hour), Message: "somebody tries paths that are not configured", Strangers: true},
		}, []monitor.Alarm{
			{Time: now.Add(-9 * time.Hour), Kind: monitor.Silence, Webhook: "pagerduty", Baseline: 9.4, Value: 0, Unit: "deliveries an hour", Samples: 0, Since: now.Add(-10 * time.Hour), Message: "nothing comes any more", Ended: &ended},
		}
}

// sample is the configuration of a console with all that it can show.
func sample(ring *recent.Ring, now time.Time) Config {
	return Config{
		Decisions: ring, Policy: func() Policy { return samplePolicy(now) },
		Keys: func(webhook string) Keys {
			k := sampleKeys(now)
			if webhook == "" {
				return k
			}
			list := k.List
			k.List = nil
			for i := range list {
				if list[i].Webhook == webhook {
					k.List = append(k.List, list[i])
				}
			}
			return k
		},
		Condition: func() []string {
			return []string{"ok, without 1 documents of providers: they could not be fetched yet, see the log"}
		},
		Ranges: func() []cli.Range { return sampleRanges(now) }, Anomalies: func() (current, past []monitor.Alarm) { return sampleAlarms(now) },
		MayRedeliver: func(*http.Request) bool { return true },
		Redeliver: func(_ *http.Request, token string, d *record.Record) Redelivery {
			if token != "the right token of operators" {
				return Redelivery{Status: http.StatusForbidden, Problem: "This is not the token of operators."}
			}
			return Redelivery{Status: http.StatusOK, Webhook: d.Webhook, For: 15 * time.Minute}
		},
		Version: "1.4.0", Replica: "edge-1", Now: func() time.Time { return now },
	}
}

// serving serves a console that has counted what is in its ring.
func serving(t *testing.T, config Config) *httptest.Server {
	t.Helper()
	config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c := New(config)
	c.history.follow(config.Now())
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return server
}
