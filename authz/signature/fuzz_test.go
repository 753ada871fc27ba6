package signature_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// fuzzed has a scheme for each grammar of a header, all over the body and, if
// the header has it, the time.
func fuzzed(t testing.TB) map[string]*signature.Content {
	t.Helper()
	all := map[string]*signature.Content{}
	for name := range schemes {
		all[name] = scheme(t, name)
	}
	for name, change := range map[string]func(*signature.Config){
		"list":       func(c *signature.Config) { c.Grammar, c.Separator = signature.List, ',' },
		"credential": func(c *signature.Config) { c.Grammar, c.Prefix = signature.Credential, "application" },
		"numbered":   func(c *signature.Config) { c.Numbered = true },
		"repeated":   func(c *signature.Config) { c.Repeated = true },
		"key, hash":  func(c *signature.Config) { c.Grammar, c.Prefix = signature.KeyHashList, "SHA256" },
		"sets": func(c *signature.Config) {
			c.Grammar, c.Key, c.Separator, c.Sets = signature.KeyValue, "v1", ',', true
			c.Time = signature.Time{Key: "t", Unit: signature.Seconds}
			c.Content = []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body}}
		},
		"item": func(c *signature.Config) {
			c.Grammar, c.Key, c.Separator = signature.KeyValue, "v1", ','
			c.Content = []signature.Part{{Kind: signature.Body}, {Kind: signature.Item, Text: "env", JSONString: true}}
		},
	} {
		config := config("bare")
		change(&config)
		h, err := signature.New(config, keys()[:1])
		if err != nil {
			t.Fatal(err)
		}
		all[name] = h
	}
	return all
}

// header is where the scheme's signature stands.
func header(h *signature.Content) string {
	if h.Config().Numbered {
		return "x-sig-1"
	}
	return "x-sig"
}

// seeds are header values of every grammar, right and nearly right.
func seeds(t testing.TB) []string {
	t.Helper()
	list := []string{"", ",", "=", "v1=", "t=1,v1=2", "v1,", "application x:", "v1,AAAA v1a,AAAA", "t=1795500000,t=1,v1=00", strings.Repeat(",", 200)}
	for _, h := range fuzzed(t) {
		req := request()
		sign(t, h, req)
		list = append(list, value(req, header(h)))
	}
	return list
}

func TestThereAreSeeds(t *testing.T) {
	if n := len(seeds(t)); n < 10+11 {
		t.Errorf("only %d seeds", n)
	}
}

// FuzzGrammars: whatever stands in the signature header of any grammar, it ends in
// a reason of the closed set, and what is accepted has the one right MAC in it.
func FuzzGrammars(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, []byte(body))
	}
	all := fuzzed(f)
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		for name, h := range all {
			req := request()
			req.Body.Segments = [][]byte{content}
			sign(t, h, req)
			right := value(req, header(h))
			reason, _ := run(h, req)
			if reason == authz.MalformedRequest {
				return // the body may be a form with a name of the query, whatever the signature
			}
			if reason != authz.OK && h.Config().Time.JSON == "" && !strings.HasPrefix(name, "item") {
				t.Fatalf("%s: its own signature %q: %s", name, right, reason)
			}
			req.Set(header(h), text)
			reason, call := run(h, req)
			switch reason {
			case authz.OK:
				if !hasMAC(h, text, right) {
					t.Fatalf("%s accepts %q; right is %q", name, text, right)
				}
			case authz.SignatureMissing, authz.SignatureMalformed, authz.SignatureInvalid, authz.TimestampMissing, authz.TimestampMalformed, authz.KeyNotValidNow:
				if call.Proof != authz.ProofNone {
					t.Fatalf("%s: %s with proof %s", name, reason, call.Proof)
				}
			default:
				t.Fatalf("%s: %q is %s", name, text, reason)
			}
		}
	})
}

// hasMAC reports whether the text has the MAC of the right header, in either
// letter case. Where the header holds signed text of its own, another text may
// have another right MAC: the signature alone decides.
func hasMAC(h *signature.Content, text, right string) bool {
	c := h.Config()
	if c.Time.Key != "" || c.Time.First || c.Name == "bare" && c.Key == "v1" {
		return true
	}
	mac := right[strings.LastIndexAny(right, "=:, ")+1:]
	if trimmed := strings.TrimRight(right, "="); len(trimmed) < len(right) { // padding is no separator
		mac = right[strings.LastIndexAny(trimmed, "=:, ")+1:]
	}
	if c.Grammar == signature.KeyHashList {
		mac = right[strings.LastIndexByte(right, '/')+1:]
	}
	return strings.Contains(strings.ToLower(text), strings.ToLower(mac))
}

