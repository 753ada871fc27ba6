package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/signature"
)

func TestClaims(t *testing.T) {
	yes, seven := true, int64(7)
	j := newJWS(t, signature.JWSConfig{
		Place: signature.TokenPlace{Header: "x-token"}, Algorithms: []jose.Algorithm{"ES256"},
		Members: []signature.Claim{{Name: "typ", Values: []string{"JWT", "at+jwt"}}},
		Claims: []signature.Claim{
			{Name: "email", Values: []string{"a@x.example", "b@x.example"}}, {Name: "verified", Is: &yes}, {Name: "data.n", Number: &seven},
			{Name: "appid", Also: []string{"azp"}, Values: []string{"app"}}, {Name: "url", JSON: "service.url"}, {Name: "account", Values: []string{"12"}},
		},
	}, publicKey("k", publicPEM(t, ecKey)))
	good := map[string]any{"email": "b@x.example", "verified": true, "data": map[string]any{"n": 7}, "azp": "app", "url": "https://x.example", "account": 12}
	const goodBody = `{"service":{"url":"https://x.example"}}`
	for name, c := range map[string]struct {
		claims map[string]any
		body   string
		want   authz.Reason
	}{
		"good":                         {good, goodBody, authz.OK},
		"the other name as well":       {with(good, "appid", "app"), goodBody, authz.OK},
		"the other name, not so":       {with(good, "appid", "another"), goodBody, authz.TokenInvalid},
		"neither name":                 {with(good, "azp", nil), goodBody, authz.TokenInvalid},
		"a text in other letters":      {with(good, "email", "B@x.example"), goodBody, authz.TokenInvalid},
		"no text":                      {with(good, "email", nil), goodBody, authz.TokenInvalid},
		"a list for a text":            {with(good, "email", []string{"b@x.example"}), goodBody, authz.TokenInvalid},
		"false":                        {with(good, "verified", false), goodBody, authz.TokenInvalid},
		"the text true":                {with(good, "verified", "true"), goodBody, authz.TokenInvalid},
		"1":                            {with(good, "verified", 1), goodBody, authz.TokenInvalid},
		"8":                            {with(good, "data", map[string]any{"n": 8}), goodBody, authz.TokenInvalid},
		"the text 7":                   {with(good, "data", map[string]any{"n": "7"}), goodBody, authz.TokenInvalid},
		"7.5":                          {with(good, "data", map[string]any{"n": 7.5}), goodBody, authz.TokenInvalid},
		"a flat name for a deep one":   {with(with(good, "data", nil), "data.n", 7), goodBody, authz.TokenInvalid},
		"an account as a text":         {with(good, "account", "12"), goodBody, authz.OK},
		"another body":                 {good, `{"service":{"url":"https://evil.example"}}`, authz.TokenInvalid},
		"a body without it":            {good, `{"service":{}}`, authz.TokenInvalid},
		"a body with two":              {good, `{"service":{"url":"https://x.example","URL":"https://evil.example"}}`, authz.TokenInvalid},
		"no body":                      {good, "", authz.TokenInvalid},
		"a claim that the body lacks":  {with(good, "url", nil), goodBody, authz.TokenInvalid},
		"a claim that is not the body": {with(good, "url", "https://evil.example"), goodBody, authz.TokenInvalid},
	} {
		for typ, want := range map[string]authz.Reason{"JWT": c.want, "logout+jwt": authz.SignatureInvalid} {
			req := sent{target: "/h", body: c.body}.request()
			req.Set("x-token", written("ES256", map[string]any{"typ": typ}, c.claims, by("ES256", ecKey)))
			if reason, _ := run(j, req); reason != want {
				t.Errorf("%s, typ %s: %s, want %s", name, typ, reason, want)
			}
		}
	}
}

