package signature_test

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what a provider signs
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// sent is a request with a body of some type.
type sent struct {
	method, target, contentType, body string
	headers                           [][2]string
}

func (s sent) request() *authz.Request {
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View("hooks.example.com"), Path: authz.View(s.target),
		Body: authz.Body{State: authz.BodyWhole},
	}
	if s.method != "" {
		req.Method = authz.View(s.method)
	}
	if s.body != "" {
		half := len(s.body) / 2 // a body comes in pieces
		req.Body.Segments = [][]byte{[]byte(s.body[:half]), []byte(s.body[half:])}
	}
	if s.contentType != "" {
		req.Headers = append(req.Headers, authz.Header{Name: authz.View("content-type"), Value: authz.View(s.contentType)})
	}
	for _, h := range s.headers {
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(h[0]), Value: authz.View(h[1])})
	}
	return req
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// macOf is the signature of content by the new key, computed without the code
// under test.
func macOf(content string) string {
	mac := hmac.New(sha256.New, keys()[0].Secret.Reveal())
	mac.Write([]byte(content))
	return hex.EncodeToString(mac.Sum(nil))
}

// digest is the SHA-256 of a body in hexadecimal.
func digest(body string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(body))) }

func withContent(parts ...signature.Part) func(*signature.Config) {
	return func(c *signature.Config) { c.Content = parts }
}

