package jose_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz/jose"
)

func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// read reads a token with its claims.
func read(text string) (*jose.Token, error) {
	token, err := jose.Parse(text)
	if err == nil {
		err = token.ReadClaims()
	}
	if err != nil {
		return nil, err
	}
	return token, nil
}

func TestParse(t *testing.T) {
	const head, claims, sig = `{"alg":"ES256","kid":"a"}`, `{"iss":"x","exp":1.5e9}`, "c2ln"
	good := part(head) + "." + part(claims) + "." + sig
	bare := part(head) + ".." + sig
	for name, c := range map[string]struct {
		text, detached string
		want           error
	}{
		"good":                          {good, "", nil},
		"detached":                      {"", bare, nil},
		"detached, with its payload":    {"", good, jose.ErrMalformed},
		"without its payload":           {bare, "", jose.ErrMalformed},
		"nothing":                       {"", "", jose.ErrMalformed},
		"one dot":                       {part(head) + "." + part(claims), "", jose.ErrMalformed},
		"three dots":                    {good + ".", "", jose.ErrMalformed},
		"five parts, as a JWE":          {good + ".a.b", "", jose.ErrMalformed},
		"many dots":                     {strings.Repeat(".", 1<<16), "", jose.ErrMalformed},
		"padding":                       {part(head) + "=." + part(claims) + "." + sig, "", jose.ErrMalformed},
		"bits that mean nothing":        {part(head) + "." + part(claims) + ".c2lnZx", "", jose.ErrMalformed},
		"standard base64":               {part(head) + "." + part(claims) + ".+/+/", "", jose.ErrMalformed},
		"a line break":                  {part(head) + "." + part(claims) + ".c2\nln", "", jose.ErrMalformed},
		"a space":                       {" " + good, "", jose.ErrMalformed},
		"alg twice":                     {part(`{"alg":"none","alg":"ES256"}`) + "." + part(claims) + "." + sig, "", jose.ErrMalformed},
		"alg in two cases":              {part(`{"alg":"ES256","ALG":"none"}`) + "." + part(claims) + "." + sig, "", jose.ErrMalformed},
		"iss twice":                     {part(head) + "." + part(`{"iss":"a","iss":"b"}`) + "." + sig, "", jose.ErrMalformed},
		"twice, deep inside":            {part(head) + "." + part(`{"a":[{"b":1,"\u0062":2}]}`) + "." + sig, "", jose.ErrMalformed},
		"two objects":                   {part(head) + "." + part(`{"iss":"a"}{"iss":"b"}`) + "." + sig, "", jose.ErrMalformed},
		"a list":                        {part(head) + "." + part(`[]`) + "." + sig, "", jose.ErrMalformed},
		"null":                          {part(head) + "." + part(`null`) + "." + sig, "", jose.ErrMalformed},
		"a header that is null":         {part(`null`) + "." + part(claims) + "." + sig, "", jose.ErrAlgorithm},
		"claims that are not UTF-8":     {part(head) + "." + part("{\"iss\":\"\xff\"}") + "." + sig, "", jose.ErrMalformed},
		"none":                          {part(`{"alg":"none"}`) + "." + part(claims) + ".", "", jose.ErrAlgorithm},
		"nOnE":                          {part(`{"alg":"nOnE"}`) + "." + part(claims) + ".", "", jose.ErrAlgorithm},
		"no alg":                        {part(`{}`) + "." + part(claims) + "." + sig, "", jose.ErrAlgorithm},
		"alg as a list":                 {part(`{"alg":["ES256"]}`) + "." + part(claims) + "." + sig, "", jose.ErrAlgorithm},
		"crit":                          {part(`{"alg":"ES256","crit":["exp"]}`) + "." + part(claims) + "." + sig, "", jose.ErrCritical},
		"b64, which needs crit":         {"", part(`{"alg":"ES256","b64":false,"crit":["b64"]}`) + ".." + sig, jose.ErrCritical},
		"an empty crit":                 {part(`{"alg":"ES256","crit":[]}`) + "." + part(claims) + "." + sig, "", jose.ErrCritical},
		"kid as a number":               {part(`{"alg":"ES256","kid":1}`) + "." + part(claims) + "." + sig, "", jose.ErrMalformed},
		"a signature that is too large": {good + strings.Repeat("A", 33<<10), "", jose.ErrMalformed},
		"a header that is too large":    {part(`{"alg":"ES256","x":"`+strings.Repeat("a", 25<<10)+`"}`) + "." + part(claims) + "." + sig, "", jose.ErrMalformed},
		"more claims than are read":     {part(head) + "." + part(`{"a":[`+strings.Repeat("1,", 10_000)+`1]}`) + "." + sig, "", jose.ErrMalformed},
		"deeper than is read":           {part(head) + "." + part(`{"a":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`) + "." + sig, "", jose.ErrMalformed},
	} {
		token, err := read(c.text)
		if c.detached != "" {
			token, err = jose.ParseDetached(c.detached)
		}
		if !errors.Is(err, c.want) || (err == nil) != (token != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil || c.detached != "" {
			continue
		}
		if token.KeyID != "a" || token.Algorithm != "ES256" || token.Signed+"."+sig != good || string(token.Signature) != "sig" {
			t.Errorf("%s: %+v", name, token)
		}
	}
}

func TestMembers(t *testing.T) {
	token, err := read(part(`{"alg":"HS256"}`) + "." + part(`{
		"iss": "x", "aud": ["a", "b"], "bad": ["a", 1], "n": 12.50, "yes": true, "null": null,
		"data": {"id": {"deep": "z"}, "n": 1}, "https://e.x/a.b": "named", "data.flat": "flat",
		"exp": 1700000000.5, "nbf": "1700000000", "iat": -1, "far": 1e300, "last": 253402300799, "over": 253402300800}`) + ".AA")
	if err != nil {
		t.Fatal(err)
	}
	c := token.Claims
	for path, want := range map[string]string{
		"iss": "x", "n": "12.50", "yes": "true", "data.id.deep": "z", "https://e.x/a.b": "named", "data.n": "1",
		"null": "-", "aud": "-", "data": "-", "data.id": "-", "data.flat": "-", "iss.x": "-", "": "-", ".": "-", "data.": "-", "none.at.all": "-",
	} {
		value, there := c.At(path)
		if text, ok := jose.Scalar(value); ok != (want != "-") || ok && (text != want || !there) {
			t.Errorf("%s is %q", path, text)
		}
	}
	if len(c.List("aud")) != 2 || len(c.List("iss")) != 1 || c.List("bad") != nil || c.List("data") != nil || c.List("none") != nil {
		t.Error("lists")
	}
	for name, want := range map[string]string{"exp": "2023-11-14T22:13:20Z", "last": "9999-12-31T23:59:59Z", "nbf": "", "iat": "", "far": "", "over": "", "null": "", "none": "absent"} {
		at, there, err := c.Time(name)
		if got := at.UTC().Format(time.RFC3339Nano); (err != nil) != (want == "") || there != (want != "absent") || err == nil && there && got != want {
			t.Errorf("%s: %s, %v, %v", name, got, there, err)
		}
	}
}

// FuzzParse: what is read is a token for golang-jwt, too, with the same header and
// claims, and is written in one way only.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		part(`{"alg":"HS256","kid":"x"}`) + "." + part(`{"iss":"a","n":1}`) + ".AA", part(`{"alg":"ES512"}`) + "..AA",
		"..", "a.b.c", part(`{"alg":"RS256","alg":"none"}`) + "." + part("{}") + ".", part(`{"alg":"EdDSA","crit":[]}`) + "." + part("{}") + ".AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := jose.Parse(text)
		detached, bareErr := jose.ParseDetached(text)
		if err == nil && bareErr == nil {
			t.Fatal("a payload that is there and is not")
		}
		if err != nil {
			token = detached
		}
		if token == nil {
			return
		}
		if token.Signed+"."+base64.RawURLEncoding.EncodeToString(token.Signature) != text || token.Header["crit"] != nil {
			t.Fatalf("%q is another text", text)
		}
		if detached != nil || token.ReadClaims() != nil {
			return
		}
		other, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
		if err != nil || other.Method.Alg() != string(token.Algorithm) {
			t.Fatalf("%v", err)
		}
		if issuer, err := other.Claims.GetIssuer(); err == nil && issuer != "" {
			if ours, _ := token.Claims.Text("iss"); ours != issuer {
				t.Fatalf("%q and %q", ours, issuer)
			}
		}
	})
}
