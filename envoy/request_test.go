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

func (c told) Only(name string) string {
	if values := c.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// read reads the message in pieces of 7 bytes, and compares the request with
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

// same fails the test unless the requests are the same but for the pieces of
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

func TestBodiesAreWholeOnlyIfEverythingSaysSo(t *testing.T) {
	const limit = 10
	full, short := []byte("0123456789"), []byte("012")
	none := "-"
	for _, c := range []struct {
		name         string
		body         []byte
		mark, length string // "-": no such header
		size         int64
		want         authz.BodyState
	}{
		{"short with a length", short, "false", "3", 3, authz.BodyWhole},
		{"short without a length", short, "false", none, 3, authz.BodyWhole},
		{"exactly full with a length", full, "false", "10", 10, authz.BodyWhole},
		{"exactly full without a length", full, "false", none, 10, authz.BodyCut},
		{"over the limit without a length", append(full, 'x'), "false", none, 11, authz.BodyCut},
		{"marked as a part", short, "true", "3", 3, authz.BodyCut},
		{"a mark of another kind", short, "False", "3", 3, authz.BodyCut},
		{"an empty mark", short, "", "3", 3, authz.BodyCut},
		{"two marks", short, "twice", "3", 3, authz.BodyCut},
		{"two marks in one line", short, "false,false", "3", 3, authz.BodyCut},
		{"no mark", short, none, "3", 3, authz.BodyCut},
		{"a size that is larger", short, "false", "3", 4, authz.BodyCut},
		{"a size that is smaller", short, "false", "3", 2, authz.BodyCut},
		{"a size below zero", short, "false", "3", -1, authz.BodyCut},
		{"no size", short, "false", "3", 0, authz.BodyWhole},
		{"a length that is larger", short, "false", "4", 3, authz.BodyCut},
		{"a length that is smaller", short, "false", "2", 3, authz.BodyCut},
		{"a length of 0 with a body", short, "false", "0", 3, authz.BodyCut},
		{"empty with a mark", nil, "false", none, 0, authz.BodyWhole},
		{"empty, marked as a part", nil, "true", none, 0, authz.BodyCut},
		{"empty with a length", nil, none, "0", 0, authz.BodyWhole},
		{"empty with a size", nil, none, "0", 5, authz.BodyUnknown},
		{"not forwarded", nil, none, "5", 0, authz.BodyUnknown},
		{"not forwarded, with a mark", nil, "false", "5", 0, authz.BodyCut},
		{"not forwarded or empty", nil, none, none, 0, authz.BodyUnknown},
	} {
		var headers []string
		if c.mark == "twice" {
			headers = append(headers, partialBody, "false", partialBody, "false")
		} else if c.mark != none {
			headers = append(headers, partialBody, c.mark)
		}
		if c.length != none {
			headers = append(headers, "content-length", c.length)
		}
		m := read(t, Mapping{MaxRequestBytes: limit}, httpCheck(&authv3.AttributeContext_HttpRequest{
			HeaderMap: rawHeaders(headers...), RawBody: c.body, Size: c.size,
		}))
		if m.Malformed || m.Body.State != c.want || !bytes.Equal(bytes.Join(m.Body.Segments, nil), c.body) {
			t.Errorf("%s: state %d, want %d (malformed %v)", c.name, m.Body.State, c.want, m.Malformed)
		}
	}
}

// TestEmptyBodiesOfWhichEnvoySaysSo: without a length, a body that does not come
// is empty only where Envoy says that the request has ended, and has seen no
// byte of one.
func TestEmptyBodiesOfWhichEnvoySaysSo(t *testing.T) {
	const key = RequestDuration
	for _, c := range []struct {
		name   string
		key    string
		values []string
		size   int64
		length string // "-": no such header
		body   string
		want   authz.BodyState
	}{
		{"at once", key, []string{"0"}, 0, "-", "", authz.BodyWhole},
		{"after some time", key, []string{"12345"}, 0, "-", "", authz.BodyWhole},
		{"nothing said", key, nil, 0, "-", "", authz.BodyUnknown},
		{"no number", key, []string{"-"}, 0, "-", "", authz.BodyUnknown},
		{"true", key, []string{"true"}, 0, "-", "", authz.BodyUnknown},
		{"an empty value", key, []string{""}, 0, "-", "", authz.BodyUnknown},
		{"below zero", key, []string{"-1"}, 0, "-", "", authz.BodyUnknown},
		{"said twice", key, []string{"0", "0"}, 0, "-", "", authz.BodyUnknown},
		{"another header", "request-duration", []string{"0"}, 0, "-", "", authz.BodyUnknown},
		{"bytes of a body were seen", key, []string{"0"}, 5, "-", "", authz.BodyUnknown},
		{"unknown bytes of a body", key, []string{"0"}, -1, "-", "", authz.BodyUnknown},
		{"a length of some bytes", key, []string{"0"}, 0, "5", "", authz.BodyUnknown},
		{"a length of 0", key, []string{"0"}, 0, "0", "", authz.BodyWhole},
		{"a body without a mark", key, []string{"0"}, 3, "-", "abc", authz.BodyCut},
	} {
		var headers []string
		if c.length != "-" {
			headers = []string{"content-length", c.length}
		}
		call := told{t.Context(), c.key, c.values}
		m := readOf(t, call, Mapping{MaxRequestBytes: 10}, httpCheck(&authv3.AttributeContext_HttpRequest{
			HeaderMap: rawHeaders(headers...), Size: c.size, RawBody: []byte(c.body),
		}))
		if m.Body.State != c.want {
			t.Errorf("%s: state %d, want %d", c.name, m.Body.State, c.want)
		}
	}
	// What the sender writes is no metadata.
	m := read(t, Mapping{MaxRequestBytes: 10}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders(key, "0")}))
	if m.Body.State != authz.BodyUnknown {
		t.Errorf("a header of the request vouches: state %d", m.Body.State)
	}
}