// What each kind of part signs, written out.
func TestPartsOfTheContent(t *testing.T) {
	url, form := signature.Part{Kind: signature.URL}, signature.Part{Kind: signature.Form}
	body := signature.Part{Kind: signature.Body}
	md5sum := md5.Sum([]byte("abc")) //nolint:gosec // see the import
	sha := sha256.Sum256([]byte("abc"))
	for _, c := range []struct {
		name   string
		change func(*signature.Config)
		sent   sent
		signed string // "" if it cannot be signed
	}{
		{"URL", withContent(url, body), sent{target: "/a%2Fb?x=%41&y", body: "{}"}, "https://hooks.example.com/a%2Fb?x=%41&y{}"},
		{"URL without query", withContent(signature.Part{Kind: signature.URL, WithoutQuery: true}, body), sent{target: "/a?x", body: "{}"}, "https://hooks.example.com/a{}"},
		{"URL, some characters decoded", withContent(signature.Part{Kind: signature.URL, Decoded: ":/?@"}, body),
			sent{target: "/%3A%3a%2f%25%41?%40%3", body: "{}"}, "https://hooks.example.com/::/%25%41?@%3{}"},
		{"path", withContent(signature.Part{Kind: signature.Path}, body), sent{target: "/a?x", body: "{}"}, "/a?x{}"},
		{"path without query", withContent(signature.Part{Kind: signature.Path, WithoutQuery: true}, body), sent{target: "/a?x", body: "{}"}, "/a{}"},
		{"form", withContent(url, form), sent{target: "/a", contentType: formType, body: "b=2&a=1&b=1&b=2&c=%26+x&empty"}, "https://hooks.example.com/a" + "a1b1b2b2c& xempty"},
		{"form and nothing else", withContent(form), sent{target: "/a", contentType: formType, body: "b=2&5=1&=v"}, "v51b2"},
		{"form with no name", withContent(url, form), sent{target: "/a", contentType: formType, body: "b=2&=v"}, "https://hooks.example.com/avb2"},
		{"form with a name that could end a URL", withContent(url, form), sent{target: "/a", contentType: formType, body: "%3Fx=1&b=2"}, "https://hooks.example.com/a?x1b2"},
		{"form, distinct", withContent(url, signature.Part{Kind: signature.Form, Distinct: true}),
			sent{target: "/a", contentType: formType + "; charset=UTF-8", body: "b=2&b=1&b=2"}, "https://hooks.example.com/ab1b2"},
		{"form that is none", withContent(url, form), sent{target: "/a", contentType: formType, body: "a=%zz"}, ""},
		{"no form, empty body", withContent(url, form), sent{target: "/a?x=1"}, "https://hooks.example.com/a?x=1"},
		{"one field", withContent(signature.Part{Kind: signature.FormField, Text: "payload"}),
			sent{target: "/a", contentType: formType, body: "payload=%7B%22a%22%3A1%7D"}, `{"a":1}`},
		{"one field, JSON", withContent(signature.Part{Kind: signature.FormField, Text: "payload"}), sent{target: "/a", contentType: jsonType, body: `{"a":1}`}, `{"a":1}`},
		{"one field of the query", withContent(signature.Part{Kind: signature.FormField, Text: "payload"}), sent{method: "GET", target: "/a?t=1&payload=x"}, "x"},
		{"one field and another", withContent(signature.Part{Kind: signature.FormField, Text: "payload"}),
			sent{target: "/a", contentType: formType, body: "payload=x&more=1"}, ""},
		{"one field twice", withContent(signature.Part{Kind: signature.FormField, Text: "payload"}),
			sent{target: "/a", contentType: formType, body: "payload=x&payload=x"}, ""},
		{"body as JSON string", withContent(signature.Part{Kind: signature.BodyString}),
			sent{target: "/a", body: "a\"\\\n\t\b\f\r\x01\x7f é\u2028<"}, "\"a\\\"\\\\\\n\\t\\b\\f\\r\\u0001\x7f é\u2028<\""},
		{"body as JSON string, no UTF-8", withContent(signature.Part{Kind: signature.BodyString}), sent{target: "/a", body: "\xff"}, ""},
		{"digest, raw", withContent(signature.Part{Kind: signature.BodyHash}), sent{target: "/a", body: "abc"}, string(sha[:])},
		{"digest, MD5 in base64", withContent(signature.Part{Kind: signature.BodyHash, Digest: signature.Digest{Hash: signature.DigestMD5, Encoding: signature.Base64}}),
			sent{target: "/a", body: "abc"}, base64.StdEncoding.EncodeToString(md5sum[:])},
		{"digest of nothing", withContent(signature.Part{Kind: signature.BodyHash, Digest: signature.Digest{Encoding: signature.Hex, EmptyAsNothing: true}}), sent{target: "/a"}, ""},
		{"JSON", withContent(signature.Part{Kind: signature.JSON, Text: "a.b"}, body), sent{target: "/a", body: `{"a":{"b":"x"}}`}, `x{"a":{"b":"x"}}`},
		{"JSON, a number", withContent(signature.Part{Kind: signature.JSON, Text: "n"}, body), sent{target: "/a", body: `{"n":1.50}`}, `1.50{"n":1.50}`},
		{"JSON that lacks it", withContent(signature.Part{Kind: signature.JSON, Text: "a.b"}, body), sent{target: "/a", body: `{"a":{}}`}, ""},
		{"JSON that has it twice", withContent(signature.Part{Kind: signature.JSON, Text: "a"}, body), sent{target: "/a", body: `{"a":"1","a":"2"}`}, ""},
		{"sorted query", withContent(signature.Part{Kind: signature.SortedQuery}, body), sent{target: "/a?b=2&a=%20&b=1&c", body: "{}"}, "a=+&b=2&b=1&c={}"},
		{"Plivo, nothing", withContent(signature.Part{Kind: signature.PlivoV3}), sent{method: "GET", target: "/a"}, "https://hooks.example.com/a"},
		{"Plivo, query", withContent(signature.Part{Kind: signature.PlivoV3}), sent{method: "GET", target: "/a?b=2&a=%41&b=1"}, "https://hooks.example.com/a?a=A&b=1&b=2"},
		{"Plivo, query and form", withContent(signature.Part{Kind: signature.PlivoV3}),
			sent{target: "/a?b=2", contentType: formType, body: "d=4&c=3"}, "https://hooks.example.com/a?b=2.c3d4"},
		{"Plivo, form", withContent(signature.Part{Kind: signature.PlivoV3}), sent{target: "/a", contentType: formType, body: "d=4&c=3"}, "https://hooks.example.com/a?c3d4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := several(t, c.change)
			req := c.sent.request()
			req.Set("x-sig", macOf(c.signed))
			reason, call := run(h, req)
			switch {
			case c.signed == "" && c.name != "digest of nothing", strings.HasPrefix(c.name, "form with"):
				if reason != authz.SignatureMalformed {
					t.Errorf("%s", reason)
				}
			case reason != authz.OK || call.Fingerprint.IsZero():
				t.Errorf("%s", reason)
			}
		})
	}
}

