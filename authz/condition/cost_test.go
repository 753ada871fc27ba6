package condition_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
)

func list(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

// dear are conditions and the bodies that make the most work of them.
func dear() [][3]string {
	object := func(n int) string {
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprintf(`"k%d":1`, i))
		}
		return `{"z":{` + strings.Join(keys, ",") + `}}`
	}
	nested := func(n int) string { return "[" + list(n, "1") + "]" }
	text := func(n int, s string) string { return `"` + strings.Repeat(s, n) + `"` }
	return [][3]string{
		{"loops in loops", "body.a.all(x, body.a.all(y, body.a.all(z, x + y + z >= 0)))", `{"a":` + list(300, "0") + `}`},
		{"loops in loops that find nothing", "body.a.exists_one(x, body.a.exists_one(y, false))", `{"a":` + list(5000, "0") + `}`},
		{"filters in filters", "body.a.filter(x, body.a.filter(y, false) == []) == []", `{"a":` + list(5000, "0") + `}`},
		{"maps in maps", "body.a.map(x, body.a.map(y, true, y)).size() > 0", `{"a":` + list(5000, "0") + `}`},
		{"equal lists", "body.a.all(x, body.b == body.c)", `{"a":` + list(2500, "1") + `,"b":` + nested(3000) + `,"c":` + nested(3000) + `}`},
		{"unequal lists", "body.a.all(x, body.b != body.c || true)", `{"a":` + list(2500, "1") + `,"b":` + nested(3000) + `,"c":` + nested(3000) + `}`},
		{"equal objects", "body.a.all(x, body.b == body.c)", `{"a":` + list(2500, "1") + `,"b":` + object(1400) + `,"c":` + object(1400) + `}`},
		{"lists of one list", "body.a.map(x, body.a) == body.a.map(x, body.a)", `{"a":` + list(3000, "1") + `}`},
		{"joined lists", "body.a.all(x, (body.a + body.a + body.a) == (body.a + body.a + body.a))", `{"a":` + list(9000, "1") + `}`},
		{"a list in lists", "body.a.all(x, !(body.b[0] in body.c))", `{"a":` + list(1000, "1") + `,"b":` + nested(1500) + `,"c":[` + list(1499, "1") + `,` + list(1498, "1") + `]}`},
		{"a number in a list", "body.a.all(x, !(7 in body.a))", `{"a":` + list(9000, "1") + `}`},
		{"a pattern on a long text", "body.s.matches('(a|b|ab)*c')", `{"s":` + text(29_000, "ab") + `}`},
		{"a pattern that counts", "body.s.matches('((a{20}){20})+b')", `{"s":` + text(1000, "a") + `}`},
		{"a pattern in a loop", "body.a.all(x, !body.s.matches('^[a-z]+[0-9]$'))", `{"a":` + list(2000, "1") + `,"s":` + text(1000, "a") + `}`},
		{"joined texts", "body.a.all(x, (body.s + body.s + body.s).size() > 0)", `{"a":` + list(2000, "1") + `,"s":` + text(50_000, "x") + `}`},
		{"a text in a text", "body.a.all(x, !body.s.contains(body.t))", `{"a":` + list(2000, "1") + `,"s":` + text(30_000, "a") + `,"t":"` + strings.Repeat("a", 15_000) + `b"}`},
		{"the length of a text", "body.a.all(x, body.s.size() > 0)", `{"a":` + list(4000, "1") + `,"s":` + text(25_000, "é") + `}`},
		{"the start of a text", "body.a.all(x, body.s.startsWith(body.s))", `{"a":` + list(4000, "1") + `,"s":` + text(50_000, "x") + `}`},
		{"the order of texts", "body.a.all(x, body.s <= body.t)", `{"a":` + list(4000, "1") + `,"s":` + text(25_000, "x") + `,"t":` + text(25_000, "x") + `}`},
		{"equal texts", "body.a.all(x, body.s == body.t)", `{"a":` + list(4000, "1") + `,"s":` + text(25_000, "x") + `,"t":` + text(25_000, "x") + `}`},
		{"texts as bytes", "body.a.all(x, string(bytes(body.s)) == body.s)", `{"a":` + list(3000, "1") + `,"s":` + text(50_000, "x") + `}`},
		{"texts as times", "body.a.all(x, timestamp(body.s) < now)", `{"a":` + list(8000, "1") + `,"s":"2026-01-01T00:00:00Z"}`},
		{"texts as numbers", "body.a.all(x, int(body.s) == 0)", `{"a":` + list(4000, "1") + `,"s":` + text(40_000, "0") + `}`},
		{"time zones", "body.a.all(x, now.getHours(body.s) >= 0)", `{"a":` + list(100, "1") + `,"s":"America/Argentina/Buenos_Aires"}`},
		{"headers", "headers.all(k, headers.all(j, k == j || true))", `{}`},
		{"selections", "body.a.all(x, has(body.b.c.d.e.f.g) && body.b.c.d.e.f.g == 1 && body.b.c.d.e.f.g < 2)", `{"a":` + list(1200, "1") + `,"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}`},
		{"what is made", "body.a.all(x, {'a': [x, x, x], 'b': {'c': x}} != {})", `{"a":` + list(9000, "1") + `}`},
	}
}

