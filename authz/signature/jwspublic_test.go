package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

var (
	rsaKey, _    = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _     = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _  = ed25519.GenerateKey(rand.Reader)
	strangers, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
)

func publicPEM(t testing.TB, private crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// jwk writes a public ECDSA key of P-256, or an Ed25519 key.
func jwk(id string, public crypto.PublicKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	if key, ok := public.(ed25519.PublicKey); ok {
		return `{"kty":"OKP","crv":"Ed25519","kid":"` + id + `","x":"` + encode(key) + `"}`
	}
	key, _ := public.(*ecdsa.PublicKey)
	point, _ := key.Bytes()
	return `{"kty":"EC","crv":"P-256","kid":"` + id + `","x":"` + encode(point[1:33]) + `","y":"` + encode(point[33:]) + `"}`
}

func publicKey(id, text string) signature.Key {
	return signature.Key{ID: id, Secret: secret.New([]byte(text)), Reader: &publickey.Reader{}}
}

// written writes a token.
func written(algorithm jose.Algorithm, header, claims map[string]any, sign func(jose.Content) []byte) string {
	head := map[string]any{"alg": algorithm}
	maps.Copy(head, header)
	h, _ := json.Marshal(head)
	c, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(func(w io.Writer) { _, _ = io.WriteString(w, text) }))
}

func by(algorithm jose.Algorithm, private crypto.Signer) func(jose.Content) []byte {
	return func(content jose.Content) []byte { return algorithm.Sign(private, content) }
}

func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return claims
}

