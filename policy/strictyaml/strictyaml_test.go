package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// decode reads a webhook that is good but for the given lines.
func decode(t *testing.T, lines string) (*policyv1.Webhook, string) {
	t.Helper()
	p := &policyv1.Policy{}
	text := "webhooks:\n- name: a\n  match: {path: /a}\n  " + strings.ReplaceAll(lines, "\n", "\n  ") + "\n"
	_, err := strictyaml.Options{}.Decode("f", []byte(text), p)
	if err != nil {
		return nil, err.Error()
	}
	return p.GetWebhooks()[0], ""
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{
		"1": 1, "64KiB": 64 << 10, "1MiB": 1 << 20, "2GiB": 2 << 30, `"5"`: 5, "17179869183GiB": 17179869183 << 30,
	} {
		w, problem := decode(t, "limits: {max_body_bytes: "+text+"}")
		if got := w.GetLimits().GetMaxBodyBytes(); got != want {
			t.Errorf("%s is %d, want %d; %s", text, got, want, problem)
		}
	}
	for _, text := range []string{"1KB", "1 MiB", "1.5MiB", "-1", "+1", "1e3", "0x10", "1_000", "18446744073709551616", "17179869184GiB", "KiB", "[1]"} {
		if _, problem := decode(t, "limits: {max_body_bytes: "+text+"}"); !strings.HasPrefix(problem, "f:4:28: webhooks[0].limits.max_body_bytes: must be a number, or a size such as 64KiB or 1MiB, not ") {
			t.Errorf("%s: %q", text, problem)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, text := range []string{"4294967296", "-1", "1.0", `"1"`, "0o1", "one", "{}"} {
		if _, problem := decode(t, "limits: {max_signatures: "+text+"}"); !strings.Contains(problem, "must be a number, 0 or more, not ") {
			t.Errorf("%s: %q", text, problem)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"300s": 300 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, `"24h"`: 24 * time.Hour, "10ms": 10 * time.Millisecond,
	} {
		w, problem := decode(t, "freshness: {tolerance: "+text+"}")
		if got := w.GetFreshness().GetTolerance().AsDuration(); got != want {
			t.Errorf("%s is %s, want %s; %s", text, got, want, problem)
		}
	}
	for text, want := range map[string]string{
		"300": `not "300"`, "5 m": `not "5 m"`, "1d": `not "1d"`, "9999999999h": `not "9999999999h"`, "[5m]": "not a list", "{}": "not a mapping",
		"0": "more than 0s", "0s": "more than 0s", "-5s": "more than 0s", "169h": "at most 168h",
	} {
		if _, problem := decode(t, "freshness: {tolerance: "+text+"}"); !strings.Contains(problem, "f:4:") || !strings.Contains(problem, want) {
			t.Errorf("%s: %q, want %q", text, problem, want)
		}
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-10-01T00:00:00Z", `"2026-10-01T00:00:00Z"`, "2026-10-01T02:00:00+02:00", "2026-10-01T00:00:00.000Z"} {
		w, problem := decode(t, "secrets: [{file: x, not_before: "+text+"}]")
		if got := w.GetSecrets(); len(got) != 1 || !got[0].GetNotBefore().AsTime().Equal(want) {
			t.Errorf("%s is %v; %s", text, got, problem)
		}
	}
	for _, text := range []string{"2026-10-01", "2026-10-01 00:00:00", "2026-10-01T00:00:00", "1790000000", "2026-02-30T00:00:00Z", "[x]"} {
		if _, problem := decode(t, "secrets: [{file: x, not_before: "+text+"}]"); !strings.Contains(problem, "not_before: must be a time such as 2026-10-01T00:00:00Z, not ") {
			t.Errorf("%s: %q", text, problem)
		}
	}
}

func TestEnums(t *testing.T) {
	for text, want := range map[string]string{
		"SHADOW":           "",
		"shadow":           `"shadow" is not one of ENFORCE, SHADOW; did you mean SHADOW?`,
		"ENFORCED":         `"ENFORCED" is not one of ENFORCE, SHADOW; did you mean ENFORCE?`,
		"OFF":              `"OFF" is not one of ENFORCE, SHADOW`,
		"2":                `"2" is not one of ENFORCE, SHADOW`,
		"MODE_UNSPECIFIED": `"MODE_UNSPECIFIED" is not one of ENFORCE, SHADOW`,
		"[SHADOW]":         "must be a name in upper case, not a list",
	} {
		_, problem := decode(t, "mode: "+text)
		if want != "" {
			want = "f:4:9: webhooks[0].mode: " + want
		}
		if problem != want {
			t.Errorf("%s: %q, want %q", text, problem, want)
		}
	}
}

func TestTexts(t *testing.T) {
	for text, want := range map[string]string{
		"2026-10": "2026-10", "2026": "2026", "1.10": "1.10", "0x1F": "0x1F", `"true"`: "true", "no": "no", "2026-10-01": "2026-10-01",
	} {
		w, problem := decode(t, "secrets: [{file: x, id: "+text+"}]")
		if got := w.GetSecrets(); len(got) != 1 || got[0].GetId() != want {
			t.Errorf("%s is %v; %s", text, got, problem)
		}
	}
	for _, text := range []string{"true", "False", `""`, "~", "!!str x", "&a x", "[x]"} {
		if _, problem := decode(t, "secrets: [{file: x, id: "+text+"}]"); !strings.HasPrefix(problem, "f:4:27: webhooks[0].secrets[0].id: ") {
			t.Errorf("%s: %q", text, problem)
		}
	}
}

func TestBools(t *testing.T) {
	scheme := "scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [x], numbered: %s}, content: [{body: {}}]}}"
	for text, want := range map[string]bool{"true": true, "True": true, "false": false} {
		w, problem := decode(t, fmt.Sprintf(scheme, text))
		if got := w.GetScheme().GetHmac().GetSignature().GetNumbered(); got != want || problem != "" {
			t.Errorf("%s is %v; %s", text, got, problem)
		}
	}
	for _, text := range []string{"yes", `"true"`, "1", "{}"} {
		if _, problem := decode(t, fmt.Sprintf(scheme, text)); !strings.Contains(problem, "numbered: must be true or false, not ") {
			t.Errorf("%s: %q", text, problem)
		}
	}
}

func TestOneofs(t *testing.T) {
	for text, want := range map[string]string{
		"secrets: [{file: x}]":         "",
		"secrets: [{env: x}]":          "",
		"secrets: [{id: x}]":           "f:4:13: webhooks[0].secrets[0]: needs one of file, env, url",
		"secrets: [{file: x, env: x}]": "f:4:23: webhooks[0].secrets[0].env: only one of file and env may be given; file is at 4:14",
		"scheme: {}":                   "f:4:3: webhooks[0].scheme: needs one of hmac, shared_token, jws, code, rsa, ecdsa, ed25519, http_signature",
	} {
		if _, problem := decode(t, text); problem != want {
			t.Errorf("%s: %q, want %q", text, problem, want)
		}
	}
}

// Both names of a key mean the same field, also to the rules and the places.
func TestNames(t *testing.T) {
	a, problem := decode(t, "sourceIp: {allow: [192.0.2.1]}\nlimits: {maxBodyBytes: 5}")
	b, _ := decode(t, "source_ip: {allow: [192.0.2.1]}\nlimits: {max_body_bytes: 5}")
	if problem != "" || protojson.Format(a) != protojson.Format(b) {
		t.Errorf("%v and %v; %s", a, b, problem)
	}
	_, problem = decode(t, "limits: {max_body_bytes: 1, maxBodyBytes: 2, maxHeaderBytes: 0}")
	want := "f:4:31: webhooks[0].limits.max_body_bytes: given twice; the first one is at 4:12\n" +
		"f:4:48: webhooks[0].limits.max_header_bytes: must be more than 0 and at most 1048576"
	if problem != want {
		t.Errorf("%q, want %q", problem, want)
	}
}

// What was not read in a list does not move the errors of the other items.
func TestListsKeepTheirPlaces(t *testing.T) {
	_, problem := decode(t, "limits: {content_types: [[x], text/plain, JSON, true]}")
	want := []string{
		"f:4:28: webhooks[0].limits.content_types[0]: must be text, not a list",
		"f:4:45: webhooks[0].limits.content_types[2]: must be a media type in lower case without parameters, such as application/json",
		`f:4:51: webhooks[0].limits.content_types[3]: must be text; write "true" with quotes if that is what you mean`,
	}
	if problem != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", problem, strings.Join(want, "\n"))
	}
}

func TestEmptyLists(t *testing.T) {
	text := []byte("webhooks: [{name: a, match: {path: /a}, source_ip: {deny: []}}]")
	deny := strictyaml.Options{EmptyLists: []protoreflect.FullName{"hookbastion.policy.v1.SourceIP.deny"}}
	if _, err := deny.Decode("f", text, &policyv1.Policy{}); err != nil {
		t.Error(err)
	}
	if _, err := (strictyaml.Options{}).Decode("f", text, &policyv1.Policy{}); err == nil {
		t.Error("an empty list is accepted")
	}
}

func TestPlace(t *testing.T) {
	text := "# head\nwebhooks:\n  - name: a\n    match: {path: /a, methods: [POST, GET]}\n    sourceIp:\n      allow:\n        - 192.0.2.1\n"
	doc, err := strictyaml.Options{}.Decode("f", []byte(text), &policyv1.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path strictyaml.Path
		want string
	}{
		{nil, "2:1"},
		{strictyaml.Path{"webhooks"}, "2:1"},
		{strictyaml.Path{"webhooks", 0}, "3:5"},
		{strictyaml.Path{"webhooks", 0, "name"}, "3:5"},
		{strictyaml.Path{"webhooks", 0, "match", "methods", 1}, "4:39"},
		{strictyaml.Path{"webhooks", 0, "source_ip", "allow", 0}, "7:11"},
		{strictyaml.Path{"webhooks", 0, "source_ip", "deny", 0}, "5:5"}, // the last one that is there
		{strictyaml.Path{"webhooks", 7, "name"}, "2:1"},
		{strictyaml.Path{"webhooks", "name"}, "2:1"},
		{strictyaml.Path{"webhooks", 0, "name", "x"}, "3:5"},
	} {
		line, column := doc.Place(test.path)
		if got := fmt.Sprintf("%d:%d", line, column); got != test.want {
			t.Errorf("%s is at %s, want %s", test.path, got, test.want)
		}
	}
	if line, column := (strictyaml.Options{}).Empty("settings").Place(strictyaml.Path{"x"}); line != 0 || column != 0 {
		t.Errorf("a document without a text has a place %d:%d", line, column)
	}
}

func TestErrorsAreInOrder(t *testing.T) {
	errs := strictyaml.Errors{
		{File: "b", Line: 1, Column: 1, Message: "4"}, {File: "a", Line: 10, Column: 1, Path: "x[0].y", Message: "3"},
		{File: "a", Line: 2, Column: 9, Message: "2"}, {File: "a", Message: "1"},
	}
	want := "a: 1\na:2:9: 2\na:10:1: x[0].y: 3\nb:1:1: 4"
	if got := errs.Err().Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := (strictyaml.Errors{}).Err(); err != nil {
		t.Errorf("no errors are %v", err)
	}
}

func TestSuggest(t *testing.T) {
	names := []string{"env", "file", "id", "not_before", "tolerance"}
	for got, want := range map[string]string{
		"flie": "file", "File": "file", "notbefore": "not_before", "NotBefore": "not_before", "tolerence": "tolerance", "ids": "id", "envs": "env",
		"": "", "x": "", "window": "", "tlrnce": "", strings.Repeat("tolerance", 100): "",
	} {
		if want != "" {
			want = "; did you mean " + want + "?"
		}
		if hint := strictyaml.Suggest(got, names); hint != want {
			t.Errorf("%s: %q, want %q", got, hint, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"large":   strings.Repeat("#", strictyaml.MaxBytes+1),
		"deep":    strings.Repeat("[", 20000),
		"nested":  "webhooks: [{name: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}]",
		"a bomb":  "webhooks: &a [x, x]\n" + strings.Repeat("b: &b [*a, *a, *a]\n", 1000),
		"utf-8":   "webhooks: \xff",
		"control": "webhooks: \x00",
	} {
		_, err := strictyaml.Options{}.Decode("f", []byte(text), &policyv1.Policy{})
		var errs strictyaml.Errors
		if !errors.As(err, &errs) || errs[0].Line < 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
