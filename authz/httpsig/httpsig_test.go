package httpsig_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
)

// What RFC 9421 §2, §3.2 and §4 exclude is no signature, and never a panic.
func TestMalformedSignatures(t *testing.T) {
	const value = "s=:AAAA:"
	for _, test := range []struct{ name, input, signature string }{
		{"no dictionary", `s=(`, value},
		{"no input", `"x"`, value},
		{"an item in place of a list", `s="@method"`, value},
		{"a label of one field only", `s=("@method"), t=("@path")`, value},
		{"another label", `s=("@method")`, "t=:AAAA:"},
		{"a label twice", `s=("@method"), s=("@path")`, value},
		{"a label twice behind a string", `s=("@method");tag="a\",b", s=("@path")`, value},
		{"a label twice behind a display string", `s=("@method"), x=%"\", s=("@path")`, `s=:AAAA:, x=:AAAA:`},
		{"a signature that is a string", `s=("@method")`, `s="AAAA"`},
		{"a signature with parameters", `s=("@method")`, `s=:AAAA:;x=1`},
		{"a signature that is a list", `s=("@method")`, `s=(:AAAA:)`},
		{"a component twice", `s=("@method" "@method")`, value},
		{"a component twice in another order", `s=("x";sf;key="a" "x";key="a";sf)`, value},
		{"a component that is a number", `s=(1)`, value},
		{"upper case", `s=("Date")`, value},
		{"an empty name", `s=("")`, value},
		{"a status", `s=("@status")`, value},
		{"the parameters", `s=("@signature-params")`, value},
		{"a component of nothing", `s=("@nothing")`, value},
		{"of a request", `s=("@method";req)`, value},
		{"a derived component with sf", `s=("@method";sf)`, value},
		{"bs and sf", `s=("x";bs;sf)`, value},
		{"bs and key", `s=("x";bs;key="a")`, value},
		{"a name of a field", `s=("x";name="a")`, value},
		{"a query parameter without name", `s=("@query-param")`, value},
		{"sf that is false", `s=("x";sf=?0)`, value},
		{"a key that is a token", `s=("x";key=a)`, value},
		{"created as text", `s=("@method");created="1"`, value},
		{"created as decimal", `s=("@method");created=1.0`, value},
		{"expires as text", `s=("@method");expires="1"`, value},
		{"a key id that is a token", `s=("@method");keyid=a`, value},
		{"a nonce that is a number", `s=("@method");nonce=1`, value},
		{"an empty algorithm", `s=("@method");alg=""`, value},
		{"a tag that is a flag", `s=("@method");tag`, value},
		{"too many", `s=("@method"), t=("@method"), u=("@method")`, `s=:AAAA:, t=:AAAA:, u=:AAAA:`},
		{"too many components", `s=(` + strings.Repeat(`"@method";x `, 65) + `)`, value},
		{"no signature", `s=("@method")`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			fields := [][2]string{{"Signature-Input", test.input}}
			if test.signature != "" {
				fields = append(fields, [2]string{"Signature", test.signature})
			}
			all, problem := httpsig.Read(headers(fields...), 2, httpsig.Dialect{})
			if problem.Reason != authz.SignatureMalformed || all != nil {
				t.Errorf("%v, %v %s", all, problem.Reason, problem.Found)
			}
		})
	}
}