func newJWS(t testing.TB, config signature.JWSConfig, keys ...signature.Key) *signature.JWS {
	t.Helper()
	if config.MaxTokens == 0 {
		config.MaxTokens = 4
	}
	j, err := signature.NewJWS(config, keys)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// A key verifies what is signed by its own family and nothing else, whatever the token
// says.
func TestTokensByPublicKeys(t *testing.T) {
	config := signature.JWSConfig{
		Place:      signature.TokenPlace{Header: "authorization", Scheme: "Bearer"},
		Algorithms: []jose.Algorithm{"ES256", "RS256", "PS256", "EdDSA", "HS256"}, Issuers: []string{"a", "b"}, Audiences: []string{"me"}, Expires: true,
	}
	set := `{"keys":[` + jwk("ec", ecKey.Public()) + "," + jwk("ed", edKey.Public()) + "]}"
	j := newJWS(t, config, publicKey("set", set), publicKey("rsa", publicPEM(t, rsaKey)), keys()[0])
	good := map[string]any{"iss": "b", "aud": []string{"you", "me"}, "exp": now.Unix() + 60}
	pemText := []byte(publicPEM(t, rsaKey))
	hs := func(key []byte) func(jose.Content) []byte {
		return func(c jose.Content) []byte { return jose.Algorithm("HS256").SignShared(key, c) }
	}
	kid := func(id string) map[string]any { return map[string]any{"kid": id} }
	for name, c := range map[string]struct {
		text string
		want authz.Reason
		key  string
	}{
		"ES256":                             {written("ES256", kid("ec"), good, by("ES256", ecKey)), authz.OK, "set"},
		"EdDSA":                             {written("EdDSA", kid("ed"), good, by("EdDSA", edKey)), authz.OK, "set"},
		"without a kid":                     {written("EdDSA", nil, good, by("EdDSA", edKey)), authz.OK, "set"},
		"RS256, whose key has no id":        {written("RS256", kid("any"), good, by("RS256", rsaKey)), authz.OK, "rsa"},
		"PS256 by the same key":             {written("PS256", nil, good, by("PS256", rsaKey)), authz.OK, "rsa"},
		"HS256 by the shared secret":        {written("HS256", kid("new"), good, hs(keys()[0].Secret.Reveal())), authz.OK, "new"},
		"RS384, which is not listed":        {written("RS384", nil, good, by("RS384", rsaKey)), authz.SignatureInvalid, ""},
		"the kid of another key":            {written("ES256", kid("ed"), good, by("ES256", ecKey)), authz.SignatureInvalid, ""},
		"a kid that nobody has":             {written("ES256", kid("none"), good, by("ES256", ecKey)), authz.SignatureInvalid, ""},
		"another key under the kid":         {written("ES256", kid("ec"), good, by("ES256", strangers)), authz.SignatureInvalid, ""},
		"HS256 with the PEM as its secret":  {written("HS256", nil, good, hs(pemText)), authz.SignatureInvalid, ""},
		"HS256 with the JWKS as its secret": {written("HS256", kid("ec"), good, hs([]byte(set))), authz.SignatureInvalid, ""},
		"HS256 with an empty secret":        {written("HS256", nil, good, func(jose.Content) []byte { return nil }), authz.SignatureInvalid, ""},
		"RS256, read as PS256":              {written("PS256", nil, good, by("RS256", rsaKey)), authz.SignatureInvalid, ""},
		"a key in the header":               {written("ES256", map[string]any{"jwk": json.RawMessage(jwk("x", strangers.Public()))}, good, by("ES256", strangers)), authz.SignatureInvalid, ""},
		"the address of a key":              {written("ES256", map[string]any{"jku": "https://x.example", "x5u": "https://x.example"}, good, by("ES256", strangers)), authz.SignatureInvalid, ""},
		"a certificate":                     {written("ES256", map[string]any{"x5c": []string{"MII"}}, good, by("ES256", strangers)), authz.SignatureInvalid, ""},
		"another issuer":                    {written("ES256", nil, with(good, "iss", "c"), by("ES256", ecKey)), authz.TokenInvalid, "set"},
		"issuers as a list":                 {written("ES256", nil, with(good, "iss", []string{"a", "b"}), by("ES256", ecKey)), authz.TokenInvalid, "set"},
		"no audience":                       {written("ES256", nil, with(good, "aud", nil), by("ES256", ecKey)), authz.TokenInvalid, "set"},
		"another audience":                  {written("ES256", nil, with(good, "aud", "mee"), by("ES256", ecKey)), authz.TokenInvalid, "set"},
		"the audience as a text":            {written("ES256", nil, with(good, "aud", "me"), by("ES256", ecKey)), authz.OK, "set"},
		"an audience that is no text":       {written("ES256", nil, with(good, "aud", []any{"me", 1}), by("ES256", ecKey)), authz.TokenInvalid, "set"},
		"over":                              {written("ES256", nil, with(good, "exp", now.Unix()), by("ES256", ecKey)), authz.TokenExpired, "set"},
		"over, and by another key":          {written("ES256", nil, with(good, "exp", now.Unix()), by("ES256", strangers)), authz.SignatureInvalid, ""},
		"no exp":                            {written("ES256", nil, with(good, "exp", nil), by("ES256", ecKey)), authz.TokenInvalid, "set"},
	} {
		req := request()
		req.Set("authorization", "Bearer "+c.text)
		reason, call := run(j, req)
		if reason != c.want || call.KeyID != c.key || (call.Proof == authz.ProofNone) == (reason == authz.OK) || reason == authz.OK && call.Proof != authz.ProofToken {
			t.Errorf("%s: %s by %q, want %s by %q; proof %s", name, reason, call.KeyID, c.want, c.key, call.Proof)
		}
	}
}

// Where a set is large and the token names no key, not all of it is tried.
func TestTriesOfPublicKeys(t *testing.T) {
	var list []string
	for i := range 40 {
		key := ecKey
		if i < 39 {
			key = strangers
		}
		list = append(list, jwk("k"+strings.Repeat("i", i), key.Public()))
	}
	j := newJWS(t, signature.JWSConfig{Place: signature.TokenPlace{Header: "x-token"}, Algorithms: []jose.Algorithm{"ES256"}},
		publicKey("set", `{"keys":[`+strings.Join(list, ",")+"]}"))
	for kid, want := range map[string]authz.Reason{"": authz.SignatureInvalid, "k" + strings.Repeat("i", 39): authz.OK} {
		header := map[string]any{}
		if kid != "" {
			header["kid"] = kid
		}
		req := request()
		req.Set("x-token", written("ES256", header, map[string]any{}, by("ES256", ecKey)))
		if reason, _ := run(j, req); reason != want {
			t.Errorf("kid %q: %s, want %s", kid, reason, want)
		}
	}
}

func TestPlacesOfTokens(t *testing.T) {
	good := written("ES256", nil, map[string]any{"n": 1}, by("ES256", ecKey))
	bad := written("ES256", nil, map[string]any{"n": 1}, by("ES256", strangers))
	in := func(change func(*signature.TokenPlace)) *signature.JWS {
		config := signature.JWSConfig{Algorithms: []jose.Algorithm{"ES256"}}
		change(&config.Place)
		return newJWS(t, config, publicKey("k", publicPEM(t, ecKey)))
	}
	whole := in(func(p *signature.TokenPlace) { p.Whole = true })
	alone := in(func(p *signature.TokenPlace) { p.JSON, p.Alone = "payload", true })
	beside := in(func(p *signature.TokenPlace) { p.JSON = "a.token" })
	list := in(func(p *signature.TokenPlace) { p.JSON = "tokens[]" })
	query := in(func(p *signature.TokenPlace) { p.Query = "jwt" })
	for _, c := range []struct {
		name string
		j    *signature.JWS
		sent sent
		want authz.Reason
	}{
		{"the body", whole, sent{body: good}, authz.OK},
		{"the body by another", whole, sent{body: bad}, authz.SignatureInvalid},
		{"the body and a line break", whole, sent{body: good + "\n"}, authz.SignatureMalformed},
		{"no body", whole, sent{}, authz.TokenMissing},
		{"one member", alone, sent{body: ` {"payload" : "` + good + `"} `}, authz.OK},
		{"another member beside it", alone, sent{body: `{"payload":"` + good + `","x":1}`}, authz.SignatureMalformed},
		{"the member twice", alone, sent{body: `{"payload":"` + good + `","payload":"` + bad + `"}`}, authz.SignatureMalformed},
		{"in other letters", alone, sent{body: `{"payload":"` + good + `","Payload":"` + bad + `"}`}, authz.SignatureMalformed},
		{"another member alone", alone, sent{body: `{"x":1}`}, authz.TokenMissing},
		{"a list", alone, sent{body: `{"payload":["` + good + `"]}`}, authz.SignatureMalformed},
		{"something behind it", alone, sent{body: `{"payload":"` + good + `"}x`}, authz.SignatureMalformed},
		{"deeper", beside, sent{body: `{"x":1,"a":{"y":2,"token":"` + good + `"}}`}, authz.OK},
		{"an empty text", beside, sent{body: `{"a":{"token":""}}`}, authz.SignatureMalformed},
		{"a list of one", list, sent{body: `{"tokens":["` + good + `"],"x":1}`}, authz.OK},
		{"a list of two", list, sent{body: `{"tokens":["` + good + `","` + good + `"]}`}, authz.OK},
		{"a bad one behind", list, sent{body: `{"tokens":["` + good + `","` + bad + `"]}`}, authz.SignatureInvalid},
		{"something else behind", list, sent{body: `{"tokens":["` + good + `",7]}`}, authz.SignatureMalformed},
		{"an empty list", list, sent{body: `{"tokens":[]}`}, authz.TokenMissing},
		{"no list", list, sent{body: `{"x":1}`}, authz.TokenMissing},
		{"too many", list, sent{body: `{"tokens":["` + strings.Repeat(good+`","`, 4) + good + `"]}`}, authz.SignatureMalformed},
		{"the query", query, sent{target: "/h?x=1&jwt=" + good}, authz.OK},
		{"the query by another", query, sent{target: "/h?jwt=" + bad}, authz.SignatureInvalid},
		{"twice in the query", query, sent{target: "/h?jwt=" + good + "&jwt=" + good}, authz.SignatureMalformed},
		{"not in the query", query, sent{target: "/h?x=1"}, authz.TokenMissing},
		{"an empty parameter", query, sent{target: "/h?jwt="}, authz.SignatureMalformed},
	} {
		if c.sent.target == "" {
			c.sent.target = "/h"
		}
		if reason, call := run(c.j, c.sent.request()); reason != c.want || reason == authz.OK && call.Proof != c.j.Proof() {
			t.Errorf("%s: %s, want %s; proof %s", c.name, reason, c.want, call.Proof)
		}
	}
	for name, j := range map[string]*signature.JWS{"whole": whole, "alone": alone, "beside": beside, "list": list, "query": query} {
		want := authz.ProofToken
		if name == "whole" || name == "alone" {
			want = authz.ProofSignature
		}
		req := request()
		s := signing("")
		s.Private = ecKey
		if !j.Sign(req, s) {
			t.Fatalf("%s: not signed", name)
		}
		if reason, call := run(j, req); reason != authz.OK || call.Proof != want || call.Fingerprint.IsZero() {
			t.Errorf("%s: what it signs is %s, proof %s", name, reason, call.Proof)
		}
	}
}

// One token may serve many deliveries where it does not cover the body: a copy is the
// same token with the same body. Where it does, the token alone is the delivery.
func TestCopiesOfTokens(t *testing.T) {
	token := func(claims map[string]any) string {
		return "Bearer " + written("ES256", nil, claims, by("ES256", ecKey))
	}
	fingerprint := func(j *signature.JWS, header, body string) authz.Fingerprint {
		req := request()
		req.Body.Segments = [][]byte{[]byte(body[:1]), []byte(body[1:])}
		req.Set("authorization", header)
		reason, call := run(j, req)
		if reason != authz.OK {
			t.Fatalf("%s: %s", body, reason)
		}
		return call.Fingerprint
	}
	config := signature.JWSConfig{Place: signature.TokenPlace{Header: "authorization", Scheme: "Bearer"}, Algorithms: []jose.Algorithm{"ES256"}}
	bearer := newJWS(t, config, publicKey("k", publicPEM(t, ecKey)))
	one, again := token(map[string]any{"jti": "1"}), token(map[string]any{"jti": "1"})
	other := token(map[string]any{"jti": "2"})
	if one == again {
		t.Fatal("ECDSA has made one signature twice")
	}
	first := fingerprint(bearer, one, "body")
	if fingerprint(bearer, one, "body") != first || fingerprint(bearer, again, "body") != first || fingerprint(bearer, strings.ToLower("BEARER")+"  "+one[7:], "body") != first {
		t.Error("a copy is new")
	}
	if fingerprint(bearer, one, "bodY") == first || fingerprint(bearer, other, "body") == first {
		t.Error("another delivery is a copy")
	}
	config.Body = signature.ClaimDigest{Claim: "sum", Encoding: signature.Hex}
	sum := sha256.Sum256([]byte("body"))
	bound := newJWS(t, config, publicKey("k", publicPEM(t, ecKey)))
	claims := map[string]any{"sum": hex.EncodeToString(sum[:])}
	if once, again := fingerprint(bound, token(claims), "body"), fingerprint(bound, token(claims), "body"); once != again {
		t.Error("a copy that is bound is new")
	}
}

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
