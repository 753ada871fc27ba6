package judges_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// testCase is one delivery that both sides judge.
type testCase struct {
	name string
	*delivery
	now         time.Time
	otherSecret bool // both sides have another secret
	mustPass    bool // it is honest, so both must not refuse
}

// signer makes a signed delivery of a body at a time.
type signer func(body string, at time.Time) *delivery

// cases are all deliveries for one judge.
func (j *judge) cases(t *testing.T, s *policyv1.NamedScheme, us *ours, h *host) []testCase {
	t.Helper()
	plain := func(body string) *delivery {
		d := &delivery{method: "POST", url: publicURL + j.target(), body: []byte(body)}
		kind := "application/json"
		if j.form {
			kind = "application/x-www-form-urlencoded"
		}
		d.headers = append([][2]string{{"content-type", kind}}, j.headers...)
		return d
	}
	sign := func(body string, at time.Time) *delivery { return us.sign(t, plain(body), at) }
	signed := sign(j.bodyAt(signedAt), signedAt)
	list := []testCase{
		{name: "signed by us", delivery: signed, mustPass: true},
		{name: "another secret", delivery: signed, otherSecret: true},
		{name: "no headers", delivery: plain(j.bodyAt(signedAt))},
	}
	if j.signs {
		list = append(list, testCase{name: "signed by them", delivery: j.theirs(t, h, s, plain(j.bodyAt(signedAt))), mustPass: true})
	}
	list = append(list, bodies(j, signed, sign)...)
	list = append(list, targets(signed)...)
	parts := partsOf(j, s, plain(""), signed)
	list = append(list, headerCases(parts, signed)...)
	list = append(list, textCases(s, parts, signed, sign, j)...)
	list = append(list, listCases(s, parts, signed)...)
	list = append(list, timeCases(j, s, parts, signed, sign)...)
	list = append(list, randomCases(j, parts, signed)...)
	for i := range list {
		if list[i].now.IsZero() {
			list[i].now = signedAt
		}
	}
	return list
}

func (j *judge) target() string {
	if j.path != "" {
		return j.path
	}
	return "/hook/a"
}

func (j *judge) bodyAt(at time.Time) string {
	switch {
	case j.body != nil:
		return j.body(at)
	case j.form:
		return "CallSid=CA123&To=%2B15550100&From=%2B15550101"
	default:
		return `{"id":"evt_1","type":"created","amount":12.50}`
	}
}

// theirs lets the library sign.
func (j *judge) theirs(t *testing.T, h *host, s *policyv1.NamedScheme, d *delivery) *delivery {
	t.Helper()
	answer := h.ask(t, d.question("sign", j, j.secretFor(s), signedAt))
	if !answer.OK || len(answer.Headers) == 0 {
		t.Fatalf("%s does not sign: %s", j.name(), answer.Error)
	}
	for name, value := range answer.Headers {
		if name == "" {
			d.body = []byte(value)
			continue
		}
		d = d.with(strings.ToLower(name), value)
	}
	return d
}

