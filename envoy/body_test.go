package envoy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/hookbastion/hookbastion/authz"
)

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
