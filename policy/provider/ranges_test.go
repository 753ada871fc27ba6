package provider_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// The documents are whole: enough of them, each list with a place, and what is said of
// snapshots is so.
func TestRangeDocuments(t *testing.T) {
	all, err := provider.RangeDocuments()
	if err != nil {
		t.Fatal(err)
	}
	providers, frozen, seen := map[string]bool{}, 0, map[string]bool{}
	for _, d := range all {
		if found, err := provider.Ranges(d.Name); found != d || err != nil {
			t.Errorf("%s: %v, %v", d.Name, found, err)
		}
		for _, name := range d.Lists() {
			if seen[name] {
				t.Errorf("%s is twice there", name)
			}
			seen[name] = true
			document, service, _ := strings.Cut(name, ":")
			if d.Name != document || d.Find(service) == nil {
				t.Errorf("%s is not in %s", name, d.Name)
			}
		}
		for _, name := range d.Entries {
			if p, err := provider.Get(name); p == nil || err != nil {
				t.Errorf("%s: entry %s: %v", d.Name, name, err)
			}
		}
		if d.Kind == "" {
			continue
		}
		name, _, _ := strings.Cut(d.Provider, ",")
		providers[name] = true
		if !d.Read.IsZero() {
			frozen++
		}
	}
	if len(providers) < 20 || frozen < 8 {
		t.Errorf("%d providers, %d documents with networks", len(providers), frozen)
	}
	if own, err := provider.RangesOf("paddle"); len(own) != 2 || err != nil {
		t.Errorf("of Paddle: %d, %v", len(own), err)
	}
	if d, err := provider.Ranges("nobody"); d != nil || err != nil {
		t.Errorf("%v, %v", d, err)
	}
}

// Each document is read as its provider writes it. The files have the real shape: the
// provider's own example or a copy of the document, shortened, with addresses that are no
// example's, since those are refused. want.json says what is in them.
func TestRangeShapes(t *testing.T) {
	text, err := os.ReadFile("testdata/ranges/want.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	all, err := provider.RangeDocuments()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Kind == "" {
			continue
		}
		files, err := filepath.Glob("testdata/ranges/" + d.Name + ".*")
		if err != nil || len(files) != 1 {
			t.Errorf("%s has no document in testdata/ranges", d.Name)
			continue
		}
		body, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range d.Lists() {
			_, service, _ := strings.Cut(name, ":")
			set, err := d.Find(service).Parse(d.Kind, body)
			got := ""
			if err == nil {
				got = strings.Trim(strings.Join(texts(set), " "), "[]")
			}
			if got != want[name] || want[name] == "" {
				t.Errorf("%s: %q, %v, want %q", name, got, err, want[name])
			}
			for what, bad := range map[string]string{
				"half": string(body[:len(body)/2]), "HTML": "<!DOCTYPE html><html><body>Moved</body></html>", "nothing": "", "null": "null",
				"an error": `{"message":"API rate limit exceeded"}`, "an empty object": "{}", "an empty list": "[]",
			} {
				if d.Kind == ranges.Lines && what == "half" {
					continue // a list of lines that is cut is shorter, which Judge holds
				}
				if set, err := d.Find(service).Parse(d.Kind, []byte(bad)); err == nil {
					t.Errorf("%s: %s is %v", name, what, texts(set))
				}
			}
		}
	}
	for name := range want {
		document, _, _ := strings.Cut(name, ":")
		if d, err := provider.Ranges(document); err != nil || d == nil || !slices.Contains(d.Lists(), name) {
			t.Errorf("want.json: there is no %s", name)
		}
	}
}

func texts(set *ranges.Set) []string {
	var all []string
	for _, p := range set.Networks() {
		all = append(all, strings.TrimSuffix(p.String(), suffix(p)))
	}
	return all
}

// suffix is that of a single address, which is written without.
func suffix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.String()[strings.Index(p.String(), "/"):]
	}
	return " "
}