func dearCall(body string) *authz.Call {
	req := &authz.Request{Body: authz.Body{Segments: [][]byte{[]byte(body)}, State: authz.BodyWhole}}
	for i := range 200 {
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(fmt.Sprintf("h%d", i)), Value: authz.View("v")})
	}
	return &authz.Call{Context: context.Background(), Request: req, Now: now}
}

func compiled(t testing.TB, texts ...string) *condition.Check {
	t.Helper()
	check := &condition.Check{}
	for _, text := range texts {
		e, err := condition.Compile(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		check.Expressions = append(check.Expressions, e)
	}
	return check
}

// What a sender can make dear ends with a timeout, and no clock decides it.
func TestCost(t *testing.T) {
	for _, c := range dear() {
		if got := compiled(t, c[1]).Run(dearCall(c[2])); got != authz.Timeout {
			t.Errorf("%s: %s, want %s", c[0], got, authz.Timeout)
		}
	}
}

// The bound is one for all conditions of a request.
func TestCostOfSeveral(t *testing.T) {
	const one = "body.a.all(x, x + 1 > 0)"
	body := `{"a":` + list(1000, "1") + `}`
	if got := compiled(t, one).Run(dearCall(body)); got != authz.OK {
		t.Fatalf("one: %s", got)
	}
	if got := compiled(t, one, one, one, one).Run(dearCall(body)); got != authz.Timeout {
		t.Errorf("four: %s, want %s", got, authz.Timeout)
	}
}

// What policies ask of ordinary deliveries is far below the bound.
func TestCostOfOrdinary(t *testing.T) {
	item := `{"id":"itm_0123456789","sku":"sku-12345","price":1234,"tags":["a","b","c"]}`
	body := `{"type":"order.created","livemode":true,"items":` + list(400, item) + `,"note":"` + strings.Repeat("n", 20_000) + `"}`
	for _, text := range []string{
		"body.items.all(i, i.price > 0 && i.sku.startsWith('sku-'))",
		"body.items.exists(i, 'd' in i.tags) || body.items.size() == 400",
		"body.items.map(i, i.price).all(p, p < 10000)",
		"body.items.filter(i, i.price > 2000) == []",
		"body.type.matches('^order[.](created|updated|deleted)$') && !body.note.contains('<script')",
		"headers.all(name, name.matches('^h[0-9]+$'))",
		"body.items.map(i, i.price).filter(p, p > 2000).size() == 0 && body.items.filter(i, i.price > 0).all(i, i.id != '')",
	} {
		if got := compiled(t, text).Run(dearCall(body)); got != authz.OK {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// A pattern that the sender writes is refused when the policy is loaded.
func TestPatternOfTheSender(t *testing.T) {
	for _, text := range []string{"body.s.matches(body.p)", "path.matches(headers['x'][0])", "body.a.all(p, path.matches(p))"} {
		if _, err := condition.Compile(text); err == nil || !strings.Contains(err.Error(), "must be a literal") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// BenchmarkCost is how long the dearest conditions take until they are ended.
func BenchmarkCost(b *testing.B) {
	for _, c := range dear() {
		b.Run(strings.ReplaceAll(c[0], " ", "-"), func(b *testing.B) {
			check, call := compiled(b, c[1]), dearCall(c[2])
			for b.Loop() {
				check.Run(call)
			}
		})
	}
}
