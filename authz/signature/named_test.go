package signature_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// Grammars of a header with more than a signature.
func TestListsAndCredentials(t *testing.T) {
	good, other := macOf(body), strings.Repeat("0", 64)
	list := several(t, func(c *signature.Config) { c.Grammar, c.Separator = signature.List, ',' })
	credential := several(t, func(c *signature.Config) { c.Grammar, c.Prefix = signature.Credential, "application" })
	for _, c := range []struct {
		scheme signature.Scheme
		value  string
		want   authz.Reason
	}{
		{list, good, authz.OK},
		{list, other + "," + good, authz.OK},
		{list, other + ", " + good + ",", authz.OK},
		{list, other, authz.SignatureInvalid},
		{list, "v1=" + good, authz.SignatureMalformed},
		{list, strings.Repeat(other+",", 5) + good, authz.SignatureMalformed}, // too many
		{list, ",", authz.SignatureMissing},
		{credential, "application key:" + good, authz.OK},
		{credential, "APPLICATION   key:" + good, authz.OK},
		{credential, "application :" + good, authz.OK}, // the id is not looked at
		{credential, "application key:" + other, authz.SignatureInvalid},
		{credential, "application " + good, authz.SignatureMalformed},
		{credential, "application key:other:" + good, authz.SignatureMalformed},
		{credential, "basic key:" + good, authz.SignatureMalformed},
		{credential, "applicationkey:" + good, authz.SignatureMalformed},
		{credential, "", authz.SignatureMalformed},
	} {
		req := request()
		req.Set("x-sig", c.value)
		if reason, _ := run(c.scheme, req); reason != c.want {
			t.Errorf("%.80q: %s, want %s", c.value, reason, c.want)
		}
	}
}

// A signature in the body covers what it says, and the rest not.
func TestSignatureInTheBody(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Headers, c.JSON = nil, "s.mac"
		c.Content = []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.JSON, Text: "s.token"}}
		c.Time = signature.Time{JSON: "s.at", Unit: signature.Seconds}
	})
	mac := macOf("1795500000tok")
	for _, c := range []struct {
		body string
		want authz.Reason
	}{
		{`{"s":{"at":"1795500000","token":"tok","mac":"` + mac + `"},"event":"a"}`, authz.OK},
		{`{"s":{"at":1795500000,"token":"tok","mac":"` + strings.ToUpper(mac) + `"},"event":"b"}`, authz.OK},
		{`{"s":{"at":"1795500001","token":"tok","mac":"` + mac + `"}}`, authz.SignatureInvalid},
		{`{"s":{"at":"1795500000","token":"to","mac":"` + mac + `"}}`, authz.SignatureInvalid},
		{`{"s":{"at":"179550000","token":"0tok","mac":"` + mac + `"}}`, authz.TimestampMalformed}, // no separator: its length tells
		{`{"s":{"at":"1795500000","token":"tok","token":"x","mac":"` + mac + `"}}`, authz.SignatureMalformed},
		{`{"s":{"at":"1795500000","mac":"` + mac + `"}}`, authz.SignatureMalformed},
		{`{"s":{"token":"tok","mac":"` + mac + `"}}`, authz.TimestampMissing},
		{`{"s":{"at":"x","token":"tok","mac":"` + mac + `"}}`, authz.TimestampMalformed},
		{`{"s":{"at":"1795500000","token":"tok"}}`, authz.SignatureMissing},
		{`{}`, authz.SignatureMissing},
		{`[]`, authz.SignatureMalformed},
		{`a=1`, authz.SignatureMalformed},
	} {
		req := sent{target: "/", contentType: jsonType, body: c.body}.request()
		reason, call := run(h, req)
		if reason != c.want || reason == authz.OK && (call.Proof != authz.ProofPartial || call.SignedTime.IsZero()) {
			t.Errorf("%s: %s, proof %s; want %s", c.body, reason, call.Proof, c.want)
		}
	}
	form := sent{target: "/", contentType: formType, body: "a=1"}.request()
	if reason, _ := run(h, form); reason != authz.SignatureMissing {
		t.Errorf("a form: %s", reason)
	}
}