// FuzzContent: URL, form and JSON of any text are accepted if they can be signed at
// all, and a delivery that is accepted is the same copy again.
func FuzzContent(f *testing.F) {
	for _, seed := range [][3]string{
		{"/a?x=1", formType, "a=1&b=%20"}, {"/?x='&y=%27", formType, "a=1&a=1"}, {"/a%2F", jsonType, `{"a":{"b":"x"}}`},
		{"/", "", ""}, {"/?&&=", formType, "%"}, {"/?data.id=A&data.id=b", "text/plain", "x"}, {"/a;b?c;d", formType, "a;b=c;d"},
		{"/a?%", "", ""}, {"/a?sum=", formType, "a=1"}, {"/?data.id=1%3B", formType + "," + jsonType, "a=1"}, {"/?data.id=Ab", jsonType, `{"a":{"b":"\u0041"}}`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	var all []*signature.Content
	for _, parts := range [][]signature.Part{
		{{Kind: signature.URL, Decoded: ":/?@!$'()*,;"}, {Kind: signature.Body}},
		{{Kind: signature.URL}, {Kind: signature.Form, Distinct: true}},
		{{Kind: signature.PlivoV3}},
		{{Kind: signature.FormField, Text: "a"}},
		{{Kind: signature.SortedQuery}, {Kind: signature.BodyHash}},
		{{Kind: signature.BodyString}, {Kind: signature.Path}},
		{{Kind: signature.JSON, Text: "a.b"}, {Kind: signature.Body}},
		{{Kind: signature.MercadoPago}},
		{{Kind: signature.Contentful}, {Kind: signature.Body}},
	} {
		all = append(all, several(f, func(c *signature.Config) {
			c.Content = parts
			if parts[0].Kind == signature.MercadoPago || parts[0].Kind == signature.Contentful {
				c.Time = signature.Time{Header: "x-time", Unit: signature.Milliseconds}
			}
			if parts[0].Kind == signature.URL {
				c.URLForms = []signature.URLForm{signature.DefaultPort, signature.NoPort, signature.BrowserQuery, signature.NoRoot}
				c.BodyDigest = signature.BodyDigest{Query: "sum", Hash: signature.SHA256, Encoding: signature.Hex}
			}
		}))
	}
	f.Fuzz(func(t *testing.T, target, contentType, content string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(contentType, "\r\n") {
			return // Envoy sends no such request
		}
		for i, h := range all {
			req := sent{target: target, contentType: contentType, body: content}.request()
			if !h.Sign(req, signing("new")) {
				continue // it has not what must be signed
			}
			reason, call := run(h, req)
			again, same := run(h, req)
			if reason != again || call.Fingerprint != same.Fingerprint {
				t.Fatalf("scheme %d: %s, then %s", i, reason, again)
			}
			if reason == authz.MalformedRequest {
				continue // a form of sorts has a name of the query, whatever the signature
			}
			if reason != authz.OK {
				t.Fatalf("scheme %d refuses what it signed: %s", i, reason)
			}
		}
	})
}

// FuzzToken: no text but what was signed is a token.
func FuzzToken(f *testing.F) {
	good := request()
	sign(f, jws(f, nil), good)
	right := value(good, "authorization")
	for _, seed := range []string{right, "Bearer ", "Bearer a.b.c", "Bearer e30.e30.", right + "x", strings.Repeat("Bearer .", 9), "Bearer eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	j := jws(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		req := request()
		req.Set("authorization", text)
		reason, call := run(j, req)
		_, token, _ := strings.Cut(right, " ")
		if reason == authz.OK && !strings.Contains(text, token) {
			t.Fatalf("accepts %q", text)
		}
		if reason != authz.OK && call.Proof != authz.ProofNone {
			t.Fatalf("%s with proof %s", reason, call.Proof)
		}
	})
}

// FuzzBodies: Adyen's and Braintree's bodies of any text end in a reason, and
// what is accepted has a signature that was made.
func FuzzBodies(f *testing.F) {
	one := adyenBody(f, 1)
	f.Add(one)
	f.Add(strings.Replace(one, "1000", "1e3", 1))
	f.Add(`{"notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":""}}}]}`)
	f.Add("bt_payload=AAAA&bt_signature=new%7C" + strings.Repeat("0", 40))
	f.Add(strings.Repeat(`{"a":[`, 100))
	b, err := signature.NewBraintree(keys())
	if err != nil {
		f.Fatal(err)
	}
	a := adyen(f)
	f.Fuzz(func(t *testing.T, content string) {
		for _, contentType := range []string{jsonType, formType} {
			for _, s := range []signature.Scheme{a, b} {
				req := sent{target: "/", contentType: contentType, body: content}.request()
				reason, _ := run(s, req)
				if reason == authz.OK && !strings.Contains(content, "hmacSignature") {
					t.Fatalf("accepts %q", content)
				}
			}
		}
	})
}
