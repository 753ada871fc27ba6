package signature_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

// adyenItem is a notification with these fields, signed over content.
func adyenItem(t *testing.T, fields []string, content string) string {
	t.Helper()
	item := map[string]any{
		"pspReference": fields[0], "originalReference": fields[1], "merchantAccountCode": fields[2], "merchantReference": fields[3],
		"amount": map[string]any{"value": json.Number("0"), "currency": "EUR"}, "eventCode": "REPORT_AVAILABLE", "success": "true",
		"additionalData": map[string]any{"hmacSignature": base64Of(content)},
	}
	body, err := json.Marshal(map[string]any{"notificationItems": []any{map[string]any{"NotificationRequestItem": item}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

const adyenTail = ":0:EUR:REPORT_AVAILABLE:true"

// Values have colons, with and without the escaping that Adyen once documented.
func TestAdyenColons(t *testing.T) {
	const report = "report_2022-11-01T00:00:00_2022-11-02T23:59:59.csv"
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace
	for _, fields := range [][]string{
		{report, "", "ACC_CODE", ""}, {"8535", "", "ACC_CODE", "14-08-2020-09:53:00"}, {"8535", "8536", "ACC_CODE", ":a:b"},
		{"8535", "", "ACC_CODE", `a\b`}, {"8535", "", "", ""}, {"8535", "8536", "ACC", "plain"},
	} {
		escaped := make([]string, len(fields))
		for i, f := range fields {
			escaped[i] = escape(f)
		}
		for _, content := range []string{strings.Join(fields, ":"), strings.Join(escaped, ":")} {
			body := adyenItem(t, fields, content+adyenTail)
			if reason, _ := run(adyen(t), sent{target: "/", contentType: jsonType, body: body}.request()); reason != authz.OK {
				t.Errorf("%q signed as %s: %s", fields, content, reason)
			}
			other := adyenItem(t, fields, content+"0"+adyenTail)
			if reason, _ := run(adyen(t), sent{target: "/", contentType: jsonType, body: other}.request()); reason != authz.SignatureInvalid {
				t.Errorf("%q signed with another reference: %s", fields, reason)
			}
		}
	}
}

// What was signed is read in one way only: of all fields that make the same
// content, no two sets pass.
func TestAdyenColonsDoNotMove(t *testing.T) {
	for _, content := range []string{
		"report_2022-11-01T00:00:00_2022-11-02T23:59:59.csv::ACC_CODE:", "a:b::ACC:", "a:b:c::ACC:", "8535::ACC:14:09:53", "8535:8536:ACC::x:",
		"8535::ACC:::", "8535:::x:y", `8535::ACC:a\:b`, `8535\:1:2:3:4:`, `a\:b::ACC:`, `8535::ACC:a\\:b`, "a::b::c::d:", ":::::", `8535:1:2:x:y\`,
	} {
		let := map[string]bool{}
		colons := strings.Count(content, ":")
		for i := range colons {
			for j := i + 1; j < colons; j++ {
				for k := j + 1; k < colons; k++ {
					parts := strings.Split(content, ":")
					fields := []string{
						strings.Join(parts[:i+1], ":"), strings.Join(parts[i+1:j+1], ":"), strings.Join(parts[j+1:k+1], ":"), strings.Join(parts[k+1:], ":"),
					}
					for _, f := range [][]string{fields, unescaped(fields)} {
						body := adyenItem(t, f, content+adyenTail)
						if reason, _ := run(adyen(t), sent{target: "/", contentType: jsonType, body: body}.request()); reason == authz.OK {
							let[strings.Join(f, "|")] = true
						}
					}
				}
			}
		}
		if len(let) > 1 {
			t.Errorf("%s has %d meanings: %v", content, len(let), let)
		}
	}
}

func unescaped(fields []string) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = strings.NewReplacer(`\\`, `\`, `\:`, `:`).Replace(f)
	}
	return out
}
