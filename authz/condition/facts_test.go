package condition_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
)

// TestFacts: what is always so is found, also where it is written in several ways, and what
// may be otherwise never is.
func TestFacts(t *testing.T) {
	known := map[string][]any{"method": {"POST"}, "path": {"/a"}, "webhook": {"a"}, "tenant": {""}, "now": {time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)}}
	two := map[string][]any{"method": {"POST", "PUT"}}
	for _, c := range []struct {
		text  string
		known map[string][]any
		want  string
	}{
		{"true", nil, "always"},
		{"1 == 1", nil, "always"},
		{"'a' in ['a', 'b']", nil, "always"},
		{"true || body.x == 1", nil, "always"},
		{"body.x == 1 || true", nil, "always"},
		{"body.x == 1 || !(body.x == 1)", nil, "always"},
		{"body.x == 1 || body.x != 1", nil, "always"},
		{"body.x != 'a' || body.x != 'b'", nil, "always"},
		{"body.x == body.x", nil, "always"},
		{"body.n > 5 || body.n < 10", nil, "always"},
		{"body.n >= 5 || body.n < 5", nil, "always"},
		{"10 > body.n || 5 < body.n", nil, "always"},
		{"size(body.items) >= 0", nil, "always"},
		{"body.items.size() > -1", nil, "always"},
		{"(body.x == 1) == true || body.x != 1", nil, "always"},
		{"body.x == 1 ? true : body.x != 1", nil, "always"},
		{"headers['x-a'][0].startsWith('')", nil, "always"},
		{"headers['x-a'][0].matches('.*')", nil, "always"},
		{"headers['x-a'][0].matches('^.*$')", nil, "always"},
		{"headers['x-a'].all(v, true)", nil, "always"},
		{"headers['x-a'].all(v, v == v)", nil, "always"},
		{"'x-a' in headers || !('x-a' in headers)", nil, "always"},
		{"headers['x-a'] == headers.x || headers['x'] != headers.x", nil, ""},
		{"method == 'POST'", known, "always"},
		{"method in ['POST', 'PUT']", known, "always"},
		{"method in ['POST', 'PUT']", two, "always"},
		{"path.startsWith('/')", known, "always"},
		{"webhook == 'a'", known, "always"},
		{"tenant == ''", known, "always"},

		{"false", nil, "never"},
		{"method == 'GET'", known, "never"},
		{"body.x == 1 && body.x == 2", nil, "never"},
		{"body.n > 10 && body.n < 5", nil, "never"},
		{"size(body.items) < 0", nil, "never"},
		{"body.x == 1 && body.x != 1", nil, "never"},
		{"body.items.exists(i, false)", nil, "never"},
		{"tenant == 'acme'", known, "never"},

		{"body.livemode == true", nil, ""},
		{"body.livemode", nil, ""},
		{"method == 'POST'", nil, ""},
		{"method == 'POST'", two, ""},
		{"body.x == 1 || body.y != 1", nil, ""},
		{"body.n > 5 && body.n < 10", nil, ""},
		{"body.n > 10 || body.n < 5", nil, ""},
		{"headers['x-a'][0].matches('^a.*$')", nil, ""},
		{"headers['x-a'].all(v, v == 'off')", nil, ""},
		{"body.a == body.b", nil, ""},
		{"size(body.items) > 0", nil, ""},
		{"!(size(body.l) > 1) || size(body.l) > 3", nil, ""},
		{"now - signed_time < duration('60s')", nil, ""},
		{"now > timestamp('2020-01-01T00:00:00Z')", nil, ""},
		{"now > timestamp('2020-01-01T00:00:00Z')", known, "always"},
		{"timestamp('2020-01-01T00:00:00Z') >= now", known, "never"},
		{"now > timestamp('2030-01-01T00:00:00Z')", known, ""},
		{"body.x in [1, 2, 3]", nil, ""},
		{"has(body.x)", nil, ""},
		{"body.x == 'a' || body.x == 1", nil, ""},
		{"body.s < 'm' || body.s > 'a'", nil, "always"},
		{"body.s < 'a' || body.s > 'm'", nil, ""},
	} {
		facts, err := condition.FactsOf(c.text, c.known)
		got := map[[2]bool]string{{true, false}: "always", {false, true}: "never"}[[2]bool{facts.Always, facts.Never}]
		if err != nil || got != c.want {
			t.Errorf("%s: %q, want %q, %v", c.text, got, c.want, err)
		}
	}
}