// hygraph signs another item of its header and the body as JSON strings.
func TestItemsOfTheHeader(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Grammar, c.Key, c.Separator = signature.KeyValue, "sign", ','
		c.Content = []signature.Part{{Kind: signature.BodyString}, {Kind: signature.Item, Text: "env", JSONString: true}, {Kind: signature.Timestamp}}
		c.Time = signature.Time{Key: "t", Unit: signature.Milliseconds}
	})
	mac := macOf(`"{\"amount\":100,\"currency\":\"eur\"}""a\"b"1795500000000`)
	for value, want := range map[string]authz.Reason{
		"sign=" + mac + `, env=a"b, t=1795500000000`:        authz.OK,
		`t=1795500000000,env=a"b,sign=` + mac:               authz.OK,
		"sign=" + mac + `, env=ab, t=1795500000000`:         authz.SignatureInvalid,
		"sign=" + mac + `, env=a"b, env=x, t=1795500000000`: authz.SignatureMalformed,
		"sign=" + mac + `, t=1795500000000`:                 authz.SignatureMalformed,
		"sign=" + mac + `, env=a"b`:                         authz.TimestampMissing,
	} {
		req := request()
		req.Set("x-sig", value)
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%s: %s, want %s", value, reason, want)
		}
	}
}

func adyen(t testing.TB) *signature.Adyen {
	t.Helper()
	a, err := signature.NewAdyen(keys())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// adyenBody has items that are signed one by one, as texts of JSON objects.
func adyenBody(t testing.TB, items int) string {
	t.Helper()
	var all []string
	for range items {
		req := sent{target: "/"}.request()
		if !adyen(t).Sign(req, signing("new")) {
			t.Fatal("not signed")
		}
		var tree struct{ NotificationItems []json.RawMessage }
		if err := json.Unmarshal(req.Body.Joined(), &tree); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(tree.NotificationItems[0]))
	}
	return `{"live":"false","notificationItems":[` + strings.Join(all, ",") + `]}`
}

