package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// speaks makes Envoy speak HTTP/2, or HTTP/1.1 with trailers, to the application.
func speaks(c envoytest.Config, protocol string) {
	options := map[string]any{"http2_protocol_options": map[string]any{}}
	if protocol == "1" {
		options = map[string]any{"http_protocol_options": map[string]any{"enable_trailers": true}}
	}
	for _, cluster := range c.At("static_resources", "clusters").([]any) {
		if cluster := cluster.(map[string]any); cluster["name"] == "application" {
			cluster["typed_extension_protocol_options"] = map[string]any{
				"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
					"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
					"explicit_http_config": options,
				},
			}
		}
	}
}

// forgedTrailers are trailers of a sender that some application could take for
// headers of ours.
var forgedTrailers = []string{"x-hookbastion-verified", "x-hookbastion-assertion", "x-hookbastion-anything", "x_hookbastion_verified", "x-hookbastion_verified"}

// TestForgedTrailers: the service is never shown the trailers of a request, and
// could not remove them. What the examples have does.
func TestForgedTrailers(t *testing.T) {
	table := bodiless(t)
	for _, guarded := range []bool{true, false} {
		for _, protocol := range []string{"1", "2"} {
			t.Run(fmt.Sprintf("guarded %v, to HTTP %s", guarded, protocol), func(t *testing.T) {
				g := start(t, envoytest.Options{Source: fixed{table}, Edit: func(c envoytest.Config) {
					speaks(c, protocol)
					c.Manager()["http_protocol_options"] = map[string]any{"enable_trailers": true}
					if filters := c.Manager()["http_filters"].([]any); !guarded {
						c.Manager()["http_filters"] = []any{filters[0], filters[len(filters)-1]}
					}
				}})
				for i, send := range []func(t *testing.T, g *gateway, path, lines string, headers http.Header) answer{trailersOver1, trailersOver2} {
					path := fmt.Sprintf("/hubspot-v3/%v%s%d", guarded, protocol, i)
					headers, lines := signedEmpty(t, table, "hubspot-v3", "POST", path, time.Now())
					a := send(t, g, path, lines, headers)
					got := g.Upstream.Take()
					if a.status != 200 || len(got) != 1 || got[0].Header.Get(envoy.HeaderVerified) == "forged" {
						t.Fatalf("client %d: status %d, reason %s, %d upstream", i+1, a.status, a.reason, len(got))
					}
					forged := 0
					for _, values := range got[0].Trailer {
						for _, v := range values {
							if v == "forged" {
								forged++
							}
						}
					}
					honest := got[0].Trailer.Get("x-checksum") == "honest"
					if !honest || guarded && forged > 0 || !guarded && forged == 0 {
						t.Errorf("client %d: trailers %v", i+1, got[0].Trailer)
					}
				}
			})
		}
	}
}

// announced are all trailers: Go's server takes no other.
func announced() string { return "x-checksum, " + strings.Join(forgedTrailers, ", ") }

func trailersOver1(t *testing.T, g *gateway, path, lines string, _ http.Header) answer {
	t.Helper()
	text := "POST " + path + " HTTP/1.1\r\nHost: hooks.example.com\r\n" + lines + "Transfer-Encoding: chunked\r\nTrailer: " + announced() + "\r\n\r\n0\r\nx-checksum: honest\r\n"
	for _, name := range forgedTrailers {
		text += name + ": forged\r\n"
	}
	return g.raw(t, text+"\r\n")
}

func trailersOver2(t *testing.T, g *gateway, path, _ string, headers http.Header) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://"+g.Address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers
	req.Header.Set("Trailer", announced())
	s, err := g.OpenStream(t.Context(), req, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fields := []hpack.HeaderField{{Name: "x-checksum", Value: "honest"}}
	for _, name := range forgedTrailers {
		fields = append(fields, hpack.HeaderField{Name: name, Value: "forged"})
	}
	if err := s.Headers(true, fields...); err != nil {
		t.Fatal(err)
	}
	response, err := s.Response()
	if err != nil {
		t.Fatal(err)
	}
	return g.read(t, response)
}
