package audit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/audit"
)

// BenchmarkRoutes audits many routes behind a filter with code, which may lead from each to each:
// the time for each route must not grow with their number.
func BenchmarkRoutes(b *testing.B) {
	for _, hosts := range []int{50, 500} {
		var text strings.Builder
		text.WriteString(manyRoutesHead)
		for h := range hosts {
			fmt.Fprintf(&text, "      - name: h%d\n        domains: [h%d.example.com]\n        routes:\n", h, h)
			for r := range 50 {
				fmt.Fprintf(&text, "        - {match: {prefix: /hooks/%d/}, route: {cluster: application}}\n", r)
			}
		}
		file := audit.File{Name: "envoy.yaml", Data: []byte(text.String())}
		b.Run(fmt.Sprint(hosts*50), func(b *testing.B) {
			for b.Loop() {
				audit.Audit([]audit.File{file}, audit.Options{})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*hosts*50), "ns/route")
		})
	}
}

const manyRoutesHead = `name: envoy.filters.network.http_connection_manager
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  stat_prefix: webhooks
  http_filters:
    - name: envoy.filters.http.ext_authz
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
        grpc_service: {envoy_grpc: {cluster_name: hookbastion}, timeout: 1s}
    - name: code
      typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}
    - name: token
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
        providers: {p: {issuer: x, clear_route_cache: true, claim_to_headers: [{header_name: x-claim, claim_name: sub}]}}
    - name: envoy.filters.http.router
      typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  route_config:
    virtual_hosts:
`