// A URL may have been signed in several forms. A copy is a copy in all of them.
func TestFormsOfTheURL(t *testing.T) {
	all := []signature.URLForm{signature.DefaultPort, signature.NoPort, signature.BrowserQuery, signature.NoRoot}
	scheme := func(public string, forms ...signature.URLForm) *signature.Content {
		return several(t, func(c *signature.Config) {
			c.PublicURL, c.URLForms = public, forms
			c.Content = []signature.Part{{Kind: signature.URL}, {Kind: signature.Body}}
		})
	}
	for _, c := range []struct {
		public, target, signed string
		ok                     bool
	}{
		{"", "/a?x='", "https://hooks.example.com/a?x='", true},
		{"", "/a?x='", "https://hooks.example.com/a?x=%27", true},
		{"", "/a?x='", "https://hooks.example.com:443/a?x=%27", true},
		{"", "/a?x='", "http://hooks.example.com/a?x='", false},
		{"http://h", "/", "http://h:80/", true},
		{"http://h", "/", "http://h:80", true},
		{"http://h", "/?", "http://h", false},
		{"http://h", "/?", "http://h/?", true},
		{"https://h:8443", "/a", "https://h:8443/a", true},
		{"https://h:8443", "/a", "https://h/a", true},
		{"https://h:8443", "/a", "https://h:443/a", false},
		{"https://u:p@h", "/a", "https://u:p@h:443/a", true},
		{"https://u:p@h", "/a", "https://u:p@h/a", true},
		{"https://u:p@h:1", "/a", "https://u:p@h/a", true},
		{"https://[::1]", "/a", "https://[::1]:443/a", true},
		{"https://[::1]:9", "/a", "https://[::1]/a", true},
	} {
		req := sent{target: c.target, body: "{}"}.request()
		req.Set("x-sig", macOf(c.signed+"{}"))
		reason, call := run(scheme(c.public, all...), req)
		if (reason == authz.OK) != c.ok || reason != authz.OK && reason != authz.SignatureInvalid {
			t.Errorf("%s %s signed as %s: %s", c.public, c.target, c.signed, reason)
		}
		if c.ok && call.Fingerprint.IsZero() {
			t.Errorf("%s: no fingerprint", c.signed)
		}
	}
	// One signature, sent to the URL in several forms, is one delivery.
	prints := map[authz.Fingerprint]bool{}
	for _, host := range []string{"hooks.example.com", "hooks.example.com:443", "hooks.example.com:8443"} {
		req := sent{target: "/a", body: "{}"}.request()
		req.Host = authz.View(host)
		req.Set("x-sig", macOf("https://hooks.example.com/a{}"))
		reason, call := run(scheme("", all...), req)
		if reason != authz.OK {
			t.Errorf("%s: %s", host, reason)
		}
		prints[call.Fingerprint] = true
	}
	if len(prints) != 1 {
		t.Errorf("%d fingerprints", len(prints))
	}
}

// What is signed must cover the body, whatever type the sender says it has.
func TestBodiesAreBound(t *testing.T) {
	url, form := signature.Part{Kind: signature.URL}, signature.Part{Kind: signature.Form, Distinct: true}
	h := several(t, func(c *signature.Config) {
		c.Content, c.BodyDigest = []signature.Part{url, form}, signature.BodyDigest{Query: "sum", Hash: signature.SHA256, Encoding: signature.Hex}
	})
	const base = "https://hooks.example.com"
	for _, c := range []struct {
		name, target, contentType, body, form string
		want                                  authz.Reason
	}{
		{"a form", "/a", formType, "a=1", "a1", authz.OK},
		{"no body", "/a", "", "", "", authz.OK},
		{"JSON with its digest", "/a?sum=" + digest("{}"), jsonType, "{}", "", authz.OK},
		{"JSON with a digest in capitals", "/a?sum=44136FA355B3678A1146AD16F7E8649E94FB4FC21FE77E8310C060F61CAAFF8A", jsonType, "{}", "", authz.OK},
		{"JSON without a digest", "/a", jsonType, "{}", "", authz.SignatureInvalid},
		{"JSON with another digest", "/a?sum=" + digest("{ }"), jsonType, "{}", "", authz.SignatureInvalid},
		{"JSON with two digests", "/a?sum=" + digest("{}") + "&sum=" + digest("{}"), jsonType, "{}", "", authz.SignatureInvalid},
		{"a body that was taken away", "/a?sum=" + digest("{}"), jsonType, "", "", authz.SignatureInvalid},
		{"an empty body with its digest", "/a?sum=" + digest(""), jsonType, "", "", authz.OK},
		{"JSON that says it is a form", "/a", formType, "{}", "", authz.SignatureInvalid},
		{"a form that says it is JSON", "/a", jsonType, "a=1", "a1", authz.SignatureInvalid},
		{"a form that says nothing", "/a", "", "a=1", "a1", authz.SignatureInvalid},
		{"multipart", "/a", "multipart/form-data; boundary=x", "--x--", "", authz.SignatureInvalid},
		{"a value doubled", "/a", formType, "a=1&a=1", "a1", authz.OK},
		{"a name moved into its value", "/a", formType, "a1=", "a1", authz.OK}, // the scheme cannot tell
	} {
		req := sent{target: c.target, contentType: c.contentType, body: c.body}.request()
		req.Set("x-sig", macOf(base+c.target+c.form))
		reason, call := run(h, req)
		if reason != c.want || reason != authz.OK && !call.Fingerprint.IsZero() && call.Proof != authz.ProofNone {
			t.Errorf("%s: %s, want %s", c.name, reason, c.want)
		}
	}
	twice := sent{target: "/a", contentType: formType, body: "a=1", headers: [][2]string{{"content-type", jsonType}, {"x-sig", macOf(base + "/aa1")}}}
	if reason, _ := run(h, twice.request()); reason != authz.SignatureMalformed {
		t.Errorf("two content types: %s", reason)
	}
}