func TestReads(t *testing.T) {
	for text, want := range map[string]string{
		"headers['x-event'][0] == 'push'":                     "[headers['x-event']]",
		"headers.host[0] == 'a' && 'x' in query":              "[headers['host'] query['x']]",
		"body.a.b == query.x[0]":                              "[body query['x']]",
		"headers.all(name, name != 'x')":                      "[headers]",
		"body.items.all(i, i.id in headers['x'])":             "[body headers['x']]",
		"method == 'POST' || source.startsWith('10.')":        "[method source]",
		"now - signed_time < duration('60s')":                 "[now signed_time]",
		"headers[body.name][0] == 'x'":                        "[headers body]",
		"[body.x].exists(method, method == 'a') && path > ''": "[body path]",
		"true": "[]",
	} {
		facts, err := condition.FactsOf(text, nil)
		if got := fmt.Sprint(facts.Reads); err != nil || got != want {
			t.Errorf("%s: %s, want %s, %v", text, got, want, err)
		}
	}
}

// What is said to be always so must be so for every request: the two are never said
// together, and an expression that does not compile has no facts.
func TestFactsOfNothing(t *testing.T) {
	if facts, err := condition.FactsOf("no such name", nil); err == nil || facts.Always || facts.Never || len(facts.Reads) > 0 {
		t.Errorf("%+v, %v", facts, err)
	}
	many := "true"
	for i := range 20 {
		many += fmt.Sprintf(" && body.a%d == %d", i, i)
	}
	if facts, err := condition.FactsOf(many, nil); err != nil || facts.Always || facts.Never {
		t.Errorf("%+v, %v", facts, err)
	}
	if slices.Contains([]string{condition.Read{Name: "headers", Key: "a"}.String()}, "headers") {
		t.Error("the key is not said")
	}
}

// TestFactsHold makes expressions at random and sends bodies at random: what is said to be
// always so is never false, and what is said never to be so is never true.
func TestFactsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	term := func() string { return pick("body.a", "body.b", "size(body.l)", "headers['x'][0]") }
	constant := func() string { return pick("0", "1", "2", "-1", "1.5", "'a'", "'b'", "''", "true", "null") }
	var expression func(depth int) string
	expression = func(depth int) string {
		if depth == 0 {
			switch r.IntN(6) {
			case 0:
				return term() + " in [" + constant() + ", " + constant() + "]"
			case 1:
				return "has(body.a)"
			case 2:
				return term() + pick(" == ", " != ") + term()
			case 3:
				return "body.l.all(v, " + pick("v", "body.a") + pick(" == ", " != ") + constant() + ")"
			default:
				return term() + pick(" == ", " != ", " < ", " <= ", " > ", " >= ") + constant()
			}
		}
		switch r.IntN(5) {
		case 0:
			return "!(" + expression(depth-1) + ")"
		case 1:
			return "(" + expression(depth-1) + ") ? (" + expression(depth-1) + ") : (" + expression(depth-1) + ")"
		default:
			return "(" + expression(depth-1) + ")" + pick(" && ", " || ") + "(" + expression(depth-1) + ")"
		}
	}
	value := func() string {
		return pick("0", "1", "2", "-1", "1.5", "7", "\"a\"", "\"b\"", "\"\"", "\"c\"", "true", "false", "null", "[1]")
	}
	said := 0
	for range 1500 {
		text := expression(1 + r.IntN(3))
		held, err := condition.Compile(text)
		if err != nil {
			continue // as a comparison of two kinds of values
		}
		failed, err := condition.Compile("!(" + text + ")")
		if err != nil {
			continue
		}
		facts, err := condition.FactsOf(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !facts.Always && !facts.Never {
			continue
		}
		said++
		for range 200 {
			body := `{"a":` + value() + `,"b":` + value() + `,"l":[` + pick("", "1", "\"a\",2", "null") + `]}`
			call := &authz.Call{Context: t.Context(), Request: &authz.Request{
				Headers: authz.Headers{{Name: authz.View("x"), Value: authz.View(pick("a", "b", "", "c"))}},
				Body:    authz.Body{Segments: [][]byte{[]byte(body)}},
			}}
			is := func(e *condition.Expression) bool {
				return (&condition.Check{Expressions: []*condition.Expression{e}}).Run(call) == authz.OK
			}
			if facts.Always && is(failed) || facts.Never && is(held) {
				t.Fatalf("%s is said to be always %v, and is not for %s", text, facts.Always, body)
			}
		}
	}
	if said < 50 {
		t.Errorf("of only %d expressions something was said", said)
	}
}
