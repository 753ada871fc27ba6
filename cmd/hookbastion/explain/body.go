package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy"
)

// compressedHint says why the signature of a compressed body may not hold.
func compressedHint(table *authz.Table, req *authz.Request, m envoy.Mapping, now time.Time) []string {
	coding, n := req.Headers.Lookup("content-encoding")
	switch {
	case n == 0 || strings.EqualFold(string(coding), "identity"):
		return nil
	case !m.Decompressed && signedBefore(table, req, m.MaxRequestBytes, now):
		return []string{fmt.Sprintf("the body is compressed (content-encoding %.40q), and the signature was made before that: "+
			"put a decompressor before the filter and set envoy.decompressed: true; see docs/envoy.md", coding)}
	default:
		return []string{fmt.Sprintf("the body is compressed (content-encoding %.40q): a provider that signs before it compresses needs a decompressor before the service; see docs/envoy.md", coding)}
	}
}

// signedBefore reports whether the request would pass with its body
// decompressed.
func signedBefore(table *authz.Table, req *authz.Request, limit int64, now time.Time) bool {
	other := *req
	other.Headers = slices.Clone(req.Headers)
	cli.Inflate(&other, limit)
	var d authz.Decision
	table.Decide(context.Background(), &other, now, &d)
	return d.Reason.Allows()
}
