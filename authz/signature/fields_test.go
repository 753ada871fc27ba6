package signature_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// fields is a scheme whose time, token and signature are fields of a form.
func fields(t *testing.T) *signature.Content {
	t.Helper()
	h, err := signature.New(signature.Config{
		Hash: signature.SHA256, Encoding: signature.Hex, Grammar: signature.Bare, Field: "signature", MaxSignatures: 5,
		Content: []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.FieldText, Text: "token"}},
		Time:    signature.Time{Field: "timestamp", Unit: signature.Seconds},
	}, keys())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// multipartOf writes a form with the boundary b, from names and values.
func multipartOf(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("--b\r\nContent-Disposition: form-data; name=\"" + pairs[i] + "\"\r\n\r\n" + pairs[i+1] + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

// A form of either type is read, as long as two readers cannot find two values.
func TestFields(t *testing.T) {
	h := fields(t)
	signed := sent{target: "/"}.request()
	sign(t, h, signed)
	form, err := url.ParseQuery(string(signed.Body.Joined()))
	if err != nil || len(form) != 3 {
		t.Fatalf("%v, %v", form, err)
	}
	const multipartType = "multipart/form-data; boundary=b"
	at, token, mac := form.Get("timestamp"), form.Get("token"), form.Get("signature")
	encoded := form.Encode()
	whole := multipartOf("timestamp", at, "token", token, "signature", mac, "attachment-1", "\x00\xff")
	for _, c := range []struct {
		name, contentType, body string
		want                    authz.Reason
	}{
		{"a form", formType, encoded, authz.OK},
		{"with other fields", formType, encoded + "&sender=bob%40example.com", authz.OK},
		{"another token", formType, strings.Replace(encoded, "token=", "token=x", 1), authz.SignatureInvalid},
		{"two tokens", formType, encoded + "&token=" + token, authz.SignatureMalformed},
		{"two signatures", formType, encoded + "&signature=" + mac, authz.SignatureMalformed},
		{"two tokens in one list", formType, encoded + "&token%5B%5D=x", authz.SignatureMalformed},
		{"two tokens, one behind a space", formType, encoded + "&+token=x", authz.SignatureMalformed},
		{"two signatures in one list", formType, encoded + "&signature[0]=x", authz.SignatureMalformed},
		{"two times in one list", formType, "timestamp[]=1&" + encoded, authz.TimestampMissing},
		{"a header of a mail", formType, encoded + "&Token=x&timestamp-of=y", authz.OK},
		{"no signature", formType, "timestamp=" + at + "&token=" + token, authz.SignatureMissing},
		{"no time", formType, "token=" + token + "&signature=" + mac, authz.TimestampMissing},
		{"two times", formType, encoded + "&timestamp=" + at, authz.TimestampMissing},
		{"an escape that is none", formType, encoded + "&x=%zz", authz.SignatureMalformed},
		{"parts", multipartType, whole, authz.OK},
		{"parts in another letter case", "Multipart/Form-Data; boundary=\"b\"", whole, authz.OK},
		{"parts with another token", multipartType, strings.Replace(whole, token, "x"+token, 1), authz.SignatureInvalid},
		{"parts with two tokens", multipartType, multipartOf("timestamp", at, "token", token, "signature", mac, "token", token), authz.SignatureMalformed},
		{"parts with two tokens in one list", multipartType, multipartOf("timestamp", at, "token", token, "signature", mac, "token[]", "x"), authz.SignatureMalformed},
		{"a second signature behind", multipartType, multipartOf("signature", mac, "timestamp", at, "token", token, "signature", "x"), authz.SignatureMalformed},
		{"parts without an end", multipartType, strings.TrimSuffix(whole, "--b--\r\n"), authz.SignatureMalformed},
		{"a part without an end", multipartType, whole[:len(whole)-9], authz.SignatureMalformed},
		{"a long token", multipartType, multipartOf("timestamp", at, "token", strings.Repeat("x", 5000), "signature", mac), authz.SignatureMalformed},
		{"too many parts", multipartType, strings.Repeat(strings.TrimSuffix(multipartOf("x", ""), "--b--\r\n"), 1000) + whole, authz.SignatureMalformed},
		{"no boundary", "multipart/form-data", whole, authz.SignatureMalformed},
		{"another boundary", "multipart/form-data; boundary=c", whole, authz.SignatureMalformed},
		{"two types", formType + ", " + multipartType, whole, authz.SignatureMissing},
		{"JSON", jsonType, "{}", authz.SignatureMissing},
	} {
		req := sent{target: "/", contentType: c.contentType, body: c.body}.request()
		reason, call := run(h, req)
		if reason != c.want || reason == authz.OK && (call.Proof != authz.ProofPartial || call.SignedTime.IsZero()) {
			t.Errorf("%s: %s, want %s; proof %s", c.name, reason, c.want, call.Proof)
		}
	}
	_, one := run(h, sent{target: "/", contentType: formType, body: encoded}.request())
	_, other := run(h, sent{target: "/", contentType: multipartType, body: whole}.request())
	if one.Fingerprint != other.Fingerprint {
		t.Error("the same signature in parts is another delivery")
	}
}

// A prefix that may be missing is none that may be another.
func TestOptionalPrefix(t *testing.T) {
	c := config("prefix")
	c.PrefixOptional = true
	h, err := signature.New(c, keys())
	if err != nil {
		t.Fatal(err)
	}
	right := delivery(t, h, "new")
	mac := strings.TrimPrefix(value(right, "x-sig"), "sha1=")
	for text, want := range map[string]authz.Reason{
		"sha1=" + mac: authz.OK, mac: authz.OK, "sha1=sha1=" + mac: authz.SignatureMalformed, "sha2=" + mac: authz.SignatureMalformed,
		"SHA1=" + mac: authz.SignatureMalformed, "sha1=": authz.SignatureMalformed,
	} {
		req := *right
		req.Headers = right.Headers[:0:0]
		req.Set("x-sig", text)
		if reason, _ := run(h, &req); reason != want {
			t.Errorf("%s: %s, want %s", text, reason, want)
		}
	}
}

// A query counts as it is, with an apostrophe escaped, and with marks that were
// escaped after they were signed.
func TestPlainQuery(t *testing.T) {
	h, err := signature.New(signature.Config{
		Hash: signature.SHA256, Encoding: signature.Hex, Headers: []string{"x-sig"}, Grammar: signature.Bare, MaxSignatures: 5,
		Content:  []signature.Part{{Kind: signature.URL}, {Kind: signature.Body}},
		URLForms: []signature.URLForm{signature.BrowserQuery, signature.PlainQuery}, PublicURL: "https://hooks.example.com",
	}, keys())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		signed, sent string
		want         authz.Reason
	}{
		{"/?name=O'hara", "/?name=O%27hara", authz.OK},
		{"/?name=O%27hara", "/?name=O'hara", authz.OK},
		{"/?n=(a)!*", "/?n=%28a%29%21%2A", authz.OK},
		{"/?n=(a)!*", "/?n=%28a%29%21%2a", authz.OK},
		{"/?n='%26b=2", "/?n=%27%26b=2", authz.OK},
		{"/?n='&b=2", "/?n=%27%26b=2", authz.SignatureInvalid},
		{"/?a=1", "/?a=%31", authz.SignatureInvalid},
		{"/?a=1%26b%3D2", "/?a=1&b=2", authz.SignatureInvalid},
		{"/?a=1&b=2", "/?a=1%26b=2", authz.SignatureInvalid},
		{"/?a=%zz", "/?a=%zz", authz.OK},
		{"/a'?b=1", "/a%27?b=1", authz.SignatureInvalid},
	} {
		req := sent{target: c.signed}.request()
		sign(t, h, req)
		req.Path = authz.View(c.sent)
		if reason, _ := run(h, req); reason != c.want {
			t.Errorf("%s signed, %s sent: %s, want %s", c.signed, c.sent, reason, c.want)
		}
	}
}
