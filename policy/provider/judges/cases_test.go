package judges_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// testCase is one delivery that both sides judge.
type testCase struct {
	name string
	*delivery
	now      time.Time
	secret   string // that both sides have; empty: the judge's
	mustPass bool   // it is honest, so both must not refuse
}

// signer makes a signed delivery of a body at a time.
type signer func(body string, at time.Time) *delivery

// cases are all deliveries for one judge.
func (j *judge) cases(t *testing.T, s *policyv1.NamedScheme, us *ours, h *host) []testCase {
	t.Helper()
	plain := func(body string) *delivery {
		d := &delivery{method: "POST", url: publicURL + j.target(), body: []byte(body)}
		if j.method != "" {
			d.method = j.method
		}
		kind := "application/json"
		if j.form {
			kind = "application/x-www-form-urlencoded"
		}
		d.headers = append([][2]string{{"content-type", kind}}, j.headers...)
		return d
	}
	signWith := func(us *ours, secret, body string, at time.Time) *delivery {
		d := us.sign(plain(body), at)
		if d != nil && j.adapt != nil {
			d = j.adapt(t, d, secret)
		}
		return d
	}
	sign := func(body string, at time.Time) *delivery { return signWith(us, j.secretFor(s), body, at) }
	signed := sign(j.bodyAt(signedAt), signedAt)
	if signed == nil {
		t.Fatal("nothing is signed")
	}
	list := []testCase{
		{name: "signed by us", delivery: signed, mustPass: true},
		{name: "another secret", delivery: signed, secret: j.otherSecretFor(s)},
		{name: "no headers", delivery: plain(j.bodyAt(signedAt))},
	}
	if j.signs {
		list = append(list, testCase{name: "signed by them", delivery: j.theirs(t, h, s, plain(j.bodyAt(signedAt))), mustPass: true})
	}
	for _, c := range j.secrets(s) {
		d := signWith(newOurs(t, j, c.secret), c.secret, j.bodyAt(signedAt), signedAt)
		list = append(list, testCase{name: "secret: " + c.name, delivery: d, secret: c.secret})
	}
	list = append(list, bodies(j, signed, sign)...)
	list = append(list, targets(signed)...)
	parts := partsOf(s, plain(""), signed)
	list = append(list, headerCases(parts, signed)...)
	list = append(list, textCases(s, parts, signed, sign, j)...)
	list = append(list, publicKeyCases(s, parts, signed)...)
	list = append(list, listCases(s, parts, signed)...)
	list = append(list, timeCases(j, s, parts, signed, sign)...)
	list = append(list, formCases(j, signed, sign)...)
	list = append(list, tokenCases(t, j, s, signed)...)
	list = append(list, itemCases(j, signed)...)
	list = append(list, messageCases(j, signed)...)
	list = append(list, randomCases(j, parts, signed)...)
	for i := range list {
		if list[i].now.IsZero() {
			list[i].now = signedAt
		}
	}
	return list
}

// secrets are unusual ones, where the provider's secret is any text.
func (j *judge) secrets(s *policyv1.NamedScheme) []struct{ name, secret string } {
	hmac := s.GetScheme().GetHmac()
	if hmac.GetKeyEncoding() > policyv1.Key_TEXT || len(hmac.GetKeyPrefixes()) > 0 || j.secret == hexSecret || j.pair != nil {
		return nil
	}
	return []struct{ name, secret string }{
		{"longer than a block", strings.Repeat("0123456789abcdef", 20)},
		{"not ASCII", "Zoë's señal 🐙 with spaces and = + / signs"},
		{"like whsec_", "whsec_" + base64Secret},
		{"hexadecimal", hexSecret},
	}
}

func (j *judge) target() string {
	if j.path != "" {
		return j.path
	}
	return "/hook/a"
}