// Claims that two parsers could read in two ways are refused, though they are signed; what
// is not signed is not read.
func TestClaimsThatAreReadInTwoWays(t *testing.T) {
	j := newJWS(t, signature.JWSConfig{Place: signature.TokenPlace{Whole: true}, Algorithms: []jose.Algorithm{"ES256"}}, publicKey("k", publicPEM(t, ecKey)))
	for claims, want := range map[string]authz.Reason{
		`{"iss":"a"}`: authz.OK, `{"iss":"a","iss":"b"}`: authz.SignatureMalformed, `{"iss":"a","ISS":"b"}`: authz.SignatureMalformed,
		`{"iss":"a"}{}`: authz.SignatureMalformed, `["a"]`: authz.SignatureMalformed, `{`: authz.SignatureMalformed, "": authz.SignatureMalformed,
	} {
		for key, reason := range map[*ecdsa.PrivateKey]authz.Reason{ecKey: want, strangers: authz.SignatureInvalid} {
			text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
			signed := jose.Algorithm("ES256").Sign(key, func(w io.Writer) { _, _ = io.WriteString(w, text) })
			req := sent{target: "/h", body: text + "." + base64.RawURLEncoding.EncodeToString(signed)}.request()
			if claims == "" {
				reason = authz.SignatureMalformed // a detached payload
			}
			if got, call := run(j, req); got != reason || (call.Proof != authz.ProofNone) != (got == authz.OK) {
				t.Errorf("%s: %s, want %s", claims, got, reason)
			}
		}
	}
}

// The key is the one that a claim names.
func TestKeyThatAClaimNames(t *testing.T) {
	j := newJWS(t, signature.JWSConfig{Place: signature.TokenPlace{Header: "x-token"}, Algorithms: []jose.Algorithm{"HS256"}, KeyClaim: "iss"}, keys()...)
	for issuer, want := range map[string]authz.Reason{"new": authz.OK, "old": authz.SignatureInvalid, "none": authz.SignatureInvalid, "": authz.TokenInvalid} {
		req := request()
		req.Set("x-token", written("HS256", nil, map[string]any{"iss": issuer}, func(c jose.Content) []byte {
			return jose.Algorithm("HS256").SignShared(keys()[0].Secret.Reveal(), c)
		}))
		if reason, call := run(j, req); reason != want || reason == authz.OK && call.KeyID != "new" {
			t.Errorf("iss %q: %s, want %s", issuer, reason, want)
		}
	}
}

