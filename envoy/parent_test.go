package envoy_test

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/grpc/metadata"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// call asks a service without Envoy, with that metadata.
func call(t *testing.T, x *traced, check *authv3.CheckRequest, md ...string) {
	t.Helper()
	recorder, err := telemetry.New(x.config)
	if err != nil {
		t.Fatal(err)
	}
	service := &envoy.Service{Source: fixed{policies(t)}, Mapping: envoy.Mapping{MaxRequestBytes: 1000}, Telemetry: recorder}
	_, conn := directTo(t, service, time.Second)
	ctx := metadata.AppendToOutgoingContext(t.Context(), md...)
	if _, err := authv3.NewAuthorizationClient(conn).Check(ctx, check); err != nil {
		t.Fatal(err)
	}
}

func TestParentsInTheMetadata(t *testing.T) {
	const trace, span, other = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
	for name, c := range map[string]struct {
		md            []string
		trace, parent string
		state         string
	}{
		"W3C":                 {md: []string{"traceparent", "00-" + trace + "-" + span + "-01", "tracestate", "a=1,b=2"}, trace: trace, parent: span, state: "a=1,b=2"},
		"W3C before B3":       {md: []string{"traceparent", "00-" + trace + "-" + span + "-01", "b3", trace + "-" + other + "-1"}, trace: trace, parent: span},
		"B3 in one":           {md: []string{"b3", trace + "-" + span + "-1-" + other}, trace: trace, parent: span},
		"B3 debug":            {md: []string{"b3", trace + "-" + span + "-d"}, trace: trace, parent: span},
		"B3 in several":       {md: []string{"x-b3-traceid", trace, "x-b3-spanid", span, "x-b3-sampled", "1"}, trace: trace, parent: span},
		"B3 with 64 bits":     {md: []string{"x-b3-traceid", trace[16:], "x-b3-spanid", span, "x-b3-flags", "1"}, trace: "0000000000000000" + trace[16:], parent: span},
		"malformed, then B3":  {md: []string{"traceparent", "00-zz-yy-01", "b3", trace + "-" + span + "-1"}, trace: trace, parent: span},
		"malformed":           {md: []string{"traceparent", "00-" + trace + "-" + span}},
		"twice":               {md: []string{"traceparent", "00-" + trace + "-" + span + "-01", "traceparent", "00-" + trace + "-" + other + "-01"}},
		"B3, a state alone":   {md: []string{"b3", "0"}},
		"a bad tracestate":    {md: []string{"traceparent", "00-" + trace + "-" + span + "-01", "tracestate", "=,="}, trace: trace, parent: span},
		"nothing of the kind": {},
	} {
		t.Run(name, func(t *testing.T) {
			x := startTraced(t, "")
			req, _ := http.NewRequest(http.MethodPost, "https://h/github", nil)
			call(t, x, checkRequest(req, nil, http.Header{"Traceparent": {"00-11111111111111111111111111111111-2222222222222222-01"}}), c.md...)
			s := x.one(t)
			id := hex.EncodeToString(s.GetTraceId())
			if c.trace == "" && (id == trace || strings.HasPrefix(id, "1111")) || c.trace != "" && id != c.trace ||
				hex.EncodeToString(s.GetParentSpanId()) != c.parent || s.GetTraceState() != c.state {
				t.Errorf("trace %s, parent %x, state %q", id, s.GetParentSpanId(), s.GetTraceState())
			}
		})
	}
	for name, md := range map[string][]string{
		"W3C": {"traceparent", "00-" + trace + "-" + span + "-00"},
		"B3":  {"b3", trace + "-" + span + "-0"},
	} {
		t.Run(name+", not sampled", func(t *testing.T) {
			x := startTraced(t, "")
			req, _ := http.NewRequest(http.MethodPost, "https://h/github", nil)
			call(t, x, checkRequest(req, nil, nil), md...)
			if own := x.own(t); len(own) != 0 {
				t.Errorf("%d spans", len(own))
			}
		})
	}
}

// A collector takes nothing that is not UTF-8, and one bad text must not lose a
// batch.
func TestStrangersTextInSpans(t *testing.T) {
	x := startTraced(t, "")
	req, _ := http.NewRequest(http.MethodPost, "https://h/github", nil)
	check := checkRequest(req, nil, nil)
	h := check.Attributes.Request.Http
	h.Method, h.Path = "PO\nST", "/a\x1b[2J\u202e"+strings.Repeat("é", 5000)+"?token=a-token-nobody-shows"
	h.HeaderMap.Headers = append(h.HeaderMap.Headers, &corev3.HeaderValue{Key: "x-request-id", RawValue: []byte("id\xff\x00")})
	call(t, x, check)
	s := x.one(t)
	got := values(s.GetAttributes())
	for key, value := range got {
		if !utf8.ValidString(value) || len(value) > 3000 || strings.ContainsAny(value, "\x00\x1b\n\u202e") || strings.Contains(value, "token") {
			t.Errorf("%s: %q", key, value)
		}
	}
	if !strings.HasPrefix(got[string(semconv.URLPathKey)], `/a\x1b[2J\u202eéé`) || got["hookbastion.request_id"] != `id\xff\x00` ||
		got[string(semconv.HTTPRequestMethodKey)] != "_OTHER" || got[string(semconv.HTTPRequestMethodOriginalKey)] != `PO\nST` {
		t.Errorf("%q", got)
	}
}