// adyenWith is a body whose one item has another text in a field, signed.
func adyenWith(t testing.TB, field, text string) string {
	t.Helper()
	fields := map[string]string{"merchantAccountCode": "M", "merchantReference": "r", "eventCode": "E", "success": "true"}
	fields[field] = text
	item := map[string]any{"additionalData": map[string]any{"hmacSignature": base64Of(
		":" + ":" + fields["merchantAccountCode"] + ":" + fields["merchantReference"] + ":::" + fields["eventCode"] + ":" + fields["success"])}}
	for name, value := range fields {
		item[name] = value
	}
	body, err := json.Marshal(map[string]any{"notificationItems": []any{map[string]any{"NotificationRequestItem": item}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func base64Of(content string) string {
	mac := hmac.New(sha256.New, keys()[0].Secret.Reveal())
	mac.Write([]byte(content))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestAdyen(t *testing.T) {
	one, two := adyenBody(t, 1), adyenBody(t, 2)
	replace := func(from, to string) string { return strings.Replace(one, from, to, 1) }
	for _, c := range []struct {
		name, body string
		want       authz.Reason
	}{
		{"one item", one, authz.OK},
		{"two items, which could be mixed with others", two, authz.SignatureMalformed},
		{"a colon in the merchant's own text", adyenWith(t, "merchantReference", "a:b"), authz.OK},
		{"a colon elsewhere", adyenWith(t, "eventCode", "a:b"), authz.SignatureMalformed},
		{"a key twice to encoding/json", replace(`"success"`, `"ſuccess":"false","success"`), authz.SignatureMalformed},
		{"not UTF-8", replace(`"live":"false"`, "\"live\":\"\xff\""), authz.SignatureMalformed},
		{"an unsigned field", replace(`"live":"false"`, `"live":"true"`), authz.OK},
		{"another amount", replace(`1000`, `2000`), authz.SignatureInvalid},
		{"an amount as text", replace(`1000`, `"1000"`), authz.OK},
		{"an amount in another form", replace(`1000`, `1e3`), authz.SignatureInvalid},
		{"a field that was absent", replace(`"eventCode"`, `"originalReference":"x","eventCode"`), authz.SignatureInvalid},
		{"a bool", replace(`"success":"true"`, `"success":true`), authz.SignatureMalformed},
		{"a key in capitals", replace(`"success"`, `"SUCCESS"`), authz.SignatureInvalid},
		{"a key twice", replace(`"success"`, `"success":"false","success"`), authz.SignatureMalformed},
		{"a key twice but for case", replace(`"success"`, `"Success":"false","success"`), authz.SignatureMalformed},
		{"the last of two unsigned", strings.Replace(two, `]}`, `,{"NotificationRequestItem":{}}]}`, 1), authz.SignatureMalformed},
		{"no items", `{"live":"false","notificationItems":[]}`, authz.SignatureMalformed},
		{"no list", `{"live":"false"}`, authz.SignatureMalformed},
		{"too many", adyenBody(t, 6), authz.SignatureMalformed},
		{"behind the object", one + "{}", authz.SignatureMalformed},
		{"no JSON", "a=1", authz.SignatureMalformed},
	} {
		req := sent{target: "/", contentType: jsonType, body: c.body}.request()
		reason, call := run(adyen(t), req)
		if reason != c.want || reason == authz.OK && (call.Proof != authz.ProofPartial || call.KeyID != "new" || call.Fingerprint.IsZero()) {
			t.Errorf("%s: %s, want %s; proof %s, key %q", c.name, reason, c.want, call.Proof, call.KeyID)
		}
	}
	_, whole := run(adyen(t), sent{target: "/", body: one}.request())
	_, spaced := run(adyen(t), sent{target: "/", body: replace(`"live":"false"`, `"live": "x"`)}.request())
	if whole.Fingerprint != spaced.Fingerprint {
		t.Error("unsigned bytes make another delivery")
	}
}

func TestBraintree(t *testing.T) {
	configured := keys()
	for i := range configured {
		configured[i].Secret = signature.BraintreeKey(secret.New([]byte("private " + configured[i].ID)))
	}
	b, err := signature.NewBraintree(configured)
	if err != nil {
		t.Fatal(err)
	}
	signed := sent{target: "/"}.request()
	sign(t, b, signed)
	form, err := url.ParseQuery(string(signed.Body.Joined()))
	if err != nil {
		t.Fatal(err)
	}
	payload, pair := form.Get("bt_payload"), form.Get("bt_signature")
	encode := func(payload, pair string) string {
		return url.Values{"bt_payload": {payload}, "bt_signature": {pair}}.Encode()
	}
	for _, c := range []struct {
		name, body string
		want       authz.Reason
	}{
		{"as signed", encode(payload, pair), authz.OK},
		{"without its line break", encode(strings.TrimSuffix(payload, "\n"), pair), authz.OK},
		{"behind another pair", encode(payload, "stranger|"+strings.Repeat("0", 40)+"&"+pair), authz.OK},
		{"under another public key", encode(payload, strings.Replace(pair, "new|", "old|", 1)), authz.SignatureInvalid},
		{"under no public key", encode(payload, strings.TrimPrefix(pair, "new")), authz.SignatureInvalid},
		{"another payload", encode("AAAA", pair), authz.SignatureInvalid},
		{"a payload that is no base64", encode("<>", pair), authz.SignatureMalformed},
		{"a third field", encode(payload, pair) + "&x=1", authz.SignatureMalformed},
		{"a payload twice", encode(payload, pair) + "&bt_payload=AAAA", authz.SignatureMalformed},
		{"no signature", url.Values{"bt_payload": {payload}}.Encode(), authz.SignatureMalformed},
		{"nothing", "x", authz.SignatureMalformed},
	} {
		reason, call := run(b, sent{target: "/", contentType: formType, body: c.body}.request())
		if reason != c.want || reason == authz.OK && (call.KeyID != "new" || call.Fingerprint.IsZero()) {
			t.Errorf("%s: %s, want %s; key %q", c.name, reason, c.want, call.KeyID)
		}
	}
	for _, query := range []string{"bt_payload=AAAA", "a=1&bt%5Fsignature=x"} {
		if reason, _ := run(b, sent{target: "/?" + query, contentType: formType, body: encode(payload, pair)}.request()); reason != authz.MalformedRequest {
			t.Errorf("with %s in the query: %s", query, reason)
		}
	}
	_, with := run(b, sent{target: "/", contentType: formType, body: encode(payload, pair)}.request())
	_, without := run(b, sent{target: "/", contentType: formType, body: encode(strings.TrimSuffix(payload, "\n"), pair)}.request())
	if with.Fingerprint != without.Fingerprint {
		t.Error("a line break makes another delivery")
	}
	if reason, _ := run(b, sent{target: "/", contentType: jsonType, body: "{}"}.request()); reason != authz.SignatureMissing {
		t.Errorf("JSON: %s", reason)
	}
}
