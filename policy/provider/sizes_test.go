package provider_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
)

// TestSizes: each is of an entry of the catalogue, once, within what the setting
// envoy.max_request_bytes takes, and says where it was read.
func TestSizes(t *testing.T) {
	text, err := os.ReadFile("sizes.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []provider.Size
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		t.Fatalf("%d sizes, error %v", len(list), err)
	}
	seen := map[string]bool{}
	for _, s := range list {
		if _, err := provider.Get(s.Provider); err != nil || seen[s.Provider] {
			t.Errorf("%s: seen %v, error %v", s.Provider, seen[s.Provider], err)
		}
		seen[s.Provider] = true
		if s.Bytes == 0 || s.Bytes > 256<<20 || s.Text == "" || !strings.HasPrefix(s.Source, "https://") {
			t.Errorf("%+v", s)
		}
		if got, err := provider.Largest(s.Provider); got != s || err != nil {
			t.Errorf("got %+v, error %v", got, err)
		}
	}
	if got, err := provider.Largest("stripe"); got.Bytes != 0 || err != nil {
		t.Errorf("got %+v, error %v", got, err)
	}
}
