package envoy

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/source"
)

// rawHeaders is the form with encode_raw_headers, from pairs of name and value.
func rawHeaders(pairs ...string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for i := 0; i < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return m
}

// httpCheck is a CheckRequest of a POST with these parts filled in.
func httpCheck(http *authv3.AttributeContext_HttpRequest) *authv3.CheckRequest {
	http.Method, http.Path, http.Host = "POST", "/hook", "hooks.example.com"
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: http}}}
}

// told is a call with one header in its metadata, once for each value.
type told struct {
	context.Context
	name   string
	values []string
}

func (c told) Values(name string) []string {
	if name != c.name {
		return nil
	}
	return c.values
}

func (c told) Peer() string { return "192.0.2.1" }

func (c told) Only(name string) string {
	if values := c.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// read reads the message in chunks of 7 bytes, and compares the request with
// the one of the slow way.
func read(t testing.TB, p Mapping, check *authv3.CheckRequest) *mapped {
	t.Helper()
	return readOf(t, Plain(t.Context()), p, check)
}

// readOf is read for a call with metadata.
func readOf(t testing.TB, call Caller, p Mapping, check *authv3.CheckRequest) *mapped {
	t.Helper()
	encoded, err := proto.Marshal(check)
	if err != nil {
		t.Fatal(err)
	}
	m := &mapped{}
	if err := p.read(call, cut(encoded, 7), m); err != nil {
		t.Fatal(err)
	}
	same(t, &m.Request, p.readDecoded(call, check))
	return m
}

func cut(message []byte, n int) [][]byte { return slices.Collect(slices.Chunk(message, n)) }

// same fails the test unless the requests are the same but for the chunks of
// the body, and for the order of headers with different names.
func same(t testing.TB, got, want *authz.Request) {
	t.Helper()
	text := func(r *authz.Request) string {
		headers := slices.Clone(r.Headers)
		slices.SortStableFunc(headers, func(a, b authz.Header) int { return bytes.Compare(a.Name, b.Name) })
		return fmt.Sprintf("%q %q %q %q %q %q %s %v\n%v %d %q %q %q\n%d %d %q\n%q", r.Method, r.Host, r.Path, r.Scheme, r.Webhook, r.RequestID, r.Source,
			r.Malformed, r.Transport.TLS, r.Transport.Version, r.Transport.Principal, r.Transport.Certificate, r.Transport.ForwardedCert, r.Body.State, r.Body.Size, bytes.Join(r.Body.Segments, nil), headers)
	}
	if got, want := text(got), text(want); got != want {
		t.Fatalf("read\n%s\nwant\n%s", got, want)
	}
}

func TestBothFormsOfHeaders(t *testing.T) {
	raw := rawHeaders("x-sig", "a\xff", "x-other", "1", "X-Sig", "b")
	raw.Headers = append(raw.Headers, &corev3.HeaderValue{Key: "x-value", Value: "v"}, &corev3.HeaderValue{Key: "x-empty"})
	m := read(t, Mapping{}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: raw, Headers: map[string]string{"x-sig": "not this"}}))
	want := []string{"x-sig=a\xff", "x-other=1", "x-sig=b", "x-value=v", "x-empty="}
	var got []string
	for _, h := range m.Headers {
		got = append(got, string(h.Name)+"="+string(h.Value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	m = read(t, Mapping{}, httpCheck(&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"X-Sig": "a,b", "x-request-id": "id"}}))
	if v, n := m.Headers.Lookup("x-sig"); string(v) != "a,b" || n != 1 || string(m.RequestID) != "id" {
		t.Errorf("the form as a map: %v", m.Headers)
	}
}

func TestSources(t *testing.T) {
	tcp := func(address string) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: address}}}
	}
	for want, address := range map[string]*corev3.Address{
		"198.51.100.7": tcp("198.51.100.7"), "203.0.113.9": tcp("::ffff:203.0.113.9"), "2001:db8::1": tcp("2001:db8::1"),
		"invalid IP": tcp("hooks.example.com"), "invalid IP ": tcp(""), "invalid IP  ": nil, "invalid IP   ": {},
		"invalid IP    ":  {Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/198.51.100.7"}}},
		"invalid IP     ": {Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{}}},
	} {
		check := httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders("x-forwarded-for", "192.0.2.1")})
		check.Attributes.Source = &authv3.AttributeContext_Peer{Address: address}
		if m := read(t, Mapping{}, check); m.Source.String() != strings.TrimRight(want, " ") {
			t.Errorf("%v: %s", address, m.Source)
		}
	}
}

