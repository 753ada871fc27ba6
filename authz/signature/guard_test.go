package signature_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// Characters that are moved from one part to the next make the same content, and
// are refused: each row is a true delivery and the same signature over the same
// text, divided otherwise.
func TestContentIsDividedInOneWay(t *testing.T) {
	url, body := signature.Part{Kind: signature.URL, RFC3986: true}, signature.Part{Kind: signature.Body, WantsJSON: true}
	id := signature.Part{Kind: signature.HeaderValue, Text: "x-id", Charset: signature.IDChars}
	date := signature.Part{Kind: signature.HeaderValue, Text: "x-date", Charset: signature.DateChars}
	nonce := signature.Part{Kind: signature.HeaderValue, Text: "x-nonce", Charset: signature.DigitChars}
	events := signature.Part{Kind: signature.Form, Names: []string{"events"}, WantsJSON: true}
	stamp, free := signature.Part{Kind: signature.Timestamp}, signature.Part{Kind: signature.Body}
	at := func(unit signature.Unit, parts ...signature.Part) func(*signature.Config) {
		return func(c *signature.Config) {
			c.Content, c.Time = parts, signature.Time{Header: "x-time", Unit: unit}
		}
	}
	const base, zulu = "https://hooks.example.com", "2026-11-29T00:00:00Z"
	form := func(text string) sent { return sent{target: "/a?t=15", contentType: formType, body: text} }
	headers := func(body string, pairs ...string) sent {
		s := sent{target: "/a", contentType: jsonType, body: body}
		for i := 0; i < len(pairs); i += 2 {
			s.headers = append(s.headers, [2]string{pairs[i], pairs[i+1]})
		}
		return s
	}
	for name, c := range map[string]struct {
		change func(*signature.Config)
		signed string
		good   sent
		bad    []sent
	}{
		"URL, body": {withContent(url, body), base + `/a?x=1[{"a":1},{"b":2}]`, sent{target: "/a?x=1", body: `[{"a":1},{"b":2}]`}, []sent{
			{target: `/a?x=1[{"a":1},`, body: `{"b":2}]`}, {target: `/a?x=1[{"a":1},{"b":2}]`}, {target: "/a", body: `?x=1[{"a":1},{"b":2}]`},
			{target: "/a?x=", body: `1[{"a":1},{"b":2}]`},
		}},
		"body, URL": {withContent(body, url), `{"u":"` + base + `/a?"}` + base + "/a", sent{target: "/a", body: `{"u":"` + base + `/a?"}`}, []sent{
			{target: `/a?"}` + base + "/a", body: `{"u":"`},
		}},
		"body, date": {withContent(body, date), `{"a":[1]}Tue, 14 Apr 2026 03:50:12 GMT`, headers(`{"a":[1]}`, "x-date", "Tue, 14 Apr 2026 03:50:12 GMT"), []sent{
			headers("", "x-date", `{"a":[1]}Tue, 14 Apr 2026 03:50:12 GMT`), headers(`{"a":[1]}Tue, 14 Apr 2026 `, "x-date", "03:50:12 GMT"),
			headers(`{"a":[1]`, "x-date", "}Tue, 14 Apr 2026 03:50:12 GMT"),
		}},
		"id, time, body": {at(signature.RFC3339, id, stamp, free), "1c-2d" + zulu + `{"text":"` + zulu + `[1]"}`, headers(`{"text":"`+zulu+`[1]"}`, "x-id", "1c-2d", "x-time", zulu), []sent{
			headers(`[1]"}`, "x-id", "1c-2d"+zulu+`{"text":"`, "x-time", zulu),
		}},
		"time, body": {at(signature.Seconds, stamp, free), "17955000001[]", headers("1[]", "x-time", "1795500000"), []sent{
			headers("[]", "x-time", "17955000001"), headers("01[]", "x-time", "179550000"),
		}},
		"body, time": {at(signature.Milliseconds, free, stamp), "[]11795500000000", headers("[]1", "x-time", "1795500000000"), []sent{
			headers("[]11", "x-time", "795500000000"), headers("[]", "x-time", "11795500000000"),
		}},
		"URL, nonce": {withContent(signature.Part{Kind: signature.URL, WithoutQuery: true, NoDigitLast: true}, nonce), base + "/a12345", headers("", "x-nonce", "12345"), []sent{
			{target: "/a1", headers: [][2]string{{"x-nonce", "2345"}}}, {target: "/a1234?x", headers: [][2]string{{"x-nonce", "5"}}},
		}},
		"URL, one field": {withContent(url, events), base + "/a?t=15events[1]", form("events=%5B1%5D"), []sent{
			{target: "/a?t=1", contentType: formType, body: "5=&events=%5B1%5D"}, {target: "/a", contentType: formType, body: "%3Ft%3D15=&events=%5B1%5D"},
			{target: "/a?t=15events[1]", contentType: formType}, {target: "/a?t=15events", contentType: formType, body: "%5B1%5D"}, form("event=s%5B1%5D"),
		}},
	} {
		h := several(t, c.change)
		if open := h.Config().Open(); len(open) > 0 {
			t.Errorf("%s: %v are not told apart", name, open)
		}
		judge := func(s sent) (authz.Reason, *authz.Call) {
			req := s.request()
			req.Set("x-sig", macOf(c.signed))
			return run(h, req)
		}
		if reason, call := judge(c.good); reason != authz.OK || call.Fingerprint.IsZero() || !h.Config().SignsBody() == (call.Proof == authz.ProofSignature) {
			t.Errorf("%s: %s, proof %s", name, reason, call.Proof)
		}
		for _, bad := range c.bad {
			if reason, call := judge(bad); reason != authz.SignatureMalformed && reason != authz.TimestampMalformed || call.Proof != authz.ProofNone || !call.Fingerprint.IsZero() {
				t.Errorf("%s as %s %v %q: %s", name, bad.target, bad.headers, bad.body, reason)
			}
		}
	}
}