func TestComponents(t *testing.T) {
	m := &httpsig.Message{
		Method: "POST", Scheme: "https", Host: "Example.com:443", Path: "/a%2Fb?x=1&y=a+b&z=%c3%a9&x%20=2&d=1&d=2",
		Headers: headers([2]string{"X-Two", " one "}, [2]string{"X-Two", "two"}, [2]string{"X-Dict", `a=1,   b=(1  2)`}, [2]string{"X-Raw", "caf\xe9"},
			[2]string{"Content-Digest", "sha-256=:AAAA:"}, [2]string{"X-Twice", "a=1, a=2"}, [2]string{"X-Empty", ""}),
	}
	const none = "\x00"
	for component, want := range map[string]string{
		"@method": "POST", "@scheme": "https", "@authority": "example.com", "@path": "/a%2Fb",
		"@query":                     "?x=1&y=a+b&z=%c3%a9&x%20=2&d=1&d=2",
		"@target-uri":                "https://example.com/a%2Fb?x=1&y=a+b&z=%c3%a9&x%20=2&d=1&d=2",
		"@request-target":            "/a%2Fb?x=1&y=a+b&z=%c3%a9&x%20=2&d=1&d=2",
		`"@query-param";name="x"`:    "1",
		`"@query-param";name="y"`:    "a%20b",
		`"@query-param";name="z"`:    "%C3%A9",
		`"@query-param";name="x%20"`: "2",
		`"@query-param";name="d"`:    none, // twice
		`"@query-param";name="no"`:   none,
		"x-two":                      "one, two",
		`"x-two";bs`:                 ":b25l:, :dHdv:",
		`"x-dict";key="b"`:           "(1 2)",
		`"x-dict";key="c"`:           none,
		`"x-dict";sf`:                none, // of a type that is not known
		`"content-digest";sf`:        "sha-256=:AAAA:",
		`"x-twice";key="a"`:          none,
		"x-raw":                      none, // not ASCII
		`"x-raw";bs`:                 ":Y2Fm6Q==:",
		"x-empty":                    "",
		"x-none":                     none,
		"host":                       "Example.com:443",
		`"x-two";tr`:                 none,
	} {
		t.Run(component, func(t *testing.T) {
			c, err := httpsig.ParseComponent(component)
			if err != nil {
				t.Fatal(err)
			}
			m := *m
			m.Headers = append(m.Headers, headers([2]string{"Signature-Input", "s=(" + c.String() + ");created=1"}, [2]string{"Signature", "s=:AAAA:"})...)
			all, problem := httpsig.Read(m.Headers, 1, httpsig.Dialect{})
			if problem.Exists() {
				t.Fatal(problem.Found)
			}
			if !all[0].Covers(c) {
				t.Error("it is not covered")
			}
			base, problem := all[0].Base(&m)
			if want == none {
				if !problem.Exists() {
					t.Errorf("there is a base\n%s", base)
				}
				return
			}
			full := c.String() + ": " + want + "\n" + `"@signature-params": (` + c.String() + `);created=1`
			if string(base) != full {
				t.Errorf("%s; base\n%s\nwant\n%s", problem.Found, base, full)
			}
		})
	}
}

func TestDigestFields(t *testing.T) {
	body := authz.Body{Segments: [][]byte{[]byte(`{"hello": `), []byte(`"world"}`)}}
	const sha256, sha512 = "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=", "WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew=="
	for _, test := range []struct {
		name, field, value string
		ok                 bool
	}{
		{"content-digest", "content-digest", "sha-256=:" + sha256 + ":", true},
		{"both", "content-digest", "sha-256=:" + sha256 + ":, sha-512=:" + sha512 + ":", true},
		{"and a weak one", "content-digest", "md5=:AAAA:, sha-256=:" + sha256 + ":", true},
		{"a weak one", "content-digest", "md5=:Sd/dVLAcvNLSq16eXua5uQ==:", false},
		{"a wrong one beside it", "content-digest", "sha-256=:" + sha256 + ":, sha-512=:AAAA:", false},
		{"twice", "content-digest", "sha-256=:AAAA:, sha-256=:" + sha256 + ":", false},
		{"text", "content-digest", `sha-256="` + sha256 + `"`, false},
		{"empty", "content-digest", "", false},
		{"cut", "content-digest", "sha-256=:X48E9qOokqqrvdts8nOJRA==:", false},
		{"digest", "digest", "SHA-256=" + sha256, true},
		{"digest in lower case", "digest", "sha-256=" + sha256, true},
		{"digest and a weak one", "digest", "md5=x,SHA-512=" + sha512, true},
		{"a weak digest", "digest", "md5=Sd/dVLAcvNLSq16eXua5uQ==", false},
		{"a wrong digest", "digest", "SHA-256=AAAA", false},
		{"digest twice", "digest", "SHA-256=AAAA,SHA-256=" + sha256, false},
		{"digest without value", "digest", "SHA-256", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			fields := headers([2]string{test.field, test.value})
			problem := httpsig.ContentDigest(fields, &body, httpsig.Dialect{})
			if test.field == "digest" {
				problem = httpsig.Digest(fields, &body)
			}
			if problem.Exists() == test.ok {
				t.Errorf("%v %q, want %v", problem.Reason, problem.Found, test.ok)
			}
		})
	}
}

func TestCavage(t *testing.T) {
	for _, test := range []struct {
		name, value string
		ok          bool
	}{
		{"draft 10", `keyId="k",algorithm="rsa-sha256",headers="date (request-target)",signature="AAAA"`, true},
		{"draft 12", `keyId="k",algorithm="hs2019",created=1,expires=2,headers="(created) (expires)",signature="AAAA"`, true},
		{"spaces", `keyId="k" , signature="AAAA"`, true},
		{"a parameter that is not known", `keyId="k",opaque="x",signature="AAAA"`, true},
		{"a parameter twice", `keyId="k",keyId="l",signature="AAAA"`, false},
		{"no key", `signature="AAAA"`, false},
		{"no signature", `keyId="k"`, false},
		{"no headers", `keyId="k",headers="",signature="AAAA"`, false},
		{"a header twice", `keyId="k",headers="date date",signature="AAAA"`, false},
		{"two spaces", `keyId="k",headers="date  host",signature="AAAA"`, false},
		{"created as text", `keyId="k",created="1",signature="AAAA"`, false},
		{"created with rsa", `keyId="k",algorithm="rsa-sha256",created=1,headers="(created)",signature="AAAA"`, false},
		{"not base64", `keyId="k",signature="A"`, false},
		{"garbage", `keyId="k",signature="AAAA" x`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, problem := httpsig.ReadCavage(headers([2]string{"Signature", test.value}), "signature", "date")
			if (c != nil && !problem.Exists()) != test.ok {
				t.Errorf("%+v, %v %q", c, problem.Reason, problem.Found)
			}
		})
	}
}

