package policy_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// A reload, or a restart with a store that remembers, that makes older deliveries acceptable, or keeps nonces elsewhere,
// refuses those that could have come before it: they may be signed ahead of our clock. Any other leaves the watermark alone.
func TestWatermarkOfReload(t *testing.T) {
	const stripe = "{name: a, match: {path: /a}, provider: stripe, secrets: [{file: secret}]"
	const other, tenant = "{name: a, match: {path: '/{t}/x'}, provider: stripe, secrets: [{file: secret}]",
		"{name: a, match: {path: '/{tenant}/x'}, provider: stripe, secrets: [{file: secret}]"
	first, second := time.Unix(1_800_000_000, 0), time.Unix(1_800_001_000, 0)
	for name, test := range map[string]struct {
		before, after string
		rises         bool
	}{
		"the same":                   {stripe, stripe, false},
		"another key":                {stripe, stripe[:len(stripe)-1] + ", {file: secret2}]", false},
		"shadow":                     {stripe, stripe + ", mode: SHADOW", false},
		"another limit":              {stripe, stripe + ", limits: {max_signatures: 9}", false},
		"default written out":        {stripe, stripe + ", freshness: {tolerance: 300s, future: 60s}", false},
		"longer tolerance":           {stripe, stripe + ", freshness: {tolerance: 301s}", true},
		"longer, less ahead":         {stripe, stripe + ", freshness: {tolerance: 310s, future: 50s}", true},
		"more ahead":                 {stripe, stripe + ", freshness: {future: 61s}", false}, // nothing of that came before
		"less ahead":                 {stripe, stripe + ", freshness: {future: 1s}", false},
		"shorter tolerance":          {stripe, stripe + ", freshness: {tolerance: 30s}", false}, // nonces are kept for longer than they must
		"and longer again":           {stripe + ", freshness: {tolerance: 30s}", stripe, true},
		"new":                        {"{name: b, match: {path: /b}, unverified: {reason: a test needs it}", stripe, true},
		"was without a time":         {"{name: a, match: {path: /a}, provider: github, secrets: [{file: secret}]", stripe, true},
		"a tenant":                   {other, tenant, true},
		"no tenant any more":         {tenant, other, true},
		"the same tenant":            {tenant, tenant + ", mode: SHADOW", false},
		"another path":               {stripe, other, false}, // no tenant before and after
		"renamed":                    {"{name: z, match: {path: /a}, provider: stripe, secrets: [{file: secret}]", stripe, true},
		"renamed, and it says so":    {"{name: z, match: {path: /a}, provider: stripe, secrets: [{file: secret}]", stripe + ", formerly: [z]", false},
		"renamed twice":              {"{name: z, formerly: [y], match: {path: /a}, provider: stripe, secrets: [{file: secret}]", stripe + ", formerly: [y, z]", false},
		"renamed back":               {"{name: z, formerly: [a], match: {path: /a}, provider: stripe, secrets: [{file: secret}]", stripe, false},
		"the first name is left out": {"{name: z, formerly: [y], match: {path: /a}, provider: stripe, secrets: [{file: secret}]", stripe + ", formerly: [z]", true},
		"renamed and longer":         {"{name: z, match: {path: /a}, provider: stripe, secrets: [{file: secret}]", stripe + ", formerly: [z], freshness: {tolerance: 301s}", true},
		"was a token":                {"{name: a, match: {path: /a}, provider: gitlab, secrets: [{file: secret}]", stripe, true},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "secret"), "a secret of some length")
		write(t, filepath.Join(dir, "secret2"), "another secret of some length")
		var kept map[string]watermark.Kept
		load := func(text string, previous *authz.Table, now time.Time) *authz.Table {
			write(t, filepath.Join(dir, "a.yaml"), "webhooks:\n- "+text+"}\n")
			set, err := policy.Load(dir)
			if err != nil {
				t.Fatal(name, err)
			}
			d := deps()
			d.Now, d.Previous, d.Kept = now, previous, kept
			table, err := policy.Compile(set, d)
			if err != nil {
				t.Fatal(name, err)
			}
			return table
		}
		if mark := mark(load(stripe, nil, first)); !mark.IsZero() {
			t.Errorf("%s: watermark %v at the start", name, mark)
		}
		// The table before has a watermark of its own, since it was new then.
		before := load(test.before, authz.NewTable(), first)
		const ahead = 60*time.Second + replay.Skew
		want := first.Add(ahead)
		if test.rises {
			want = second.Add(ahead)
		}
		if got := mark(load(test.after, before, second)); !got.Equal(want) {
			t.Errorf("%s: watermark %v, want %v", name, got.Unix(), want.Unix())
		}
		data, err := json.Marshal(watermark.KeptBy(before))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &kept); err != nil {
			t.Fatal(err)
		}
		if got := mark(load(test.after, nil, second)); !got.Equal(want) {
			t.Errorf("%s: watermark %v after a restart, want %v", name, got.Unix(), want.Unix())
		}
	}
}

// What another policy let be signed further ahead counts, under whichever name.
func TestWatermarkOfTheFurthestAhead(t *testing.T) {
	const hook = "name: %s, match: {path: /a}, provider: stripe, secrets: [{file: secret}], freshness: {tolerance: %s, future: %s}"
	now := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		before, after string
		ahead         time.Duration
	}{
		"renamed, and less ahead": {fmt.Sprintf(hook, "z", "300s", "50s"), fmt.Sprintf(hook, "a", "300s", "1s"), 50 * time.Second},
		"renamed, and more ahead": {fmt.Sprintf(hook, "z", "300s", "1s"), fmt.Sprintf(hook, "a", "300s", "50s"), 50 * time.Second},
		"older, and less ahead":   {fmt.Sprintf(hook, "a", "300s", "50s"), fmt.Sprintf(hook, "a", "400s", "1s"), 50 * time.Second},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "secret"), "a secret of some length")
		load := func(text string, previous *authz.Table) *authz.Table {
			write(t, filepath.Join(dir, "a.yaml"), "webhooks:\n- {"+text+"}\n")
			set, err := policy.Load(dir)
			if err != nil {
				t.Fatal(name, err)
			}
			d := deps()
			d.Now, d.Previous = now, previous
			table, err := policy.Compile(set, d)
			if err != nil {
				t.Fatal(name, err)
			}
			return table
		}
		if got, want := mark(load(test.after, load(test.before, nil))), now.Add(test.ahead+replay.Skew); !got.Equal(want) {
			t.Errorf("%s: watermark %v, want %v", name, got.Unix(), want.Unix())
		}
	}
}

// watermark returns that of webhook a.
func mark(table *authz.Table) time.Time {
	for _, check := range table.Webhook("a").Chain {
		if r, ok := check.(*replay.Check); ok {
			return r.Watermark
		}
	}
	return time.Unix(0, 0)
}