// Without guards the same contents are known to be open.
func TestOpenContents(t *testing.T) {
	url, body, form := signature.Part{Kind: signature.URL}, signature.Part{Kind: signature.Body}, signature.Part{Kind: signature.Form}
	stamp, dot := signature.Part{Kind: signature.Timestamp}, signature.Part{Kind: signature.Literal, Text: "."}
	header := func(s signature.Charset) signature.Part {
		return signature.Part{Kind: signature.HeaderValue, Text: "x-id", Charset: s}
	}
	strict, json := signature.Part{Kind: signature.URL, RFC3986: true}, signature.Part{Kind: signature.Body, WantsJSON: true}
	pin := signature.Pin{Query: true, Path: true}
	for _, c := range []struct {
		name  string
		parts []signature.Part
		pin   signature.Pin
		open  string
	}{
		{"url, body", []signature.Part{url, body}, signature.Pin{}, "url, body"},
		{"url, JSON", []signature.Part{url, json}, signature.Pin{}, "url, body"},
		{"strict url, body", []signature.Part{strict, body}, signature.Pin{}, "url, body"},
		{"strict url, JSON", []signature.Part{strict, json}, signature.Pin{}, ""},
		{"strict url, JSON, header", []signature.Part{strict, json, header(signature.AnyChars)}, signature.Pin{}, "url, body, x-id"},
		{"header, dot, body", []signature.Part{header(signature.AnyChars), dot, body}, signature.Pin{}, "x-id, body"},
		{"token, dot, body", []signature.Part{header(signature.TokenChars), dot, body}, signature.Pin{}, ""},
		{"id, dot, body", []signature.Part{header(signature.IDChars), dot, body}, signature.Pin{}, "x-id, body"},
		{"token, time, body", []signature.Part{header(signature.TokenChars), stamp, body}, signature.Pin{}, "x-id, timestamp, body"},
		{"time, token, body", []signature.Part{stamp, header(signature.TokenChars), body}, signature.Pin{}, "x-id, body"},
		{"url, form", []signature.Part{url, form}, signature.Pin{}, "url, form parameters"},
		{"pinned url, form", []signature.Part{url, form}, pin, ""},
		{"url with a pinned query, form", []signature.Part{url, form}, signature.Pin{Query: true}, "url, form parameters"},
		{"body, body", []signature.Part{body, body}, signature.Pin{}, "body, body"},
	} {
		config := signature.Config{Content: c.parts, Pin: c.pin, Time: signature.Time{Header: "x-time", Unit: signature.Seconds}}
		if got := strings.Join(config.Open(), ", "); got != c.open {
			t.Errorf("%s: open %q, want %q", c.name, got, c.open)
		}
	}
}

