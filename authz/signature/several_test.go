package signature_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// several is the bare scheme with more than one header.
func several(t testing.TB, change func(*signature.Config)) *signature.Content {
	t.Helper()
	c := config("bare")
	change(&c)
	h, err := signature.New(c, keys())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSeveralHeaders(t *testing.T) {
	good := value(delivery(t, scheme(t, "bare"), "new"), "x-sig")
	old := value(delivery(t, scheme(t, "bare"), "old"), "x-sig")
	bad := good[:63] + "z"
	other := "00" + good[2:]
	two := several(t, func(c *signature.Config) { c.Headers = []string{"x-primary", "x-secondary"} })
	numbered := several(t, func(c *signature.Config) { c.Numbered = true })
	repeated := several(t, func(c *signature.Config) { c.Repeated = true })
	type header = [2]string
	for _, c := range []struct {
		name    string
		scheme  *signature.Content
		headers []header
		want    authz.Reason
		key     string
	}{
		{"the first", two, []header{{"x-primary", good}}, authz.OK, "new"},
		{"the second", two, []header{{"x-secondary", old}}, authz.OK, "old"},
		{"the second is good", two, []header{{"x-primary", other}, {"x-secondary", old}}, authz.OK, "old"},
		{"the first is good", two, []header{{"x-secondary", bad}, {"x-primary", good}}, authz.OK, "new"},
		{"none is good", two, []header{{"x-primary", other}, {"x-secondary", other}}, authz.SignatureInvalid, ""},
		{"none can be read", two, []header{{"x-primary", bad}, {"x-secondary", bad}}, authz.SignatureMalformed, ""},
		{"one twice", two, []header{{"x-primary", good}, {"x-secondary", good}, {"x-primary", good}}, authz.SignatureMalformed, ""},
		{"none", two, []header{{"x-sig", good}}, authz.SignatureMissing, ""},

		{"number 1", numbered, []header{{"x-sig-1", good}}, authz.OK, "new"},
		{"number 100", numbered, []header{{"x-sig-100", old}, {"x-sig-7", other}}, authz.OK, "old"},
		{"a number twice", numbered, []header{{"x-sig-1", good}, {"x-sig-1", good}}, authz.SignatureMalformed, ""},
		{"no number", numbered, []header{{"x-sig", good}, {"x-sig-", good}, {"x-sig-x", good}}, authz.SignatureMissing, ""},
		{"odd numbers", numbered, []header{{"x-sig-0", good}, {"x-sig-01", good}, {"x-sig-101", good}, {"x-sig--1", good}}, authz.SignatureMissing, ""},
		{"too many", numbered, []header{{"x-sig-1", other}, {"x-sig-2", other}, {"x-sig-3", other}, {"x-sig-4", other}, {"x-sig-5", other}, {"x-sig-6", good}}, authz.SignatureMalformed, ""},

		{"repeated", repeated, []header{{"x-sig", other}, {"x-sig", good}}, authz.OK, "new"},
		{"repeated too often", repeated, []header{{"x-sig", other}, {"x-sig", other}, {"x-sig", other}, {"x-sig", other}, {"x-sig", other}, {"x-sig", good}}, authz.SignatureMalformed, ""},
	} {
		req := request()
		for _, h := range c.headers {
			req.Headers = append(req.Headers, authz.Header{Name: authz.View(h[0]), Value: authz.View(h[1])})
		}
		reason, call := run(c.scheme, req)
		if reason != c.want || reason == authz.OK && call.KeyID != c.key {
			t.Errorf("%s: %s, key %q; want %s, %q", c.name, reason, call.KeyID, c.want, c.key)
		}
	}
	if reason, _ := run(numbered, delivery(t, numbered, "new")); reason != authz.OK {
		t.Errorf("what is signed with numbered headers: %s", reason)
	}
}

// Where the header holds the time, two headers could not be told apart: the
// first name that is there counts alone.
func TestAlternativesWithTheirOwnTime(t *testing.T) {
	c := config("key-value")
	c.Headers = []string{"x-new", "x-old"}
	h, err := signature.New(c, keys())
	if err != nil {
		t.Fatal(err)
	}
	good := value(delivery(t, scheme(t, "key-value"), "new"), "x-sig")
	for _, c := range []struct {
		primary, secondary string
		want               authz.Reason
	}{
		{good, "", authz.OK},
		{"", good, authz.OK},
		{good, "t=1,v1=00", authz.OK},
		{"t=1,v1=00", good, authz.SignatureMalformed},
		{good + ",t=2", "", authz.SignatureMalformed},
	} {
		req := request()
		if c.secondary != "" {
			set(req, "x-old", c.secondary)
		}
		if c.primary != "" {
			set(req, "x-new", c.primary)
		}
		if reason, _ := run(h, req); reason != c.want {
			t.Errorf("%q, %q: %s, want %s", c.primary, c.secondary, reason, c.want)
		}
	}
}
