package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What SARIF 2.1.0 requires (OASIS, §3.13 to §3.30) and code hosts rely on.
func TestSARIF(t *testing.T) {
	t.Chdir(t.TempDir())
	name := filepath.Join("a b", "é.yaml")
	if err := os.Mkdir("a b", 0o700); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"errors": "webhooks: [{nam: \"é\", x: 1}]\n",
		"good":   "webhooks: [{name: a, match: {path: /a}, unverified: {reason: a test needs it}}]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		root, out := newRoot(), bytes.Buffer{}
		root.SetOut(&out)
		args := []string{"validate", "--output", "sarif", name}
		if what == "errors" {
			args = append(args, "c:d.yaml") // which is not there
		}
		root.SetArgs(args)
		_ = root.Execute() // the exit code is not looked at here
		var log struct {
			Version string
			Runs    []struct {
				Tool struct {
					Driver struct {
						Name  string
						Rules []struct{ ID string }
					}
				}
				ColumnKind string
				Results    []struct {
					RuleID    string
					Level     string
					Message   struct{ Text string }
					Locations []struct {
						PhysicalLocation struct {
							ArtifactLocation struct{ URI string }
							Region           *struct{ StartLine, StartColumn int }
						}
					}
				}
			}
		}
		if err := json.Unmarshal(out.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "hookbastion" || log.Runs[0].Results == nil {
			t.Fatalf("%s: %s", what, out.String())
		}
		run := log.Runs[0]
		if run.ColumnKind != "unicodeCodePoints" { // as the columns of YAML are counted
			t.Errorf("columns are %q", run.ColumnKind)
		}
		if what == "errors" && len(run.Results) < 2 {
			t.Errorf("only %d results", len(run.Results))
		}
		for i, r := range run.Results {
			known := slices.ContainsFunc(run.Tool.Driver.Rules, func(rule struct{ ID string }) bool { return rule.ID == r.RuleID })
			if !known || r.Level == "" || r.Message.Text == "" || len(r.Locations) != 1 {
				t.Errorf("%s: result %d: %+v", what, i, r)
				continue
			}
			place := r.Locations[0].PhysicalLocation
			uri, err := url.Parse(place.ArtifactLocation.URI)
			if err != nil || uri.Scheme != "" || uri.Path != name && uri.Path != "./c:d.yaml" || strings.Contains(uri.String(), " ") {
				t.Errorf("%s: the URI %q: %v", what, place.ArtifactLocation.URI, err)
			}
			if uri.Path == name && (place.Region == nil || place.Region.StartLine < 1 || place.Region.StartColumn < 1) {
				t.Errorf("%s: result %d is at %+v", what, i, place.Region)
			}
		}
	}
}