// A pinned query is the whole query, but for a digest of the body.
func TestPinnedQueries(t *testing.T) {
	const base, mark = "https://hooks.example.com", "&sum="
	sum := digest("{}")
	for _, c := range []struct {
		pin, target, contentType, body, form string
		want                                 authz.Reason
	}{
		{"t=15", "/a?t=15", formType, "a=1", "a1", authz.OK},
		{"t=15", "/a?t=15" + mark + sum, jsonType, "{}", "", authz.OK},
		{"", "/a", formType, "a=1", "a1", authz.OK},
		{"", "/a?sum=" + sum, jsonType, "{}", "", authz.OK},
		{"t=15", "/a?t=1", formType, "a=1", "a1", authz.SignatureMalformed},
		{"t=15", "/a?t=15&u=1", formType, "a=1", "a1", authz.SignatureMalformed},
		{"t=15", "/a", formType, "a=1", "a1", authz.SignatureMalformed},
		{"", "/a?", formType, "a=1", "a1", authz.SignatureMalformed},
		{"", "/a?t", formType, "a=1", "a1", authz.SignatureMalformed},
		// The digest of a form was taken away, to stand in a field.
		{"t=15", "/a?t=15", formType, "%26sum%3D" + sum + "=&a=1", "&sum=" + sum + "a1", authz.SignatureMalformed},
	} {
		h := several(t, func(config *signature.Config) {
			config.Content = []signature.Part{{Kind: signature.URL}, {Kind: signature.Form, Distinct: true}}
			config.BodyDigest = signature.BodyDigest{Query: "sum", Hash: signature.SHA256, Encoding: signature.Hex}
			config.Pin = signature.Pin{Query: true, Path: true, Value: c.pin}
		})
		req := sent{target: c.target, contentType: c.contentType, body: c.body}.request()
		req.Set("x-sig", macOf(base+c.target+c.form))
		if reason, call := run(h, req); reason != c.want || reason == authz.OK && call.Proof != authz.ProofSignature {
			t.Errorf("%s of %s %s: %s (%s), want %s", c.pin, c.target, c.body, reason, call.Proof, c.want)
		}
	}
}

// Plivo's sorted query is signed decoded, so that one parameter could be sent as
// two, or two as one.
func TestPlivoQueriesAreReadInOneWay(t *testing.T) {
	h := several(t, withContent(signature.Part{Kind: signature.PlivoV3}))
	const base = "https://hooks.example.com/a?"
	for _, c := range []struct {
		method, target, body, signed string
		want                         authz.Reason
	}{
		{"POST", "/a?a=1&b=2", "F=x", "a=1&b=2.Fx", authz.OK},
		{"POST", "/a?a=1%26b%3D2", "F=x", "a=1&b=2.Fx", authz.SignatureMalformed},
		{"POST", "/a?a%3D1%26b=2", "F=x", "a=1&b=2.Fx", authz.SignatureMalformed},
		{"POST", "/a?a=1&b=2.Fx", "", "a=1&b=2.Fx", authz.SignatureMalformed},
		{"GET", "/a?Text=Tom%26Jerry&To=1.5", "", "Text=Tom&Jerry&To=1.5", authz.OK},
		{"GET", "/a?Text=x%26From%3D2", "", "Text=x&From=2", authz.OK}, // which is not sorted
		{"GET", "/a?Text=x%26Z%3D2", "", "Text=x&Z=2", authz.SignatureMalformed},
		{"POST", "/a?a=1", "%3FF=x", "a=1.?Fx", authz.SignatureMalformed},
	} {
		s := sent{method: c.method, target: c.target, body: c.body}
		if c.body != "" {
			s.contentType = formType
		}
		req := s.request()
		req.Set("x-sig", macOf(base+c.signed))
		if reason, call := run(h, req); reason != c.want || reason == authz.OK && call.Proof != authz.ProofPartial {
			t.Errorf("%s %s %s: %s, want %s", c.method, c.target, c.body, reason, c.want)
		}
	}
}

// The list of signed headers is signed itself, so that only values could hold what
// looks like the next header.
func TestContentfulHeadersAreReadInOneWay(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Content = []signature.Part{{Kind: signature.Contentful}, {Kind: signature.Body}}
		c.Time = signature.Time{Header: "x-contentful-timestamp", Unit: signature.Milliseconds}
	})
	const list, stamp = "x-contentful-signed-headers,x-contentful-timestamp,x-name,x-topic", "1795500000000"
	signed := "POST\n/a\nx-contentful-signed-headers:" + list + ";x-contentful-timestamp:" + stamp + ";x-name:%s;x-topic:%s\n{}"
	for _, c := range []struct {
		name, topic, asName, asTopic string // as they were signed, and as they are sent
		want                         authz.Reason
	}{
		{"n; q=1", "t", "n; q=1", "t", authz.OK},
		{"n", "t;x-name:m", "n", "t;x-name:m", authz.OK}, // names are sorted, so that this is no header
		{"n", "y;x-topic:t", "n;x-topic:y", "t", authz.SignatureMalformed},
		{"n;x-topic:y", "t", "n", "y;x-topic:t", authz.OK}, // the one reading of this text
	} {
		req := sent{target: "/a", contentType: jsonType, body: "{}", headers: [][2]string{
			{"x-contentful-signed-headers", list}, {"x-contentful-timestamp", stamp}, {"x-name", c.asName}, {"x-topic", c.asTopic},
		}}.request()
		req.Set("x-sig", macOf(fmt.Sprintf(signed, c.name, c.topic)))
		if reason, _ := run(h, req); reason != c.want {
			t.Errorf("%q, %q sent as %q, %q: %s, want %s", c.name, c.topic, c.asName, c.asTopic, reason, c.want)
		}
	}
}
