package provider_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
)

// What a policy combines by default must go together: schemes of one kind, all
// with a signed time or none. The compiler counts on it.
func TestDefaultSchemesGoTogether(t *testing.T) {
	for name, p := range entries(t) {
		kinds, seen := map[string]bool{}, map[string]bool{}
		for _, s := range p.GetSchemes() {
			if seen[s.GetName()] {
				t.Errorf("%s has two schemes %s", name, s.GetName())
			}
			seen[s.GetName()] = true
			if !s.GetOptional() {
				kinds[fmt.Sprintf("%T, signed time %v", s.GetScheme().GetKind(), s.GetScheme().Signed().GetTimestamp() != nil)] = true
			}
		}
		if len(kinds) != 1 {
			t.Errorf("%s combines %v", name, kinds)
		}
	}
}

func TestFilesHaveTheirNames(t *testing.T) {
	files, err := filepath.Glob("catalogue/*")
	names, nameErr := provider.Names()
	if err != nil || nameErr != nil || len(files) != len(names) {
		t.Fatalf("%d files, %d providers, %v, %v", len(files), len(names), err, nameErr)
	}
	for _, name := range names {
		if !slices.Contains(files, "catalogue/"+name+".yaml") {
			t.Errorf("%s is in no file of its name", name)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, test := range []struct {
		want    string
		headers []string
	}{
		{"github", []string{"x-hub-signature-256", "x-github-event"}},
		{"github", []string{"x-hub-signature"}}, // and others
		{"docusign", []string{"x-docusign-signature-1"}},
		{"pusher", []string{"x-pusher-signature", "x-pusher-key"}},
		{"", []string{"authorization"}},
		{"gitlab", []string{"x-gitlab-token"}},
		{"slack", []string{"x-slack-signature", "x-slack-request-timestamp"}},
		{"standard-webhooks", []string{"webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature"}},
		{"stripe", []string{"stripe-signature"}},
		{"", []string{"webhook-id", "webhook-timestamp"}}, // no proof
		{"", nil},
	} {
		has := map[string]bool{}
		for _, name := range test.headers {
			has[name] = true
		}
		got, err := provider.Nearest(func(name string) bool { return has[name] })
		if err != nil || test.want == "" && len(got) > 0 || test.want != "" && !slices.Contains(got, test.want) {
			t.Errorf("%q: %q, want %q; %v", test.headers, got, test.want, err)
		}
	}
}
