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
