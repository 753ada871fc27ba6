package judges_test

import (
	"net/url"
	"strings"
	"time"
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
		if j.provider == "paddle-classic" { // whose signature stands there
			_, signature, _ := strings.Cut(string(signed.body), "&p_signature=")
			d.body = []byte(c.body + "&p_signature=" + signature)
		}
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
		if d := sign(c.body, signedAt); d != nil || j.provider != "paddle-classic" { // whose forms have a name once
			list = append(list, testCase{name: "form: " + c.name + ", signed", delivery: d})
		}
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

func adyenBody(time.Time) string {
	return `{"live":"false","notificationItems":[{"NotificationRequestItem":{"pspReference":"7914073381342284","merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1","amount":{"value":1130,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true"}}]}`
}
