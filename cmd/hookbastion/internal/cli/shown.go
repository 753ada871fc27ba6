package cli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
)

// maxInflateRatio is Envoy's own, where nothing else is configured.
const maxInflateRatio = 100

// AsEnvoyShows makes the body what Envoy would show of it, and says what of that
// rests on Envoy's configuration.
func AsEnvoyShows(table *authz.Table, req *authz.Request, m envoy.Mapping) []string {
	if req.Body.State != authz.BodyWhole {
		return nil
	}
	if _, lengths := req.Headers.Lookup("content-length"); req.Body.Len() == 0 && lengths == 0 && needsBody(table, req) {
		return []string{"the request has no body and no Content-Length: Envoy must say that it has ended, with " + envoy.RequestDuration +
			" in initial_metadata of the filter's grpc_service, or it is refused with " + authz.BodyNotForwarded.String()}
	}
	if _, codings := req.Headers.Lookup("content-encoding"); m.Decompressed && codings > 0 && req.Body.Len() > 0 {
		return Inflate(req, m.MaxRequestBytes)
	}
	return nil
}

// needsBody reports whether the request's webhook relies on the body. A handshake that
// proves nothing does without.
func needsBody(table *authz.Table, req *authz.Request) bool {
	found := table.Lookup(req)
	hook := found.Webhook
	return hook != nil && found.Asking != authz.AsksUnproven && slices.ContainsFunc(hook.Chain, func(check authz.Check) bool {
		limits, ok := check.(*authz.Limits)
		return ok && limits.BodySigned
	})
}

// Inflate does to a request what Envoy's gzip decompressor does. Of what it
// cannot read, the beginning stays.
func Inflate(req *authz.Request, limit int64) []string {
	coding, _ := req.Headers.Lookup("content-encoding")
	caching, _ := req.Headers.Lookup("cache-control")
	if strings.Contains(strings.ToLower(string(caching)), "no-transform") {
		return []string{"the body is judged as it came: Envoy decompresses nothing with cache-control: no-transform"}
	}
	if !strings.EqualFold(string(coding), "gzip") {
		return []string{fmt.Sprintf("explain does not undo Content-Encoding %.40q: the body is judged as it came", coding)}
	}
	packed := req.Body.Joined()
	body, err := gunzip(packed, limit)
	req.Headers = slices.DeleteFunc(req.Headers, func(h authz.Header) bool {
		return string(h.Name) == "content-encoding" || string(h.Name) == "content-length"
	})
	req.Body = authz.Body{Segments: [][]byte{body}, State: authz.BodyWhole, Size: int64(len(body))}
	if int64(len(body)) == limit {
		req.Body.State = authz.BodyCut // a full buffer
	}
	warnings := []string{"the body is judged decompressed, as envoy.decompressed says"}
	switch {
	case err != nil:
		warnings = append(warnings, "the body is no whole gzip stream: Envoy hands on its beginning")
	case len(body) > maxInflateRatio*len(packed):
		warnings = append(warnings, fmt.Sprintf("the body is more than %d times as long as its gzip stream: Envoy hands on its beginning, unless max_inflate_ratio says otherwise", maxInflateRatio))
	}
	return warnings
}

// gunzip reads one gzip stream, at most one byte more than the limit.
func gunzip(packed []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	return io.ReadAll(io.LimitReader(r, limit+1))
}