// A payload that is the request itself.
func TestDetachedTokens(t *testing.T) {
	plain := newJWS(t, signature.JWSConfig{Place: signature.TokenPlace{Header: "x-token"}, Algorithms: []jose.Algorithm{"EdDSA"}, Detached: &signature.Detached{}}, publicKey("k", publicPEM(t, edKey)))
	listed := newJWS(t, signature.JWSConfig{
		Place: signature.TokenPlace{Header: "x-token"}, Algorithms: []jose.Algorithm{"ES256"}, KeyURLs: []string{"https://keys.example/jwks"},
		Detached: &signature.Detached{RequestLine: true, Listed: "headers", Required: []string{"x-time"}, Time: signature.Time{Header: "x-time", Unit: signature.RFC3339}},
	}, publicKey("k", publicPEM(t, ecKey)))
	token := func(algorithm jose.Algorithm, key crypto.Signer, header map[string]any, payload string) string {
		head := map[string]any{"alg": algorithm}
		maps.Copy(head, header)
		h, _ := json.Marshal(head)
		text := base64.RawURLEncoding.EncodeToString(h) + "."
		signed := algorithm.Sign(key, func(w io.Writer) {
			_, _ = io.WriteString(w, text+base64.RawURLEncoding.EncodeToString([]byte(payload)))
		})
		return text + "." + base64.RawURLEncoding.EncodeToString(signed)
	}
	stamp := now.UTC().Format(time.RFC3339)
	lines := "POST /h?x=1\nX-Time: " + stamp + "\nContent-Type: text/plain\n" + body
	names := map[string]any{"headers": "X-Time,Content-Type"}
	for name, c := range map[string]struct {
		j      *signature.JWS
		text   string
		change func(*authz.Request)
		want   authz.Reason
	}{
		"the body":                 {plain, token("EdDSA", edKey, nil, body), nil, authz.OK},
		"another body":             {plain, token("EdDSA", edKey, nil, body+" "), nil, authz.SignatureInvalid},
		"the payload is there":     {plain, written("EdDSA", nil, map[string]any{}, by("EdDSA", edKey)), nil, authz.SignatureMalformed},
		"lines":                    {listed, token("ES256", ecKey, names, lines), nil, authz.OK},
		"its jku":                  {listed, token("ES256", ecKey, with(names, "jku", "https://keys.example/jwks"), lines), nil, authz.OK},
		"another jku":              {listed, token("ES256", ecKey, with(names, "jku", "https://evil.example/jwks"), lines), nil, authz.SignatureInvalid},
		"jku that is no text":      {listed, token("ES256", ecKey, with(names, "jku", []string{"https://keys.example/jwks"}), lines), nil, authz.SignatureInvalid},
		"another path":             {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { r.Path = authz.View("/h/?x=1") }, authz.SignatureInvalid},
		"another query":            {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { r.Path = authz.View("/h?x=2") }, authz.SignatureInvalid},
		"another method":           {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { r.Method = authz.View("PUT") }, authz.SignatureInvalid},
		"another value":            {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { r.Set("content-type", "a/b") }, authz.SignatureInvalid},
		"a header that is gone":    {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { set(r, "content-type") }, authz.SignatureMissing},
		"a header that is doubled": {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { set(r, "content-type", "text/plain", "text/plain") }, authz.SignatureMalformed},
		"names in other letters":   {listed, token("ES256", ecKey, map[string]any{"headers": "x-time,content-type"}, lines), nil, authz.SignatureInvalid},
		"no list":                  {listed, token("ES256", ecKey, nil, "POST /h?x=1\n"+body), nil, authz.SignatureMissing},
		"a list without the time":  {listed, token("ES256", ecKey, map[string]any{"headers": "Content-Type"}, "POST /h?x=1\nContent-Type: text/plain\n"+body), nil, authz.SignatureMissing},
		"a name twice":             {listed, token("ES256", ecKey, map[string]any{"headers": "X-Time,x-time"}, lines), nil, authz.SignatureMalformed},
		"no name":                  {listed, token("ES256", ecKey, map[string]any{"headers": "X-Time,"}, lines), nil, authz.SignatureMissing},
		"a time that is none": {listed, token("ES256", ecKey, names, strings.Replace(lines, stamp, "today", 1)),
			func(r *authz.Request) { r.Set("x-time", "today") }, authz.TimestampMalformed},
		"a line break in a value": {listed, token("ES256", ecKey, names, lines), func(r *authz.Request) { r.Set("content-type", "a\nb") }, authz.SignatureMalformed},
	} {
		req := request()
		req.Set("x-time", stamp)
		req.Set("content-type", "text/plain")
		if c.change != nil {
			c.change(req)
		}
		req.Set("x-token", c.text)
		reason, call := run(c.j, req)
		if reason != c.want || reason == authz.OK && call.Proof != authz.ProofSignature {
			t.Errorf("%s: %s, want %s; proof %s", name, reason, c.want, call.Proof)
		}
		if reason == authz.OK && (call.SignedTime.Unix() == now.Unix()) != (c.j == listed) {
			t.Errorf("%s: signed at %s", name, call.SignedTime)
		}
	}
	if reason, _ := run(plain, request()); reason != authz.SignatureMissing {
		t.Errorf("none: %s", reason)
	}
	for _, j := range []*signature.JWS{plain, listed} {
		req, s := request(), signing("")
		if s.Private = edKey; j == listed {
			s.Private = ecKey
		}
		if !j.Sign(req, s) {
			t.Fatal("not signed")
		}
		if reason, _ := run(j, req); reason != authz.OK {
			t.Errorf("what it signs is %s", reason)
		}
	}
}