func (j *judge) bodyAt(at time.Time) string {
	switch {
	case j.method == "GET":
		return ""
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
	secret := j.secretFor(s)
	if j.pair != nil {
		secret = j.pair.privatePEM()
	}
	answer := h.ask(t, d.question("sign", j, secret, signedAt))
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
	if len(signed.body) == 0 {
		d := signed.clone()
		d.body = []byte("{}")
		return []testCase{{name: "body: one added", delivery: d}}
	}
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
	for _, c := range []struct{ name, body string }{
		{"empty, signed", ""},
		{"not ASCII, signed", `{"name":"Zoë 🐙 \u00e9"}`},
		{"not UTF-8, signed", "{\"name\":\"\xff\xfe\"}"},
		{"not JSON, signed", "hello=world&x=<y>"},
		{"with NUL, signed", "{\"a\":\"\x00\"}"},
		{"line breaks, signed", "{\r\n  \"a\": 1\n}\n"},
		{"loose JSON, signed", `{ "b" : 1.0, "a" : "\/" , "b": 2 }`},
		{"long, signed", `{"a":"` + strings.Repeat("x", 70_000) + `"}`},
		{"byte order mark, signed", "\ufeff{}"},
		{"what JavaScript escapes, signed", "{\"a\":\"<&>\u2028\\\\ \\\" \u007f\"}"},
	} {
		if d := sign(c.body, signedAt); d != nil {
			list = append(list, testCase{name: "body: " + c.name, delivery: d})
		}
	}
	return list
}

// targets are the same delivery to other addresses.
func targets(signed *delivery) []testCase {
	separator := "?"
	if strings.Contains(signed.url, "?") {
		separator = "&"
	}
	var list []testCase
	for _, c := range []struct{ name, url string }{
		{"query added", signed.url + separator + "added=1"},
		{"path changed", strings.Replace(signed.url, "/hook/a", "/hook/b", 1)},
		{"slash added", strings.Replace(signed.url, "/hook/a", "/hook/a/", 1)},
		{"query in another order", strings.Replace(signed.url, "b=2&a=1", "a=1&b=2", 1)},
		{"query value changed", strings.Replace(signed.url, "=1", "=3", 1)},
		{"query value escaped", strings.Replace(signed.url, "=1", "=%31", 1)},
	} {
		d := signed.clone()
		if d.url = c.url; d.url != signed.url {
			list = append(list, testCase{name: "URL: " + c.name, delivery: d})
		}
	}
	d := signed.clone()
	d.method = "PUT"
	return append(list, testCase{name: "method changed", delivery: d})
}

// part is a header of a signed delivery, and what it is for.
type part struct {
	role, name, value string
}

// partsOf are the headers that signing added, the signature first.
func partsOf(s *policyv1.NamedScheme, plain, signed *delivery) []part {
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
		case strings.EqualFold(scheme.Signed().GetTimestamp().GetHeader(), h[0]):
			p.role = "time"
		}
		for _, name := range scheme.KeyIDHeaders() {
			if strings.EqualFold(name, h[0]) {
				p.role = "key id"
			}
		}
		for _, c := range scheme.Signed().GetConstantHeaders() {
			if strings.EqualFold(c.GetName(), h[0]) {
				p.role = "constant"
			}
		}
		parts = append(parts, p)
	}
	return parts
}

func isSignature(s *policyv1.Scheme, name string) bool {
	if s.GetHttpSignature() != nil && strings.EqualFold(name, "signature") {
		return true
	}
	names := s.Signed().GetSignature().GetHeaders()
	for _, want := range append(slices.Clone(names), s.GetJws().GetHeader(), s.GetSharedToken().GetHeader()) {
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
		if n == len(parts) && len(signed.body) == 0 {
			continue
		}
		if n == len(parts) {
			d := signed.clone()
			d.body[random.IntN(len(d.body))] ^= byte(1 << random.IntN(7))
			name := "random: body"
			if strings.EqualFold(string(d.body), string(signed.body)) {
				name = "random: body, letter case"
			}
			list = append(list, testCase{name: name, delivery: d})
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
		if strings.EqualFold(value, p.value) {
			kind += " to its other case"
		}
		list = append(list, testCase{name: fmt.Sprintf("random: %s, a character %s", p.role, kind), delivery: signed.with(p.name, value)})
	}
	return list
}