func TestKeysChosenByAHeader(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.KeyID.Headers = []string{"x-key"} })
	for _, c := range []struct {
		ids  []string
		want authz.Reason
	}{
		{[]string{"new"}, authz.OK},
		{[]string{"old"}, authz.SignatureInvalid},
		{[]string{"NEW"}, authz.SignatureInvalid},
		{[]string{""}, authz.SignatureMalformed},
		{[]string{"nobody"}, authz.SignatureInvalid},
		{nil, authz.SignatureMissing},
		{[]string{"new", "new"}, authz.SignatureMalformed},
	} {
		req := request()
		sign(t, h, req)
		set(req, "x-key", c.ids...)
		if reason, _ := run(h, req); reason != c.want {
			t.Errorf("%q: %s, want %s", c.ids, reason, c.want)
		}
	}
}

// A plain hash of secret and content is what some older schemes have.
func TestSecretThenContent(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.SecretFirst = true })
	req := request()
	sum := sha256.Sum256(append(keys()[0].Secret.Reveal(), body...))
	req.Set("x-sig", hex.EncodeToString(sum[:]))
	if reason, _ := run(h, req); reason != authz.OK {
		t.Errorf("%s", reason)
	}
	req.Set("x-sig", macOf(body))
	if reason, _ := run(h, req); reason != authz.SignatureInvalid {
		t.Errorf("an HMAC: %s", reason)
	}
	// Whoever has a hash of the secret and content has also that of the content,
	// the padding and more. All padding has a NUL byte.
	longer := body + "\x80\x00\x00 and more"
	req.Body.Segments = [][]byte{[]byte(longer)}
	sum = sha256.Sum256(append(keys()[0].Secret.Reveal(), longer...))
	req.Set("x-sig", hex.EncodeToString(sum[:]))
	if reason, _ := run(h, req); reason != authz.SignatureInvalid {
		t.Errorf("made longer: %s", reason)
	}
}

// Without a public URL the host is the sender's choice, and must not move what
// is signed of the path.
func TestHostOfTheSignedURL(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.Content = []signature.Part{{Kind: signature.URL}, {Kind: signature.Body}} })
	for host, want := range map[string]authz.Reason{
		"hooks.example.com": authz.OK, "h_1:8443": authz.OK, "[2001:db8::1]:443": authz.OK, "192.0.2.1": authz.OK,
		"": authz.SignatureMalformed, "h/tenant": authz.SignatureMalformed, "h?q": authz.SignatureMalformed, "h#f": authz.SignatureMalformed,
		"u@h": authz.SignatureMalformed, "h:80/a": authz.SignatureMalformed, "h:": authz.SignatureMalformed, "[::1": authz.SignatureMalformed,
		"[::1]a": authz.SignatureMalformed, "h:123456": authz.SignatureMalformed,
	} {
		req := request()
		req.Host = authz.View(host)
		req.Set("x-sig", macOf("https://"+host+string(req.Path)+body))
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%q: %s, want %s", host, reason, want)
		}
	}
}
