package envoy_test

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// What docs/reliability.md shows limits one webhook, asks nobody about what is more, and
// leaves other webhooks alone.
func TestRateOfOneWebhook(t *testing.T) {
	page, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "<!-- envoy: rate -->\n```yaml\n")
	text, _, ended := strings.Cut(rest, "```")
	var shown struct {
		Filters []any            `yaml:"http_filters"`
		Routes  []map[string]any `yaml:"routes"`
	}
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil || !found || !ended || len(shown.Filters) != 1 || len(shown.Routes) != 1 {
		t.Fatalf("docs/reliability.md shows no limit: %v", err)
	}
	const limited, other = "/github", "/stripe"
	route := shown.Routes[0]
	route["match"] = map[string]any{"path": limited}
	bucket := envoytest.Config(route).Map("typed_per_filter_config", "envoy.filters.http.local_ratelimit", "token_bucket")
	bucket["fill_interval"] = "3600s" // no token comes back while this runs
	tokens, _ := bucket["max_tokens"].(int)
	g := start(t, envoytest.Options{Source: fixed{policies(t)}, Edit: func(c envoytest.Config) {
		manager := c.Manager()
		manager["http_filters"] = slices.Concat(shown.Filters, manager["http_filters"].([]any))
		host := c.Map("static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "route_config", "virtual_hosts", 0)
		host["routes"] = slices.Concat([]any{route}, host["routes"].([]any))
	}})
	post := func(path string) int {
		t.Helper()
		response, err := g.HTTP1.Post("https://"+g.Address+path, "application/json", bytes.NewReader([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	for i := range tokens {
		if status := post(limited); status == http.StatusTooManyRequests {
			t.Fatalf("delivery %d is one too many", i+1)
		}
	}
	if status := post(limited); tokens == 0 || status != http.StatusTooManyRequests {
		t.Errorf("after %d deliveries: status %d", tokens, status)
	}
	if status := post(other); status == http.StatusTooManyRequests {
		t.Error("another webhook is limited")
	}
}
