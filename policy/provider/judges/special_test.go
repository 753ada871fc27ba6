package judges_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// formCases write the same and other parameters.
func formCases(j *judge, signed *delivery, sign signer) []testCase {
	switch {
	case !j.form || j.provider == "braintree":
		return nil
	case j.provider == "mandrill":
		return mandrillCases(signed, sign)
	}
	var list []testCase
	for _, c := range []struct{ name, body string }{
		{"in another order", "To=%2B15550100&From=%2B15550101&CallSid=CA123"},
		{"one twice", "CallSid=CA123&To=%2B15550100&From=%2B15550101&To=%2B15550100"},
		{"one with another value", "CallSid=CA123&To=%2B15550199&From=%2B15550101"},
		{"one more", "CallSid=CA123&To=%2B15550100&From=%2B15550101&Added=1"},
		{"one empty more", "CallSid=CA123&To=%2B15550100&From=%2B15550101&Added="},
		{"one missing", "CallSid=CA123&To=%2B15550100"},
		{"name and value cut elsewhere", "CallSid=CA123&T=o%2B15550100&From=%2B15550101"},
		{"escapes in small letters", "CallSid=CA123&To=%2b15550100&From=%2b15550101"},
		{"an ampersand more", "CallSid=CA123&&To=%2B15550100&From=%2B15550101&"},
		{"plus not escaped", "CallSid=CA123&To=+15550100&From=+15550101"},
	} {
		d := signed.clone()
		d.body = []byte(c.body)
		list = append(list, testCase{name: "form: " + c.name, delivery: d})
	}
	for _, c := range []struct{ name, body string }{
		{"spaces", "Body=hello+world&From=%2B1&Alt=a%20b"},
		{"two values", "b=2&a=1&b=1"},
		{"equal values", "b=1&a=1&b=1"},
		{"empty values", "b=&a=&c"},
		{"not ASCII", "Body=Zo%C3%AB+%F0%9F%90%99&N%C3%A9=1"},
		{"not UTF-8", "Body=%FF%FE&A=1"},
		{"a semicolon", "Body=a;b&A=1"},
		{"a bad escape", "Body=100%&A=%zz"},
		{"names in both letter cases", "b=1&B=2&a=3&_=4"},
		{"nothing", ""},
	} {
		if strings.Contains(c.body, "%zz") || c.body == "" && j.provider == "plivo-v3" {
			continue // sign makes no such delivery
		}
		list = append(list, testCase{name: "form: " + c.name + ", signed", delivery: sign(c.body, signedAt)})
	}
	return list
}

func mandrillBody(time.Time) string {
	return "mandrill_events=" + url.QueryEscape(`[{"event":"send","_id":"1","msg":{"subject":"a b"}}]`)
}

// mandrillCases do the same to the one field that there may be.
func mandrillCases(signed *delivery, sign signer) []testCase {
	var list []testCase
	body := string(signed.body)
	for _, c := range []struct{ name, body string }{
		{"one twice", body + "&" + body},
		{"one with another value", strings.Replace(body, "send", "open", 1)},
		{"one more", body + "&Added=1"},
		{"one empty more", body + "&Added="},
		{"another name", strings.Replace(body, "mandrill_events", "mandrill_event", 1)},
		{"name and value cut elsewhere", strings.Replace(body, "s=", "=s", 1)},
		{"escapes in small letters", strings.ReplaceAll(body, "%5B", "%5b")},
		{"an ampersand more", "&" + body + "&"},
		{"a space as %20", strings.ReplaceAll(body, "+", "%20")},
	} {
		d := signed.clone()
		d.body = []byte(c.body)
		list = append(list, testCase{name: "form: " + c.name, delivery: d})
	}
	for _, c := range []struct{ name, events string }{
		{"no event", "[]"},
		{"spaces", `[ {"a" : "b  c"} ]`},
		{"not ASCII", `[{"subject":"Zoë 🐙"}]`},
		{"not UTF-8", "[\"\xff\xfe\"]"},
	} {
		list = append(list, testCase{name: "form: " + c.name + ", signed", delivery: sign("mandrill_events="+url.QueryEscape(c.events), signedAt)})
	}
	return list
}

// token returns the claims of a token and a function that signs others.
func parseToken(t *testing.T, value, secret string) (prefix string, claims jwt.MapClaims, resign func(jwt.SigningMethod, jwt.MapClaims) string) {
	t.Helper()
	at := strings.LastIndexByte(value, ' ') + 1
	claims = jwt.MapClaims{}
	if _, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(value[at:], claims); err != nil {
		t.Fatal(err)
	}
	return value[:at], claims, func(method jwt.SigningMethod, claims jwt.MapClaims) string {
		var key any = []byte(secret)
		if method == jwt.SigningMethodNone {
			key = jwt.UnsafeAllowNoneSignatureType
		}
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return value[:at] + text
	}
}

