package envoy_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// What docs/reliability.md shows limits one webhook, asks nobody about what is more, and
// leaves other webhooks alone. No other spelling of the path comes around it.
func TestRateOfOneWebhook(t *testing.T) {
	t.Run("as it comes", func(t *testing.T) { limitsOne(t, map[string]any{"path": "/github"}, false) })
	t.Run("normalised", func(t *testing.T) { limitsOne(t, map[string]any{"path": "/github"}, true) })
	t.Run("with a variable", func(t *testing.T) {
		limitsOne(t, map[string]any{"safe_regex": map[string]any{"regex": "/git[^/]+"}}, false)
	})
}

func limitsOne(t *testing.T, match map[string]any, normalised bool) {
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
	route["match"] = match
	bucket := envoytest.Config(route).Map("typed_per_filter_config", "envoy.filters.http.local_ratelimit", "token_bucket")
	bucket["fill_interval"] = "3600s" // no token comes back while this runs
	tokens, _ := bucket["max_tokens"].(int)
	g := start(t, envoytest.Options{Source: fixed{policies(t)}, Edit: func(c envoytest.Config) {
		manager := c.Manager()
		if normalised {
			manager["normalize_path"], manager["merge_slashes"], manager["path_with_escaped_slashes_action"] = true, true, "UNESCAPE_AND_FORWARD"
		}
		manager["http_filters"] = slices.Concat(shown.Filters, manager["http_filters"].([]any))
		host := c.Map("static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "route_config", "virtual_hosts", 0)
		host["routes"] = slices.Concat([]any{route}, host["routes"].([]any))
	}})
	post := func(path string) int {
		t.Helper()
		response, err := g.HTTP1.Do(&http.Request{
			Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: g.Address, Opaque: "//" + g.Address + path},
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2,
		})
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
	for _, path := range []string{
		"/github?a=b", "/github/", "//github", "/./github", "/a/../github", "/%67ithub", "/github%2F", "/github%2f..%2fgithub", "/github;a", "/GITHUB",
		"/github%3Fa", "/github/.", `/github\`, "/github%00", "/github%23",
	} {
		if status := post(path); status != http.StatusTooManyRequests && status != http.StatusNotFound && status != http.StatusBadRequest {
			t.Errorf("%s comes around the limit: status %d", path, status)
		}
	}
	if status := post(limited + "?a=b"); status != http.StatusTooManyRequests {
		t.Errorf("with a query: status %d", status)
	}
	if status := post(other); status == http.StatusTooManyRequests {
		t.Error("another webhook is limited")
	}
}
