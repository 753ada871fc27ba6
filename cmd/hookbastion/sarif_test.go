package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/hookbastion/hookbastion/policy"
)

// What SARIF 2.1.0 requires (OASIS, §3.13 to §3.30) and code hosts rely on.
func TestSARIF(t *testing.T) {
	for name, errs := range map[string]policy.Errors{
		"none": nil,
		"some": {{File: "a b/é.yaml", Line: 3, Column: 5, Path: "webhooks[0]", Message: "wrong"}, {File: "c:d", Message: "cannot be read"}, {Message: "nowhere"}},
	} {
		var out bytes.Buffer
		if err := printSARIF(&out, errs); err != nil {
			t.Fatal(err)
		}
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
					RuleIndex *int
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
			t.Fatalf("%s: %s", name, out.String())
		}
		run := log.Runs[0]
		if len(run.Results) != len(errs) || run.ColumnKind != "unicodeCodePoints" {
			t.Errorf("%s: %d results, columns are %s", name, len(run.Results), run.ColumnKind)
		}
		for i, r := range run.Results {
			if r.RuleIndex == nil || run.Tool.Driver.Rules[*r.RuleIndex].ID != r.RuleID || r.Level != "error" || r.Message.Text == "" {
				t.Errorf("%s: result %d: %+v", name, i, r)
			}
			if errs[i].File == "" {
				if len(r.Locations) != 0 {
					t.Errorf("%s: result %d has a place without a file", name, i)
				}
				continue
			}
			place := r.Locations[0].PhysicalLocation
			if uri, err := url.Parse(place.ArtifactLocation.URI); err != nil || uri.Scheme != "" || uri.Path != errs[i].File && uri.Path != "./"+errs[i].File {
				t.Errorf("%s: %q is not the URI of %q: %v", name, place.ArtifactLocation.URI, errs[i].File, err)
			}
			if (place.Region != nil) != (errs[i].Line > 0) || place.Region != nil && (place.Region.StartLine != errs[i].Line || place.Region.StartColumn != errs[i].Column) {
				t.Errorf("%s: result %d is at %+v", name, i, place.Region)
			}
		}
	}
}