// tokenCases are JSON Web Tokens with other claims, signed with the right key.
func tokenCases(t *testing.T, s *policyv1.NamedScheme, parts []part, signed *delivery, secret string) []testCase {
	t.Helper()
	if s.GetScheme().GetJws() == nil {
		return nil
	}
	p := parts[0]
	_, claims, resign := parseToken(t, p.value, secret)
	var list []testCase
	add := func(name, value string) {
		list = append(list, testCase{name: "token: " + name, delivery: signed.with(p.name, value)})
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS384, jwt.SigningMethodHS512, jwt.SigningMethodNone} {
		add("signed with "+method.Alg(), resign(method, claims))
	}
	with := func(name string, value any) jwt.MapClaims {
		other := jwt.MapClaims{}
		for k, v := range claims {
			other[k] = v
		}
		other[name] = value
		if value == nil {
			delete(other, name)
		}
		return other
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		add("without "+name, resign(jwt.SigningMethodHS256, with(name, nil)))
		if text, ok := claims[name].(string); ok {
			add(name+" in capitals", resign(jwt.SigningMethodHS256, with(name, strings.ToUpper(text))))
			add(name+" empty", resign(jwt.SigningMethodHS256, with(name, "")))
			continue
		}
		for _, seconds := range []int64{-3600, -301, -61, -5, 5, 61, 301, 3600} {
			at := signedAt.Unix() + seconds
			add(fmt.Sprintf("%s %+ds", name, seconds), resign(jwt.SigningMethodHS256, with(name, at)))
		}
		add(name+" as text", resign(jwt.SigningMethodHS256, with(name, fmt.Sprint(claims[name]))))
		add(name+" with a fraction", resign(jwt.SigningMethodHS256, with(name, json.Number(fmt.Sprintf("%v.5", claims[name])))))
	}
	for _, seconds := range []int{-3600, -301, -91, -61, -31, -6, -5, -1, 1, 5, 59, 60, 61, 64, 65, 66, 91, 151, 301, 3600} {
		name := fmt.Sprintf("time: %ds later", seconds)
		list = append(list, testCase{name: name, delivery: signed, now: signedAt.Add(time.Duration(seconds) * time.Second)})
	}
	return list
}

// itemCases are Adyen's lists of items, and Braintree's pairs of signatures.
func itemCases(j *judge, signed *delivery) []testCase {
	var list []testCase
	change := func(name, from, to string) {
		d := signed.clone()
		d.body = []byte(strings.Replace(string(d.body), from, to, 1))
		list = append(list, testCase{name: "items: " + name, delivery: d})
	}
	switch j.provider {
	case "adyen":
		forged := `{"NotificationRequestItem":{"pspReference":"forged","amount":{"value":1,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true","merchantAccountCode":"a","merchantReference":"b","additionalData":{"hmacSignature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}`
		text := string(signed.body)
		at := strings.LastIndex(text, "]")
		change("a forged one behind", text[at:], ","+forged+text[at:])
		change("a forged one before", `"notificationItems":[`, `"notificationItems":[`+forged+",")
		change("none", text[strings.Index(text, `[`):at+1], "[]")
		change("another amount", `"value":`, `"value":9`)
		change("another live mark", `"live":"false"`, `"live":"true"`)
		change("a field that nothing signs", `"eventCode"`, `"reason":"x","eventCode"`)
		change("a key in another letter case", `"success"`, `"Success"`)
		change("a key twice", `"eventCode"`, `"eventCode":"REFUND","eventCode"`)
	case "braintree":
		change("another public key", "public_key_2026", "public_key_2027")
		change("another pair before", "bt_signature=", "bt_signature=other%7C0000%26")
		change("a field more", "bt_signature=", "more=1&bt_signature=")
		change("the payload twice", "bt_payload=", "bt_payload=AAAA&bt_payload=")
		change("a line break less", "%0A", "")
		change("a character that is no base64", "bt_payload=", "bt_payload=-")
	}
	return list
}

// issuer puts the account's id into the token, which a policy does not know and
// sign therefore leaves out.
func issuer(name string) func(*testing.T, *delivery, string) *delivery {
	return func(t *testing.T, d *delivery, secret string) *delivery {
		t.Helper()
		_, claims, resign := parseToken(t, d.get("authorization"), secret)
		claims["iss"] = name
		return d.with("authorization", resign(jwt.SigningMethodHS256, claims))
	}
}

func adyenBody(time.Time) string {
	return `{"live":"false","notificationItems":[{"NotificationRequestItem":{"pspReference":"7914073381342284","merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1","amount":{"value":1130,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true"}}]}`
}
