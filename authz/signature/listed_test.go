package signature_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// The headers that a delivery lists are signed, and characters cannot move between them.
func TestListedHeaders(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Grammar, c.Key, c.Separator = signature.KeyValue, "v1", ','
		c.Time = signature.Time{Key: "t", Unit: signature.Seconds}
		c.Content = []signature.Part{
			{Kind: signature.Timestamp},
			{Kind: signature.Literal, Text: "."},
			{Kind: signature.Listed, Text: "h", Names: []string{"x-id"}},
			{Kind: signature.Literal, Text: "."},
			{Kind: signature.Body, WantsJSON: true},
		}
	})
	if open := h.Config().Open(); len(open) > 0 {
		t.Errorf("open between %q", open)
	}
	type sent struct {
		list, id, kind string
		want           authz.Reason
	}
	for name, c := range map[string]sent{
		"as it should be":                   {"x-id x-kind", "1a", "payment.done", authz.OK},
		"the required one alone":            {"x-id", "1a.b", "", authz.OK},
		"a dot in one that is not the last": {"x-id x-kind", "1.a", "payment", authz.SignatureMalformed},
		"a brace":                           {"x-id x-kind", "1a", `x.{"a":1}`, authz.SignatureMalformed},
		"the required one is not listed":    {"x-kind", "1a", "payment", authz.SignatureMalformed},
		"one is listed that is not there":   {"x-id x-other", "1a", "payment", authz.SignatureMalformed},
		"one is listed twice":               {"x-id x-id", "1a", "payment", authz.SignatureMalformed},
		"two spaces":                        {"x-id  x-kind", "1a", "payment", authz.SignatureMalformed},
		"a name in another letter case":     {"X-Id", "1a", "payment", authz.SignatureMalformed},
		"nothing is listed":                 {"", "1a", "payment", authz.SignatureMalformed},
		"more than sixteen":                 {"x-id" + strings.Repeat(" x-kind", 16), "1a", "payment", authz.SignatureMalformed},
	} {
		req := request()
		req.Set("x-id", c.id)
		req.Set("x-kind", c.kind)
		values := map[string]string{"x-id": c.id, "x-kind": c.kind}
		var listed []string
		for _, n := range strings.Split(c.list, " ") {
			listed = append(listed, values[n])
		}
		mac := macOf("1700000000." + c.list + "." + strings.Join(listed, ".") + "." + body)
		req.Set("x-sig", "t=1700000000,h="+c.list+",v1="+mac)
		if reason, _ := run(h, req); reason != c.want {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
	req := request()
	sign(t, h, req)
	if reason, _ := run(h, req); reason != authz.OK {
		t.Errorf("signed: %s", reason)
	}
	req.Set("x-id", "another")
	if reason, _ := run(h, req); reason != authz.SignatureInvalid {
		t.Errorf("another id: %s", reason)
	}
}

// Whatever the headers and the body are: where two deliveries of one list sign the same text,
// they are the same.
func FuzzListedHeaders(f *testing.F) {
	f.Add("1a", "a.b", `{"a":1}`, "1", "a.a.b", `{"a":1}`)
	f.Add("1a", "a.", `[1]`, "1a", "a", `.[1]`)
	f.Add("1", "", "", "1.", "", "")
	f.Fuzz(func(t *testing.T, id1, kind1, body1, id2, kind2, body2 string) {
		if id1 == id2 && kind1 == kind2 && body1 == body2 {
			return
		}
		text := func(id, kind, body string) string { return "x-id x-kind." + id + "." + kind + "." + body }
		if text(id1, kind1, body1) != text(id2, kind2, body2) {
			id2, kind2, body2 = resplit(id1, kind1, body1, len(id2), len(kind2))
			if id1 == id2 && kind1 == kind2 && body1 == body2 {
				return
			}
		}
		h := several(t, func(c *signature.Config) {
			c.Grammar, c.Key, c.Separator = signature.KeyValue, "v1", ','
			c.Content = []signature.Part{{Kind: signature.Listed, Text: "h", Names: []string{"x-id"}}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body, WantsJSON: true}}
		})
		taken := 0
		for _, d := range [][3]string{{id1, kind1, body1}, {id2, kind2, body2}} {
			req := request()
			req.Set("x-id", d[0])
			req.Set("x-kind", d[1])
			req.Body.Segments = [][]byte{[]byte(d[2])}
			req.Set("x-sig", "h=x-id x-kind,v1="+macOf(text(d[0], d[1], d[2])))
			if reason, _ := run(h, req); reason == authz.OK {
				taken++
			}
		}
		if taken == 2 {
			t.Errorf("%q is read as %q and as %q", text(id1, kind1, body1), []string{id1, kind1, body1}, []string{id2, kind2, body2})
		}
	})
}

// resplit divides what three texts sign, with dots between, at two other dots.
func resplit(id, kind, body string, first, second int) (string, string, string) {
	parts := strings.Split(id+"."+kind+"."+body, ".")
	if len(parts) < 4 {
		return id, kind, body
	}
	i := 1 + first%(len(parts)-2)
	j := i + 1 + second%(len(parts)-i-1)
	return strings.Join(parts[:i], "."), strings.Join(parts[i:j], "."), strings.Join(parts[j:], ".")
}
