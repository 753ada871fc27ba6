package condition_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
)

var now = time.Unix(1_795_500_000, 0)

func call(body string) *authz.Call {
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View("h.example"), Path: authz.View("/a/b?x=1&x=2&y"),
		Source: netip.MustParseAddr("192.0.2.1"),
		Headers: authz.Headers{
			{Name: authz.View("x-event"), Value: authz.View("push")},
			{Name: authz.View("x-event"), Value: authz.View("ping")},
		},
		Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(body[:len(body)/2]), []byte(body[len(body)/2:])}},
	}
	return &authz.Call{
		Context: context.Background(), Request: req, Now: now, Webhook: "hook", Tenant: authz.View("acme"),
		KeyID: "key-1", SignedTime: now.Add(-time.Minute), Explanation: &authz.Explanation{},
	}
}

func TestConditions(t *testing.T) {
	const good = `{"livemode":true,"n":3,"f":1.5,"big":12345678901234567890,"s":"a","list":[{"id":1},{"id":2}],"none":null,"huge":1e400,"tiny":-1e400,"small":-1e-400}`
	allow := func(text string) [3]string { return [3]string{text, good, "ok"} }
	deny := func(text, body string) [3]string { return [3]string{text, body, "condition_failed"} }
	for _, c := range [][3]string{
		allow("body.livemode == true"),
		allow("body.livemode"),
		allow("body.n == 3 && body.n < 4 && body.f > 1.0"),
		allow("body.s == 'a' && size(body.list) == 2 && body.list[1].id == 2"),
		allow("body.list.all(i, i.id > 0)"),
		allow("has(body.s) && !has(body.absent)"),
		allow("body.none == null"),
		allow("body.big > 1.0"),
		allow("body.huge > 1.0 && body.tiny < 0 && !(body.tiny >= 0) && body.small == 0"),
		allow("headers['x-event'] == ['push', 'ping']"),
		allow("'x-event' in headers && !('x-other' in headers)"),
		allow("query['x'] == ['1', '2'] && query['y'] == ['']"),
		allow("method == 'POST' && path == '/a/b' && host == 'h.example' && source == '192.0.2.1'"),
		allow("webhook == 'hook' && tenant == 'acme' && key_id == 'key-1'"),
		allow("now - signed_time == duration('60s')"),
		allow("path.startsWith('/a') && path.matches('^/[ab/]+$')"),
		{"method == 'POST'", "no JSON at all", "ok"}, // nothing reads it
		deny("body.livemode == false", good),
		deny("body.absent == 1", good),
		deny("body.s == 1", good),
		deny("body.s > 1", good),
		deny("body.s", good), // a text
		deny("headers['x-other'] == ['1']", good),
		deny("body.a == 1", ""),
		deny("body.a == 1", "a=1"),
		deny("body.a == 1", `{"a":1`),
		deny("body.a == 1", `{"a":1}{}`),
		deny("body.a == 1", `{"a":2,"a":1}`),
		deny("body.a == 1", `{"a":1,"A":2}`),
		deny("body.b.a == 1", `{"b":{"a":1,"a":1}}`),
		deny("body.a == 1", `{"a":1,"b":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`}`),
		deny("body.a == 1", `{"a":1,"b":"`+strings.Repeat("x", condition.MaxBodyBytes)+`"}`),
	} {
		e, err := condition.Compile(c[0])
		if err != nil {
			t.Errorf("%s: %v", c[0], err)
			continue
		}
		check := &condition.Check{Expressions: []*condition.Expression{e}}
		if got := check.Run(call(c[1])); got.String() != c[2] {
			t.Errorf("%s of %.60s: %s, want %s", c[0], c[1], got, c[2])
		}
		if reads := strings.Contains(c[0], "body"); check.ReadsBody() != reads {
			t.Errorf("%s: reads the body: %v", c[0], !reads)
		}
	}
}

// The first condition that fails ends it; an unsigned time is not there.
func TestConditionsAreAllAsked(t *testing.T) {
	var all []*condition.Expression
	for _, text := range []string{"method == 'POST'", "signed_time < now", "path == '/other'", "webhook == 'hook'"} {
		e, err := condition.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	for n, want := range map[int]authz.Reason{0: authz.OK, 1: authz.OK, 2: authz.OK, 3: authz.ConditionFailed, 4: authz.ConditionFailed} {
		if got := (&condition.Check{Expressions: all[:n]}).Run(call("")); got != want {
			t.Errorf("the first %d: %s, want %s", n, got, want)
		}
	}
	unsigned := call("")
	unsigned.SignedTime = time.Time{}
	if got := (&condition.Check{Expressions: all[:2]}).Run(unsigned); got != authz.ConditionFailed {
		t.Errorf("without a signed time: %s", got)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	late := call("")
	late.Context = gone
	if got := (&condition.Check{Expressions: all[:1]}).Run(late); got != authz.Timeout {
		t.Errorf("after the call has ended: %s", got)
	}
}

func TestWhatIsNoCondition(t *testing.T) {
	for text, want := range map[string]string{
		"body.action ==":       "is no condition: Syntax error: mismatched input '<EOF>'",
		"bodi == 1":            "is no condition: undeclared reference to 'bodi' (in container '') (column 1)",
		"method == 1":          "is no condition: found no matching overload for '_==_' applied to '(string, int)' (column 8)",
		"'text'":               "is not true or false",
		"body.matches('[')":    "",
		"now":                  "is not true or false",
		"method.matches('a(')": "",
	} {
		_, err := condition.Compile(text)
		if got := fmt.Sprint(err); want != "" && !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// Who compares all values of a name with one is told how to take the first.
func TestAsList(t *testing.T) {
	for text, list := range map[string]string{
		`headers['x-github-event'] == 'push'`:                `headers['x-github-event']`,
		`'push' == headers.event`:                            `headers.event`,
		`query["a"].startsWith('b')`:                         `query["a"]`,
		`body.x == 1 && headers['a'] in ['b']`:               `headers['a']`,
		`headers['a'][0] == 3`:                               "",
		`body.x.startsWith(1)`:                               "",
		`['a'] == 'a'`:                                       "",
		`method == 1 || headers['a'][0] == 'b'`:              "",
		`headers['` + strings.Repeat("x", 200) + `'] == 'a'`: "",
	} {
		_, err := condition.Compile(text)
		if err == nil {
			t.Errorf("%s is a condition", text)
			continue
		}
		_, advice, found := strings.Cut(err.Error(), "; ")
		if want := list + " is the list of all values: write " + list + "[0] for the first"; found != (list != "") || found && advice != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
