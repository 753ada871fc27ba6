package policy_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// A change of policy by which deliveries without a signed time may be forgotten, or
// will be before their time, is kept as the time of their last doubt. A webhook
// that has certainly accepted nothing before gives none.
func TestDoubtOfReload(t *testing.T) {
	const a, b = "{name: a, match: {path: /a}, provider: github, secrets: [{file: secret}]}",
		"{name: b, match: {path: /b}, provider: github, secrets: [{file: secret}]}"
	with := func(rest string) string { return a[:len(a)-1] + ", " + rest + "}" }
	const open = "{name: a, match: {path: /a}, unverified: {reason: a test needs it}}"
	first, second := time.Unix(1_800_000_000, 0), time.Unix(1_800_001_000, 0)
	for name, test := range map[string]struct {
		before, after    []string
		reload, atAStart bool // whether there is a doubt
	}{
		"the same":                 {[]string{a}, []string{a}, false, false},
		"another mode":             {[]string{a}, []string{with("mode: SHADOW")}, false, false},
		"a longer window":          {[]string{a}, []string{with("replay: {window: 25h}")}, true, true},
		"a shorter window":         {[]string{a}, []string{with("replay: {window: 1h}")}, false, false},
		"the default written out":  {[]string{a}, []string{with("replay: {window: 24h}")}, false, false},
		"new beside another":       {[]string{b}, []string{a, b}, false, true}, // what is kept may lack it
		"renamed":                  {[]string{b}, []string{a}, true, true},
		"renamed, and it says so":  {[]string{b}, []string{with("formerly: [b]")}, false, false},
		"new in place of another":  {[]string{b, open[:7] + "z" + open[8:]}, []string{a, b}, true, true},
		"verified from now on":     {[]string{open}, []string{a}, true, true},
		"signed a time until now":  {[]string{"{name: a, match: {path: /a}, provider: stripe, secrets: [{file: secret}]}"}, []string{a}, true, true},
		"a tenant from now on":     {[]string{"{name: a, match: {path: '/{t}/x'}, provider: github, secrets: [{file: secret}]}"}, []string{"{name: a, match: {path: '/{tenant}/x'}, provider: github, secrets: [{file: secret}]}"}, true, true},
		"another one is gone, too": {[]string{a, b}, []string{a}, false, false},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "secret"), "a secret of some length")
		load := func(hooks []string, previous *authz.Table, kept map[string]watermark.Kept, now time.Time) *authz.Table {
			text := "webhooks:\n"
			for _, h := range hooks {
				text += "- " + h + "\n"
			}
			write(t, filepath.Join(dir, "a.yaml"), text)
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
		before := load(test.before, nil, nil, first)
		data, err := json.Marshal(watermark.KeptBy(before))
		if err != nil {
			t.Fatal(err)
		}
		kept := map[string]watermark.Kept{}
		if err := json.Unmarshal(data, &kept); err != nil {
			t.Fatal(err)
		}
		for how, doubt := range map[string]bool{"a reload": test.reload, "a start": test.atAStart} {
			previous, known := before, map[string]watermark.Kept(nil)
			if how == "a start" {
				previous, known = nil, kept
			}
			after := load(test.after, previous, known, second)
			got := mark(after)
			if doubt != !got.IsZero() || doubt && got.Before(second.Add(replay.Skew)) {
				t.Errorf("%s, %s: %v", name, how, got)
			}
			// What comes later gives no new doubt, and takes none away.
			if later := mark(load(test.after, after, nil, second.Add(time.Hour))); !later.Equal(got) {
				t.Errorf("%s, %s: %v after another reload, %v before", name, how, later, got)
			}
		}
	}
}