// TestTransportOfAProxy: of a peer that is a proxy, its own word counts, and of
// any other what Envoy saw.
func TestTransportOfAProxy(t *testing.T) {
	p := Mapping{Source: source.Resolver{TrustedCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, Edge: Edge{TLSVersionHeader: "x-v"}}
	headers := []string{"x-forwarded-proto", "https", "x-forwarded-client-cert", "URI=a", "x-v", "TLSv1.3"}
	for name, c := range map[string]struct {
		address string
		sni     string
		headers []string
		want    authz.Transport
	}{
		"a proxy":            {"10.0.0.1", "h", headers, authz.Transport{TLS: true, ForwardedCert: authz.View("URI=a")}},
		"a proxy, plaintext": {"10.0.0.1", "h", append([]string{"x-forwarded-proto", "http"}, headers[2:]...), authz.Transport{}},
		"a proxy, silent":    {"10.0.0.1", "h", nil, authz.Transport{}},
		"a stranger":         {"192.0.2.1", "", headers, authz.Transport{TLS: true, Version: tls.VersionTLS13, Principal: authz.View("p"), Certificate: authz.View("c")}},
		"a pipe":             {"", "h", headers, authz.Transport{TLS: true, Version: tls.VersionTLS13, Principal: authz.View("p"), Certificate: authz.View("c")}},
	} {
		check := httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders(c.headers...)})
		check.Attributes.Source = &authv3.AttributeContext_Peer{Principal: "p", Certificate: "c", Address: &corev3.Address{
			Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: c.address}},
		}}
		check.Attributes.TlsSession = &authv3.AttributeContext_TLSSession{Sni: c.sni}
		if got, want := fmt.Sprintf("%v", read(t, p, check).Transport), fmt.Sprintf("%v", c.want); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	check := httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders(headers...)})
	check.Attributes.TlsSession = &authv3.AttributeContext_TLSSession{}
	if read(t, p, check).Transport.TLS {
		t.Error("an empty session proves TLS")
	}
}

func TestMessagesThatAreNoRequest(t *testing.T) {
	for _, check := range []*authv3.CheckRequest{
		nil, {}, {Attributes: &authv3.AttributeContext{}},
		{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}},
		{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{}}}},
		{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "POST", Path: "*", Host: "h", HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{nil}},
		}}}},
		{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "POST", Path: "http://h/"}}}},
	} {
		if m := read(t, Mapping{}, check); !m.Malformed {
			t.Errorf("%v is a request", check)
		}
	}
}

// Nothing of one request may be seen in the next.
func TestMemoryIsUsedAgainAndEmptied(t *testing.T) {
	m := &mapped{}
	call := Plain(t.Context())
	p := Mapping{MaxRequestBytes: 100}
	big := httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders("x-request-id", "first"), Body: strings.Repeat("x", 1<<20)})
	big.Attributes.ContextExtensions = map[string]string{WebhookExtension: "hook"}
	for _, check := range []*authv3.CheckRequest{big, httpCheck(&authv3.AttributeContext_HttpRequest{}), {}} {
		encoded, err := proto.Marshal(check)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.read(call, cut(encoded, 1<<14), m); err != nil {
			t.Fatal(err)
		}
		same(t, &m.Request, p.readDecoded(call, check))
	}
	if err := p.read(call, [][]byte{{0xff}}, m); err == nil || !m.Malformed || len(m.Path) != 0 {
		t.Errorf("%v, left over: %+v", err, m.Request)
	}
}

// What an answer could not remove must not get to the upstream.
func TestHeadersThatCannotBeRemoved(t *testing.T) {
	many := func(n int) (pairs []string) {
		for i := range n {
			pairs = append(pairs, fmt.Sprintf("x-hookbastion-%d", i), "forged")
		}
		return pairs
	}
	for _, c := range []struct {
		name      string
		headers   []string
		malformed bool
	}{
		{"as many as can be", many(maxRemoved), false},
		{"one more", many(maxRemoved + 1), true},
		{"one name too often", slices.Repeat([]string{"x_hookbastion_verified", "forged"}, maxRemoved+1), true},
		{"a long name", []string{"x-hookbastion-" + strings.Repeat("a", 300), "forged"}, true},
		{"no name of a header", []string{"x-hookbastion-a:b", "forged"}, true},
		{"our own name, often", slices.Repeat([]string{HeaderVerified, "forged"}, 1000), false},
		{"a name that is not ours", []string{"x-hookbastion", "a", "x-hookbastio-n", "a", strings.Repeat("x", 300), "a"}, false},
	} {
		if m := read(t, Mapping{}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders(c.headers...)})); m.Malformed != c.malformed {
			t.Errorf("%s: malformed %v", c.name, m.Malformed)
		}
	}
	for name, ours := range map[string]bool{
		"x-hookbastion-verified": true, "x_hookbastion_verified": true, "x-hookbastion_verified": true,
		"x.hookbastion.verified": true, "x!hookbastion~verified": true, "x-hookbastion-": true,
		"x-hookbastion": false, "xahookbastion-verified": false, "x-hookbastion1verified": false, "y-hookbastion-verified": false,
	} {
		if ownHeader([]byte(name)) != ours {
			t.Errorf("%s: %v", name, !ours)
		}
	}
}