// bodies are altered bodies, and unusual ones that are signed.
func bodies(j *judge, signed *delivery, sign signer) []testCase {
	changed := func(name string, change func(body []byte) []byte) testCase {
		d := signed.clone()
		d.body = change(d.body)
		return testCase{name: "body: " + name, delivery: d}
	}
	list := []testCase{
		changed("one byte changed", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
		changed("one space added", func(b []byte) []byte { return append(b, ' ') }),
		changed("taken away", func([]byte) []byte { return nil }),
	}
	if j.body != nil || j.form {
		return list
	}
	for name, body := range map[string]string{
		"empty, signed":           "",
		"not ASCII, signed":       `{"name":"Zoë 🐙 \u00e9"}`,
		"not UTF-8, signed":       "{\"name\":\"\xff\xfe\"}",
		"not JSON, signed":        "hello=world&x=<y>",
		"with NUL, signed":        "{\"a\":\"\x00\"}",
		"line breaks, signed":     "{\r\n  \"a\": 1\n}\n",
		"loose JSON, signed":      `{ "b" : 1.0, "a" : "\/" , "b": 2 }`,
		"long, signed":            `{"a":"` + strings.Repeat("x", 70_000) + `"}`,
		"byte order mark, signed": "\ufeff{}",
	} {
		list = append(list, testCase{name: "body: " + name, delivery: sign(body, signedAt)})
	}
	return list
}

// targets are the same delivery to other addresses.
func targets(signed *delivery) []testCase {
	var list []testCase
	for name, change := range map[string]func(string) string{
		"query added":  func(u string) string { return u + "?added=1" },
		"path changed": func(u string) string { return strings.Replace(u, "/hook/a", "/hook/b", 1) },
		"slash added":  func(u string) string { return strings.Replace(u, "/hook/a", "/hook/a/", 1) },
	} {
		d := signed.clone()
		if strings.Contains(d.url, "?") && name == "query added" {
			change = func(u string) string { return u + "&added=1" }
		}
		d.url = change(d.url)
		list = append(list, testCase{name: "URL: " + name, delivery: d})
	}
	d := signed.clone()
	d.method = "GET"
	return append(list, testCase{name: "method changed", delivery: d})
}

// part is a header of a signed delivery, and what it is for.
type part struct {
	role, name, value string
}

// partsOf are the headers that signing added, the signature first.
func partsOf(j *judge, s *policyv1.NamedScheme, plain, signed *delivery) []part {
	var parts []part
	scheme := s.GetScheme()
	for _, h := range signed.headers {
		if plain.get(h[0]) == h[1] {
			continue
		}
		p := part{"signed header", h[0], h[1]}
		switch {
		case isSignature(scheme, h[0]):
			p.role = "signature"
			parts = append([]part{p}, parts...)
			continue
		case strings.EqualFold(scheme.GetHmac().GetTimestamp().GetHeader(), h[0]):
			p.role = "time"
		}
		for _, c := range scheme.GetHmac().GetConstantHeaders() {
			if strings.EqualFold(c.GetName(), h[0]) {
				p.role = "constant"
			}
		}
		parts = append(parts, p)
	}
	for _, h := range j.headers {
		if strings.EqualFold(scheme.GetHmac().GetKeyIdHeader(), h[0]) {
			parts = append(parts, part{"key id", h[0], h[1]})
		}
	}
	return parts
}

func isSignature(s *policyv1.Scheme, name string) bool {
	names := s.GetHmac().GetSignature().GetHeaders()
	for _, want := range append(names, s.GetJws().GetHeader(), s.GetSharedToken().GetHeader()) {
		if strings.EqualFold(want, name) || s.GetHmac().GetSignature().GetNumbered() && strings.EqualFold(want+"-1", name) {
			return true
		}
	}
	return false
}

// headerCases lose, repeat and spoil each header.
func headerCases(parts []part, signed *delivery) []testCase {
	var list []testCase
	for _, p := range parts {
		add := func(name string, d *delivery) {
			list = append(list, testCase{name: p.role + ": " + name, delivery: d})
		}
		add("missing", signed.without(p.name))
		add("empty", signed.with(p.name, ""))
		add("last character missing", signed.with(p.name, p.value[:len(p.value)-1]))
		add("first character missing", signed.with(p.name, p.value[1:]))
		add("one character more", signed.with(p.name, p.value+"0"))
		add("written twice", signed.with(p.name, p.value+p.value))
		twice := signed.clone()
		twice.headers = append(twice.headers, [2]string{p.name, p.value})
		add("header twice", twice)
		first := signed.without(p.name)
		first.headers = append(first.headers, [2]string{p.name, "x"}, [2]string{p.name, p.value})
		add("header twice, another first", first)
		add("in quotes", signed.with(p.name, `"`+p.value+`"`))
		if upper := strings.ToUpper(p.value); upper != p.value {
			add("all in capitals", signed.with(p.name, upper))
		}
	}
	return list
}

// randomCases change one place of one header or of the body, by a fixed seed.
func randomCases(j *judge, parts []part, signed *delivery) []testCase {
	var list []testCase
	random := newRandom(j)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789+/=-_,;.: "
	for range 40 {
		n := random.IntN(len(parts) + 1)
		if n == len(parts) {
			d := signed.clone()
			d.body[random.IntN(len(d.body))] ^= byte(1 << random.IntN(7))
			list = append(list, testCase{name: "random: body", delivery: d})
			continue
		}
		p := parts[n]
		at, letter := random.IntN(len(p.value)), string(letters[random.IntN(len(letters))])
		value := p.value
		kind := ""
		switch random.IntN(4) {
		case 0:
			kind, value = "changed", value[:at]+letter+value[at+1:]
		case 1:
			kind, value = "inserted", value[:at]+letter+value[at:]
		case 2:
			kind, value = "left out", value[:at]+value[at+1:]
		default:
			kind, value = "doubled", value[:at+1]+value[at:]
		}
		if value == p.value || strings.TrimSpace(value) != value {
			continue // the same, or no value that HTTP carries
		}
		list = append(list, testCase{name: fmt.Sprintf("random: %s, a character %s", p.role, kind), delivery: signed.with(p.name, value)})
	}
	return list
}