// Whatever a stranger sends: labels are there once, and the base says again what
// was read.
func FuzzRead(f *testing.F) {
	f.Add(`s=("@method" "date";bs "x";key="a");created=1;keyid="k"`, "s=:AAAA:", "/a?b=c")
	f.Add(`s=("@query-param";name="b"), t=()`, "t=:AAAA:, s=:AA==:", "/a?b=c&b")
	f.Add(`a=1, x=%"\", a=2`, `a`, "")
	f.Fuzz(func(t *testing.T, input, signature, path string) {
		m := &httpsig.Message{Method: "POST", Scheme: "https", Host: "h", Path: path,
			Headers: headers([2]string{"signature-input", input}, [2]string{"signature", signature}, [2]string{"date", "now"})}
		all, problem := httpsig.Read(m.Headers, 4, httpsig.Dialect{})
		if problem.Exists() && problem.Reason.Allows() {
			t.Fatal("a problem that allows")
		}
		labels := map[string]bool{}
		for _, s := range all {
			if labels[s.Label] {
				t.Fatalf("label %s twice", s.Label)
			}
			labels[s.Label] = true
			base, problem := s.Base(m)
			if problem.Exists() {
				continue
			}
			_, params, found := strings.Cut(string(base[strings.LastIndexByte(string(base), '\n')+1:]), `"@signature-params": `)
			if !found {
				t.Fatalf("no parameters in %q", base)
			}
			again, problem := httpsig.Read(headers([2]string{"signature-input", "s=" + params}, [2]string{"signature", "s=:AAAA:"}), 1, httpsig.Dialect{})
			if problem.Exists() || again[0].Params != s.Params {
				t.Fatalf("%s; %+v, again %+v", problem.Found, s.Params, again)
			}
		}
	})
}

func FuzzReadCavage(f *testing.F) {
	f.Add(`keyId="k",algorithm="hs2019",created=1,headers="(created) date",signature="AAAA"`)
	f.Fuzz(func(t *testing.T, value string) {
		m := &httpsig.Message{Method: "POST", Path: "/", Headers: headers([2]string{"signature", value}, [2]string{"date", "now"})}
		c, problem := httpsig.ReadCavage(m.Headers, "signature", "date")
		if problem.Exists() {
			return
		}
		if base, problem := c.Base(m); !problem.Exists() && strings.Count(string(base), "\n") != len(c.Headers)-1 {
			t.Errorf("%d lines for %q", strings.Count(string(base), "\n")+1, c.Headers)
		}
	})
}

// How senders depart from the standard, each by itself.
func TestDialects(t *testing.T) {
	m := &httpsig.Message{Method: "POST", Scheme: "https", Host: "h", Path: "/%c3%a9?a=%2f", Headers: headers(
		[2]string{"signature-input", `s=("@method" "@target-uri");created=1`}, [2]string{"signature", "s=:-_8:"})}
	all, problem := httpsig.Read(m.Headers, 1, httpsig.Dialect{Base64URL: true, Unquoted: true, UpperEscapes: true})
	if problem.Exists() || string(all[0].Value) != "\xfb\xff" {
		t.Fatalf("%v %s", all, problem.Found)
	}
	base, problem := all[0].Base(m)
	want := "@method: POST\n@target-uri: https://h/%C3%A9?a=%2F\n@signature-params: (\"@method\" \"@target-uri\");created=1"
	if string(base) != want {
		t.Errorf("%s; base\n%s\nwant\n%s", problem.Found, base, want)
	}
	for _, value := range []string{"s=:+_8=:", "s=:-_8=:", "s=:+/8:", `s="x:", t=:AA:`, "s=:-_9:", "s=:A:", "s=::, t=:"} {
		fields := headers([2]string{"signature-input", `s=()`}, [2]string{"signature", value})
		if _, problem := httpsig.Read(fields, 2, httpsig.Dialect{Base64URL: true}); !problem.Exists() {
			t.Errorf("%s is read as base64url", value)
		}
	}
	if _, problem := httpsig.Read(m.Headers, 1, httpsig.Dialect{}); !problem.Exists() {
		t.Error("base64url is read as base64")
	}
}
