package signature_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/signature"
)

var tokens = signature.JWSConfig{
	Place: signature.TokenPlace{Header: "authorization", Scheme: "Bearer"}, Algorithms: []jose.Algorithm{"HS256", "HS512"},
	Issuers: []string{"sender"}, MaxTokens: 4,
	Body: signature.ClaimDigest{Claim: "body", Encoding: signature.Hex, AbsentIfEmpty: true},
	URL:  signature.ClaimDigest{Claim: "url", Encoding: signature.Base64},
	Time: "iat", Expires: true, Leeway: 5 * time.Second,
}

func jws(t testing.TB, change func(*signature.JWSConfig)) *signature.JWS {
	t.Helper()
	c := tokens
	if change != nil {
		change(&c)
	}
	j, err := signature.NewJWS(c, keys())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// goodClaims are those of request().
func goodClaims() jwt.MapClaims {
	sum := sha256.Sum256([]byte(body))
	address := sha256.Sum256([]byte("https://" + string(request().Host) + string(request().Path)))
	return jwt.MapClaims{
		"iss": "sender", "iat": now.Unix(), "exp": now.Unix() + 60,
		"body": hex.EncodeToString(sum[:]), "url": base64.StdEncoding.EncodeToString(address[:]),
	}
}

func signedToken(t testing.TB, method jwt.SigningMethod, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	var key any = keys()[0].Secret.Reveal()
	if method == jwt.SigningMethodNone {
		key = jwt.UnsafeAllowNoneSignatureType
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokens(t *testing.T) {
	change := func(name string, value any) jwt.MapClaims {
		claims := goodClaims()
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return claims
	}
	hs := jwt.SigningMethodHS256
	good := signedToken(t, hs, nil, goodClaims())
	head, rest, _ := strings.Cut(good, ".")
	for _, c := range []struct {
		name, header string
		want         authz.Reason
	}{
		{"good", "Bearer " + good, authz.OK},
		{"small letters", "bearer  " + good, authz.OK},
		{"HS512", "Bearer " + signedToken(t, jwt.SigningMethodHS512, nil, goodClaims()), authz.OK},
		{"HS384, which is not listed", "Bearer " + signedToken(t, jwt.SigningMethodHS384, nil, goodClaims()), authz.SignatureInvalid},
		{"none", "Bearer " + signedToken(t, jwt.SigningMethodNone, nil, goodClaims()), authz.SignatureInvalid},
		{"nOnE", "Bearer " + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nOnE"}`)) + "." + strings.SplitN(rest, ".", 2)[0] + ".", authz.SignatureInvalid},
		{"crit", "Bearer " + signedToken(t, hs, map[string]any{"crit": []string{"x"}}, goodClaims()), authz.SignatureInvalid},
		{"embedded key", "Bearer " + signedToken(t, hs, map[string]any{"jwk": map[string]any{"kty": "oct", "k": "AA"}}, goodClaims()), authz.OK},
		{"another header", "Bearer " + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"x"}`)) + "." + rest, authz.SignatureInvalid},
		{"no signature", "Bearer " + good[:strings.LastIndexByte(good, '.')+1], authz.SignatureInvalid},
		{"a cut signature", "Bearer " + good[:len(good)-4], authz.SignatureInvalid},
		{"unused bits", "Bearer " + good[:len(good)-1] + "_", authz.SignatureMalformed},
		{"padding", "Bearer " + good + "=", authz.SignatureMalformed},
		{"two parts", "Bearer " + head + "." + head, authz.SignatureMalformed},
		{"four parts", "Bearer " + good + ".x", authz.SignatureMalformed},
		{"five parts", "Bearer " + good + ".x.y", authz.SignatureMalformed},
		{"too long", "Bearer " + strings.Repeat("a", 9000), authz.SignatureMalformed},
		{"dots", "Bearer " + strings.Repeat(".", 8000), authz.SignatureMalformed},
		{"no token", "Bearer ", authz.SignatureMalformed},
		{"another scheme", "Basic " + good, authz.TokenMissing},
		{"without a scheme", good, authz.TokenMissing},
		{"another issuer", "Bearer " + signedToken(t, hs, nil, change("iss", "Sender")), authz.TokenInvalid},
		{"no issuer", "Bearer " + signedToken(t, hs, nil, change("iss", nil)), authz.TokenInvalid},
		{"expired", "Bearer " + signedToken(t, hs, nil, change("exp", now.Unix()-6)), authz.TokenExpired},
		{"expired within the leeway", "Bearer " + signedToken(t, hs, nil, change("exp", now.Unix()-4)), authz.OK},
		{"no exp", "Bearer " + signedToken(t, hs, nil, change("exp", nil)), authz.TokenInvalid},
		{"exp as text", "Bearer " + signedToken(t, hs, nil, change("exp", "later")), authz.TokenInvalid},
		{"nbf ahead", "Bearer " + signedToken(t, hs, nil, change("nbf", now.Unix()+6)), authz.TimestampInFuture},
		{"nbf within the leeway", "Bearer " + signedToken(t, hs, nil, change("nbf", now.Unix()+4)), authz.OK},
		{"no iat", "Bearer " + signedToken(t, hs, nil, change("iat", nil)), authz.TimestampMissing},
		{"another body", "Bearer " + signedToken(t, hs, nil, change("body", strings.Repeat("0", 64))), authz.SignatureInvalid},
		{"no body claim, which may be absent for an empty one", "Bearer " + signedToken(t, hs, nil, change("body", nil)), authz.SignatureInvalid},
		{"a number for the body", "Bearer " + signedToken(t, hs, nil, change("body", 1)), authz.SignatureInvalid},
		{"another URL", "Bearer " + signedToken(t, hs, nil, change("url", "x")), authz.SignatureInvalid},
		{"no URL claim", "Bearer " + signedToken(t, hs, nil, change("url", nil)), authz.TokenInvalid},
	} {
		req := request()
		req.Set("authorization", c.header)
		reason, call := run(jws(t, nil), req)
		if reason != c.want || reason == authz.OK && (call.Proof != authz.ProofSignature || call.SignedTime.Unix() != now.Unix()) {
			t.Errorf("%s: %s, want %s; proof %s", c.name, reason, c.want, call.Proof)
		}
	}
	twice := request()
	set(twice, "authorization", "Bearer "+good, "Bearer "+good)
	if reason, _ := run(jws(t, nil), twice); reason != authz.SignatureMalformed {
		t.Errorf("twice: %s", reason)
	}
	if reason, _ := run(jws(t, nil), request()); reason != authz.TokenMissing {
		t.Errorf("none: %s", reason)
	}
}

// The claim of a body is there if and only if there is a body.
func TestTokensOfEmptyBodies(t *testing.T) {
	empty := sent{target: string(request().Path)}.request()
	empty.Host = request().Host
	hash := sha256.Sum256(nil)
	for name, c := range map[string]struct {
		claim any
		want  authz.Reason
	}{
		"absent":                    {nil, authz.OK},
		"the hash of nothing":       {hex.EncodeToString(hash[:]), authz.SignatureInvalid},
		"that of what was taken":    {strings.Repeat("0", 64), authz.SignatureInvalid},
		"null, which is not absent": {"", authz.SignatureInvalid},
	} {
		claims := goodClaims()
		if claims["body"] = c.claim; c.claim == nil {
			delete(claims, "body")
		}
		empty.Set("authorization", "Bearer "+signedToken(t, jwt.SigningMethodHS256, nil, claims))
		if reason, _ := run(jws(t, nil), empty); reason != c.want {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
}

func TestTokensOfAnAddress(t *testing.T) {
	j := jws(t, func(c *signature.JWSConfig) {
		c.Body, c.URL, c.AudienceURL, c.PublicURL = signature.ClaimDigest{}, signature.ClaimDigest{}, true, "https://public.example"
	})
	for _, c := range []struct {
		audience any
		want     authz.Reason
	}{
		{"https://public.example/a?x=1", authz.OK},
		{"https://public.example/a", authz.OK},
		{[]string{"https://other.example/a", "https://public.example/a"}, authz.OK},
		{"https://public.example/", authz.TokenInvalid},
		{"https://public.example/a?x=2", authz.TokenInvalid},
		{[]string{}, authz.TokenInvalid},
		{1, authz.TokenInvalid},
		{nil, authz.TokenInvalid},
	} {
		claims := goodClaims()
		claims["aud"] = c.audience
		req := sent{target: "/a?x=1", body: body}.request()
		req.Set("authorization", "Bearer "+signedToken(t, jwt.SigningMethodHS256, nil, claims))
		reason, call := run(j, req)
		if reason != c.want || reason == authz.OK && call.Proof != authz.ProofPartial {
			t.Errorf("%v: %s, want %s", c.audience, reason, c.want)
		}
	}
}

// Atlassian's hash of a query, from its documentation.
func TestQueryHash(t *testing.T) {
	j := jws(t, func(c *signature.JWSConfig) { c.QueryHash = true; c.Body.Claim, c.URL.Claim = "", "" })
	for target, want := range map[string]string{
		"/path/to/service?zee_last=param&repeated=parameter%201&first=param&repeated=parameter%202": "GET&/path/to/service&first=param&repeated=parameter%201,parameter%202&zee_last=param",
		"/a/?b=*&a=~&a-b=%2B&jwt=x": "GET&/a&a=~&a-b=%2B&b=%2A",
		"/":                         "GET&/&",
		"/a&b?c":                    "GET&/a%26b&c=",
	} {
		sum := sha256.Sum256([]byte(want))
		for qsh, reason := range map[string]authz.Reason{hex.EncodeToString(sum[:]): authz.OK, "context-qsh": authz.SignatureInvalid, "": authz.SignatureInvalid} {
			claims := goodClaims()
			claims["qsh"] = qsh
			req := sent{method: "GET", target: target}.request()
			req.Set("authorization", "Bearer "+signedToken(t, jwt.SigningMethodHS256, nil, claims))
			if got, _ := run(j, req); got != reason {
				t.Errorf("%s, qsh %q: %s, want %s", target, qsh, got, reason)
			}
		}
	}
}
