package posture_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
	"github.com/hookbastion/hookbastion/policy/posture"
	"github.com/hookbastion/hookbastion/policy/posture/page"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is when all policies of this room are judged.
var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// testdata is where it is, whatever the directory of a test.
var testdata = func() string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		panic(err)
	}
	return dir
}()

var secretFile = regexp.MustCompile(`secrets/[a-z0-9-]+`)

// input is what validate makes of a policy of testdata, in a directory of its own. It
// returns the secrets as well. Files whose name begins with old were written two years ago.
func input(t *testing.T, name string) (in posture.Input, secrets []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // the digest has the names of files
	if err := os.Mkdir("secrets", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range secretFile.FindAllString(string(text), -1) {
		sum := sha256.Sum256([]byte(file))
		secrets = append(secrets, base64.StdEncoding.EncodeToString(sum[:]))
		if err := os.WriteFile(file, []byte(secrets[len(secrets)-1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("webhooks.yaml", text, 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Load("webhooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []keys.Key
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes: 1 << 20, Now: now, OnKey: func(k keys.Key) { all = append(all, k) },
	})
	if err != nil {
		t.Fatal(err)
	}
	in = posture.Input{Set: set, Keys: map[string][]posture.Key{}, Settings: &posture.Settings{Monitored: true}, Program: "v0.0.0", Now: now}
	if in.Findings, err = lint.Lint(lint.Input{Set: set, Table: table, Keys: all, Now: now, Proofs: policy.Proofs{Forwarded: true, Version: true}}); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		in.Keys[all[i].Webhook] = append(in.Keys[all[i].Webhook], keyOf(&all[i]))
	}
	return in, secrets
}

func keyOf(k *keys.Key) posture.Key {
	own := posture.Key{Kind: k.Kind, ID: k.ID, Reference: k.File, Strength: "good"}
	if k.Digest != "" {
		own.Reference, own.Strength = "a digest in the policy", "unknown"
		return own
	}
	written := now.AddDate(0, -1, 0)
	if strings.HasPrefix(filepath.Base(k.File), "old") {
		written = now.AddDate(-2, 0, 0)
	}
	own.Modified = &written
	if !k.NotBefore.IsZero() {
		own.NotBefore = &k.NotBefore
	}
	if !k.NotAfter.IsZero() {
		own.NotAfter = &k.NotAfter
	}
	return own
}

// TestGolden: a strong, a weak and a mixed set are judged as testdata has it, and no
// secret is in what is written, nor anything that a browser would run.
func TestGolden(t *testing.T) {
	for name, grade := range map[string]posture.Grade{"strong": "A", "weak": "F", "mixed": "C"} {
		t.Run(name, func(t *testing.T) {
			in, secrets := input(t, name)
			r, err := posture.Judge(in)
			if err != nil {
				t.Fatal(err)
			}
			if r.Grade != grade {
				t.Errorf("grade %s, want %s", r.Grade, grade)
			}
			got, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join(testdata, name+".json")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("not as in %s.json; run go test ./policy/posture -update and look\n%s", name, got)
			}
			var html bytes.Buffer
			if err := page.Write(&html, r); err != nil {
				t.Fatal(err)
			}
			for _, s := range append(secrets, "0f1c2bd0a0c6e1d5") {
				if strings.Contains(html.String(), s) || bytes.Contains(got, []byte(s)) {
					t.Errorf("a secret is in the report: %s", s)
				}
			}
			if strings.Contains(html.String(), "<script") {
				t.Error("the page has a script")
			}
		})
	}
}

func days(n int) *time.Time { at := now.AddDate(0, 0, n); return &at }

// judged is the practice of the first webhook of the strong set after a change.
func judged(t *testing.T, practice string, change func(*posture.Input)) posture.Practice {
	t.Helper()
	in, _ := input(t, "strong")
	change(&in)
	r, err := posture.Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Webhooks {
		if w := &r.Webhooks[i]; w.Name == "payments" {
			return w.Practices[slices.Index(posture.Practices(), practice)]
		}
	}
	t.Fatal("payments is gone")
	return posture.Practice{}
}

// TestRotation: what the age of a key makes of rotation.
func TestRotation(t *testing.T) {
	for name, c := range map[string]struct {
		keys []posture.Key
		want posture.State
	}{
		"young":                  {[]posture.Key{{Modified: days(-90)}}, posture.Holds},
		"due":                    {[]posture.Key{{Modified: days(-91)}}, posture.Partly},
		"due, and ends":          {[]posture.Key{{Modified: days(-91), NotAfter: days(30)}}, posture.Holds},
		"due, and ends late":     {[]posture.Key{{Modified: days(-91), NotAfter: days(400)}}, posture.Partly},
		"a year":                 {[]posture.Key{{Modified: days(-365)}}, posture.Partly},
		"forgotten":              {[]posture.Key{{Modified: days(-366)}}, posture.Fails},
		"forgotten, and ends":    {[]posture.Key{{Modified: days(-366), NotAfter: days(1)}}, posture.Fails},
		"file written anew":      {[]posture.Key{{Modified: days(-1), NotBefore: days(-500)}}, posture.Fails},
		"ended":                  {[]posture.Key{{Modified: days(-500), NotAfter: days(0)}, {Modified: days(-1)}}, posture.Holds},
		"one of two":             {[]posture.Key{{Modified: days(-1)}, {Modified: days(-500)}}, posture.Fails},
		"the next one":           {[]posture.Key{{Modified: days(-1)}, {NotBefore: days(5)}}, posture.Holds},
		"no age":                 {[]posture.Key{{}}, posture.Unknown},
		"none":                   {nil, posture.Unknown},
		"all ended":              {[]posture.Key{{NotAfter: days(-1)}}, posture.Unknown},
		"published by a server":  {[]posture.Key{{Fetched: true}}, posture.Holds},
		"a public key in a file": {[]posture.Key{{Strength: "public", Modified: days(-2000)}}, posture.Holds},
		"written in the future":  {[]posture.Key{{Modified: days(3)}}, posture.Holds},
	} {
		t.Run(name, func(t *testing.T) {
			p := judged(t, posture.Rotation, func(in *posture.Input) { in.Keys["payments"] = c.keys })
			if p.State != c.want {
				t.Errorf("%s, want %s: %q", p.State, c.want, p.Why)
			}
		})
	}
}

// TestFindingsLower: an error fails its practice, a warning leaves it partly, also a
// suppressed one, an info changes nothing.
func TestFindingsLower(t *testing.T) {
	for name, c := range map[string]struct {
		f        finding.Finding
		practice string
		want     posture.State
	}{
		"an error":            {finding.Finding{ID: "HB050", Severity: finding.Error}, posture.Authentication, posture.Fails},
		"a warning":           {finding.Finding{ID: "HB074", Severity: finding.Warning}, posture.Authentication, posture.Partly},
		"a suppressed one":    {finding.Finding{ID: "HB074", Severity: finding.Warning, Suppressed: "known"}, posture.Authentication, posture.Partly},
		"an info":             {finding.Finding{ID: "HB074", Severity: finding.Info}, posture.Authentication, posture.Holds},
		"of another practice": {finding.Finding{ID: "HB060", Severity: finding.Warning}, posture.Authentication, posture.Holds},
		"of its practice":     {finding.Finding{ID: "HB060", Severity: finding.Warning}, posture.Encryption, posture.Partly},
		"of rotation":         {finding.Finding{ID: "HB028", Severity: finding.Warning}, posture.Rotation, posture.Partly},
		"a weak algorithm":    {finding.Finding{ID: "HB084", Severity: finding.Info}, posture.Authentication, posture.Partly},
		"of knowledge":        {finding.Finding{ID: "HB004", Severity: finding.Warning}, posture.Knowledge, posture.Partly},
	} {
		t.Run(name, func(t *testing.T) {
			p := judged(t, c.practice, func(in *posture.Input) {
				c.f.Place = finding.Place{File: "webhooks.yaml", Line: 2, Column: 5, Path: "webhooks[0].secrets[0]"}
				in.Findings = []finding.Finding{c.f}
			})
			if p.State != c.want {
				t.Errorf("%s, want %s: %q", p.State, c.want, p.Why)
			}
		})
	}
}

// TestMonitoring: what settings and the service say of watching.
func TestMonitoring(t *testing.T) {
	for name, c := range map[string]struct {
		settings *posture.Settings
		live     *posture.Live
		found    []finding.Finding
		want     posture.State
	}{
		"nobody has said":           {nil, nil, nil, posture.Unknown},
		"settings":                  {&posture.Settings{Monitored: true}, nil, nil, posture.Holds},
		"off":                       {&posture.Settings{}, nil, nil, posture.Partly},
		"the service":               {nil, &posture.Live{Monitored: true}, nil, posture.Unknown},
		"settings and the service":  {&posture.Settings{}, &posture.Live{Monitored: true}, nil, posture.Holds},
		"the service has it off":    {&posture.Settings{Monitored: true}, &posture.Live{}, nil, posture.Partly},
		"denials without a record":  {&posture.Settings{Monitored: true}, nil, []finding.Finding{{Place: finding.Place{File: "s.yaml"}, ID: "HB140", Severity: finding.Warning}}, posture.Partly},
		"a finding about something": {&posture.Settings{Monitored: true}, nil, []finding.Finding{{Place: finding.Place{File: "s.yaml"}, ID: "HB060", Severity: finding.Warning}}, posture.Holds},
	} {
		t.Run(name, func(t *testing.T) {
			p := judged(t, posture.Monitoring, func(in *posture.Input) { in.Settings, in.Live, in.Findings = c.settings, c.live, c.found })
			if p.State != c.want {
				t.Errorf("%s, want %s: %q", p.State, c.want, p.Why)
			}
		})
	}
}

// TestTopics: each rule of lint is about one of the practices.
func TestTopics(t *testing.T) {
	seen := map[string]int{}
	for _, r := range lint.Rules() {
		seen[posture.Topic(r.ID)]++
	}
	for _, p := range posture.Practices() {
		if seen[p] < 3 {
			t.Errorf("only %d rules are about %s", seen[p], p)
		}
	}
	if len(seen) != len(posture.Practices()) {
		t.Errorf("practices of rules: %v", seen)
	}
}

// TestControls: of a service that was asked, and of one that has another policy.
func TestControls(t *testing.T) {
	has := func(change func(*posture.Input)) map[string]bool {
		in, _ := input(t, "strong")
		change(&in)
		r, err := posture.Judge(in)
		if err != nil {
			t.Fatal(err)
		}
		covered := map[string]bool{}
		for i := range r.Controls {
			covered[r.Controls[i].ID] = r.Controls[i].Evidence
			if len(r.Controls[i].Says) == 0 {
				t.Errorf("%s: without a word", r.Controls[i].ID)
			}
		}
		return covered
	}
	digest := ""
	strong := has(func(in *posture.Input) { digest = in.Set.Digest })
	for _, id := range []string{"1.2.5", "6.4.2", "8.6.3", "10.2.1.4", "10.2.2", "10.4.1.1", "12.3.3", "A.5.14", "A.5.17", "A.8.16", "A.8.24", "CC6.6", "CC7.2", "IA-9", "SC-12", "AU-3", "4.1.5", "13.3.4"} {
		if !strong[id] {
			t.Errorf("%s is not covered by the strong set", id)
		}
	}
	for _, id := range []string{"10.6.1", "CC8.1"} {
		if covered, ok := strong[id]; covered || !ok {
			t.Errorf("%s: %v %v", id, covered, ok)
		}
	}
	live := has(func(in *posture.Input) { in.Live = &posture.Live{Digest: digest, Monitored: true} })
	other := has(func(in *posture.Input) { in.Live, in.Settings = &posture.Live{Digest: "another"}, nil })
	if !live["CC8.1"] || other["CC8.1"] || !live["CC7.2"] || other["CC7.2"] || other["AU-3"] {
		t.Errorf("a service with the policy: %v\nwith another: %v", live, other)
	}
	silent := has(func(in *posture.Input) {
		in.Findings = append(in.Findings, finding.Finding{Place: finding.Place{File: "s.yaml"}, ID: "HB140", Severity: finding.Warning})
	})
	if silent["10.2.1.4"] || silent["AU-3"] || silent["A.8.16"] || !silent["6.4.2"] {
		t.Errorf("without records of attacks: %v", silent)
	}
}
