package policy_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// hookFile writes a policy with one webhook, a, and returns its directory.
func hookFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "s"), strings.Repeat("0123456789abcdef", 4))
	write(t, filepath.Join(dir, "basic"), "user:0123456789abcdef")
	secrets := ", secrets: [{file: s}]"
	if strings.HasPrefix(text, "token:") {
		secrets = ""
	}
	write(t, filepath.Join(dir, "a.yaml"), "webhooks:\n- {name: a, match: {path: /a}, "+text+secrets+"}\n")
	return dir
}

func tableOf(t *testing.T, text string) *authz.Table {
	t.Helper()
	table, err := compile(hookFile(t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return table
}

// What a copy gets follows from how the sender repeats, in the catalogue and in a
// scheme of a policy, and the policy has the last word.
func TestCopies(t *testing.T) {
	const scheme = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}]}"
	const timed = "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Sig]}, content: [{timestamp: {}}, {body: {}}], timestamp: {header: X-Time, unit: SECONDS}}"
	for _, c := range []struct {
		text         string
		onCopy       replay.OnCopy
		unknown      replay.Fate
		clientErrors replay.Fate
	}{
		{"provider: pagerduty", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered}, // nobody knows
		{"provider: shopify", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},   // the same bytes
		{"provider: mailgun", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},   // with an old time
		{"provider: github", replay.DenyCopy, replay.Unsure, replay.Undelivered},           // a person's button
		{"provider: docusign", replay.DenyCopy, replay.Taken, replay.Taken},                // signed anew
		{"provider: stripe", replay.DenyCopy, replay.Taken, replay.Taken},
		{"provider: github, replay: {on_replay: ACKNOWLEDGE}", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},
		{"provider: shopify, replay: {on_replay: DENY}", replay.DenyCopy, replay.Unsure, replay.Undelivered},
		{"provider: twilio, public_url: \"https://a.example\", replay: {on_replay: MARK}", replay.MarkCopies, replay.Unsure, replay.Undelivered},
		{scheme + "}", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},
		{scheme + ", retry: UNKNOWN}", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},
		{scheme + ", retry: IDENTICAL}", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},
		{scheme + ", retry: NONE}", replay.DenyCopy, replay.Unsure, replay.Undelivered},
		{scheme + ", retry: RESIGNED}", replay.DenyCopy, replay.Taken, replay.Taken},
		{scheme + ", retry: RESIGNED}, replay: {on_replay: ACKNOWLEDGE}", replay.AcknowledgeCopy, replay.Taken, replay.Taken},
		{timed + "}", replay.AcknowledgeCopy, replay.Taken, replay.Taken},
		{timed + ", retry: RESIGNED}", replay.DenyCopy, replay.Taken, replay.Taken},
		{timed + ", retry: IDENTICAL}", replay.AcknowledgeCopy, replay.Unsure, replay.Undelivered},
	} {
		table := tableOf(t, c.text)
		for _, check := range table.Webhook("a").Chain {
			if r, ok := check.(*replay.Check); ok && (r.OnCopy != c.onCopy || r.Rules.Unknown != c.unknown || r.Rules.ClientError != c.clientErrors) {
				t.Errorf("%s: %d, %+v", c.text, r.OnCopy, r.Rules)
			}
		}
	}
}

// In the catalogue the entry says how it repeats, not the scheme.
func TestNoEntryRepeatsByScheme(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.GetSchemes() {
			if s.GetScheme().GetRetry() != policyv1.Provider_RETRY_UNSPECIFIED {
				t.Errorf("%s: the scheme %s says how it repeats", name, s.GetName())
			}
		}
	}
}

// A password that is missing or wrong is asked for, unless the sender sends it at
// once or the policy has another answer.
func TestChallenges(t *testing.T) {
	const token = ", token: {any_of: [{basic: {value: {file: basic}}}]}"
	for text, want := range map[string]bool{
		"provider: twilio":           false,
		"provider: twilio" + token:   true,
		"provider: github" + token:   true,
		"provider: segment":          false,
		"provider: chargebee":        true,
		"provider: postmark":         false,
		"provider: postmark" + token: true,
		"provider: twilio, respond: {denied_status: 404}" + token: false,
		"provider: twilio, respond: {denied_status: 401}" + token: true,
		"provider: okta-event-hooks":                              false,
	} {
		hook := tableOf(t, text).Webhook("a")
		if got := strings.HasPrefix(hook.Challenge, "Basic realm="); got != want {
			t.Errorf("%s: challenge %q", text, hook.Challenge)
		}
	}
}

// A delivery without a signed time is known for the window and at most a 64th
// longer, of a day as of 30.
func TestWindowEnds(t *testing.T) {
	for text, window := range map[string]time.Duration{
		"provider: pagerduty":                         verification.DefaultWindow,
		"provider: pagerduty, replay: {window: 720h}": 720 * time.Hour,
		"provider: monday, public_url: \"https://a.example\", replay: {window: 744h}": 744 * time.Hour,
	} {
		hook := tableOf(t, text).Webhook("a")
		start := time.Unix(1_800_000_000, 0)
		req := &authz.Request{Method: authz.View("POST"), Path: authz.View("/a"), Host: authz.View("a.example"),
			Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte("{}")}}}
		if err := hook.Sign(req, authz.Signing{Now: start, NewID: func() string { return "msg_1" }}); err != nil {
			t.Fatal(err)
		}
		var check *replay.Check
		for _, c := range hook.Chain {
			if r, ok := c.(*replay.Check); ok {
				check = r
			}
		}
		call := func(at time.Time) authz.Reason {
			c := &authz.Call{Context: t.Context(), Request: req, Now: at, Webhook: "a", Proof: authz.ProofPartial, Fingerprint: authz.Fingerprint{1}}
			return check.Run(c)
		}
		for _, step := range []struct {
			after time.Duration
			want  authz.Reason
		}{
			{0, authz.OK}, {window / 2, authz.Replayed}, {window - time.Second, authz.Replayed},
			{window + window/64 + 2*time.Second, authz.OK}, {window + window/64 + 3*time.Second, authz.Replayed},
		} {
			if got := call(start.Add(step.after)); got != step.want {
				t.Errorf("%s: %s after the first: %s, want %s", text, step.after, got, step.want)
			}
		}
	}
}

// With entries of failures alone nothing is known to have been taken: a policy cannot ask
// for it. What a provider's default asks for is as good as a denial.
func TestFailuresAcknowledgeNothing(t *testing.T) {
	with := func(text string) (*authz.Table, error) {
		set, _ := policy.Load(hookFile(t, text)) // Compile reports what is wrong with both
		d := deps()
		d.Settler = replay.NewSettler(d.Store, time.Minute, replay.SealKey{})
		d.Settler.ExpectFailures()
		return policy.Compile(set, d)
	}
	_, err := with("provider: github, replay: {on_replay: ACKNOWLEDGE}")
	if err == nil || !strings.Contains(err.Error(), "webhooks[0].replay.on_replay: ACKNOWLEDGE needs the whole access log, and the setting replay.access_log is FAILURES") {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"provider: shopify", "provider: github, replay: {on_replay: DENY}"} {
		if _, err := with(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
