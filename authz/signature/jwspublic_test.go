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