// TestBodiesBehindADecompressor: only under the setting Envoy's count says
// nothing, and only where the sender's length does not either.
func TestBodiesBehindADecompressor(t *testing.T) {
	full, short := []byte("0123456789"), []byte("012")
	for _, c := range []struct {
		name          string
		body          []byte
		mark, length  string // "-": no such header
		size          int64
		want, without authz.BodyState
	}{
		{"fewer bytes came", full[:7], "false", "-", 5, authz.BodyWhole, authz.BodyCut},
		{"more bytes came", short, "false", "-", 27, authz.BodyWhole, authz.BodyCut},
		{"bytes came, and nothing is left", nil, "false", "-", 23, authz.BodyWhole, authz.BodyCut},
		{"a full buffer", full, "false", "-", 7, authz.BodyCut, authz.BodyCut},
		{"marked as a part", short, "true", "-", 27, authz.BodyCut, authz.BodyCut},
		{"no mark", short, "-", "-", 27, authz.BodyCut, authz.BodyCut},
		{"a length", short, "false", "3", 27, authz.BodyCut, authz.BodyCut},
		{"a length of what came", short, "false", "27", 27, authz.BodyCut, authz.BodyCut},
		{"not compressed", short, "false", "3", 3, authz.BodyWhole, authz.BodyWhole},
		{"not forwarded", nil, "-", "-", 27, authz.BodyUnknown, authz.BodyUnknown},
	} {
		var headers []string
		if c.mark != "-" {
			headers = append(headers, partialBody, c.mark)
		}
		if c.length != "-" {
			headers = append(headers, "content-length", c.length)
		}
		check := func() *authv3.CheckRequest {
			return httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders(headers...), RawBody: c.body, Size: c.size})
		}
		ended := told{t.Context(), RequestDuration, []string{"1"}}
		m := readOf(t, ended, Mapping{MaxRequestBytes: 10, Decompressed: true}, check())
		if m.Body.State != c.want || c.want == authz.BodyWhole && m.Body.Size != int64(len(c.body)) {
			t.Errorf("%s: state %d, want %d, size %d", c.name, m.Body.State, c.want, m.Body.Size)
		}
		if m = readOf(t, ended, Mapping{MaxRequestBytes: 10}, check()); m.Body.State != c.without {
			t.Errorf("%s, without the setting: state %d, want %d", c.name, m.Body.State, c.without)
		}
	}
}

func TestTextBodies(t *testing.T) {
	for _, c := range []struct {
		body string
		mode StringBody
		want authz.BodyState
	}{
		{`{"a":"é€😀"}`, StringBodyExact, authz.BodyWhole},
		{`{"a":"!"}`, StringBodyExact, authz.BodyChanged},
		{`{"a":1}`, StringBodyRefuse, authz.BodyChanged},
		{`{"a":"!"}`, StringBodyTrust, authz.BodyWhole},
		{`{"a":1}`, 9, authz.BodyChanged},
	} {
		n := int64(len(c.body))
		whole := rawHeaders(partialBody, "false", "content-length", fmt.Sprint(n))
		m := read(t, Mapping{MaxRequestBytes: 100, StringBody: c.mode}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: whole, Body: c.body, Size: n}))
		if m.Body.State != c.want || string(bytes.Join(m.Body.Segments, nil)) != c.body {
			t.Errorf("%s, mode %d: state %d, want %d", c.body, c.mode, m.Body.State, c.want)
		}
		cut := rawHeaders(partialBody, "true", "content-length", "1000")
		if m := read(t, Mapping{MaxRequestBytes: 100, StringBody: c.mode}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: cut, Body: c.body, Size: n})); m.Body.State != authz.BodyCut {
			t.Errorf("%s, cut, mode %d: state %d", c.body, c.mode, m.Body.State)
		}
	}
	both := read(t, Mapping{MaxRequestBytes: 100}, httpCheck(&authv3.AttributeContext_HttpRequest{Body: "a", RawBody: []byte("b")}))
	if !both.Malformed {
		t.Error("both kinds of body at once are no fault")
	}
}

func TestContentLengths(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "7": true, "007": true, strings.Repeat("9", 18): true,
		"": false, " 7": false, "7 ": false, "+7": false, "-7": false, "7,7": false, "7, 7": false, "0x7": false, "7.0": false, "٧": false,
		strings.Repeat("9", 19): false, strings.Repeat("0", 30): false,
	} {
		m := read(t, Mapping{MaxRequestBytes: 100}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders("content-length", text)}))
		if m.Malformed == ok {
			t.Errorf("%q: malformed %v", text, m.Malformed)
		}
	}
	twice := read(t, Mapping{}, httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders("content-length", "1", "content-length", "1")}))
	if !twice.Malformed {
		t.Error("two lengths are no fault")
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
