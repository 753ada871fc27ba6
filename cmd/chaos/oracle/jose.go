package oracle

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"time"
)

// signTrueLayer is a JWS without its payload, ES512 (RFC 7515, RFC 7518 section 3.4).
func signTrueLayer(_ *Endpoint, q *Request, k Key, now time.Time) {
	trueLayer(q, k, now, map[string]any{"alg": "ES512"})
}

func trueLayer(q *Request, k Key, now time.Time, more map[string]any) {
	t := now.UTC().Format(time.RFC3339)
	q.Set("X-Tl-Webhook-Timestamp", t)
	header := map[string]any{
		"kid": k.Kid, "tl_version": "2", "tl_headers": "X-Tl-Webhook-Timestamp", "iat": t,
		"jku": "https://webhooks.truelayer.com/.well-known/jwks",
	}
	for name, value := range more {
		header[name] = value
	}
	first := b64(encode(header))
	payload := q.Method + " " + q.Target + "\nX-Tl-Webhook-Timestamp: " + t + "\n" + q.Body
	digest := sha512.Sum512([]byte(first + "." + b64(payload)))
	q.Set("Tl-Signature", first+".."+b64(string(rawECDSA(k, digest[:]))))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// claims are what the policy asks of a token.
func claims(now time.Time) map[string]any {
	return map[string]any{
		"iss": "https://issuer.example.com", "aud": "https://hooks.example.com/push", "email": "push@example.com", "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// signJWT puts a token of an identity provider into Authorization (RFC 7519). It covers
// no body.
func signJWT(_ *Endpoint, q *Request, k Key, now time.Time) {
	c := claims(now)
	c["jti"] = q.Get("X-Event-Id")
	bearer(q, k, map[string]any{"alg": "RS256", "kid": k.Kid, "typ": "JWT"}, c)
}

func bearer(q *Request, k Key, header, claims map[string]any) {
	content := b64(encode(header)) + "." + b64(encode(claims))
	digest := sha256.Sum256([]byte(content))
	signature, err := k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(err)
	q.Set("Authorization", "Bearer "+content+"."+b64(string(signature)))
}

// withClaim signs a token of which one claim is another.
func withClaim(name string, value any) change {
	return func(c *Case) {
		all := claims(c.Now)
		if all[name] = value; value == nil {
			delete(all, name)
		}
		bearer(c.Request, c.Key, map[string]any{"alg": "RS256", "kid": c.Key.Kid, "typ": "JWT"}, all)
	}
}

// withHeader signs a token of which one part of the header is another.
func withHeader(name string, value any) change {
	return func(c *Case) {
		header := map[string]any{"alg": "RS256", "kid": c.Key.Kid, "typ": "JWT"}
		header[name] = value
		bearer(c.Request, c.Key, header, claims(c.Now))
	}
}

// withOwnKey signs with a key that the token itself brings along.
func withOwnKey(c *Case) {
	k := c.Endpoint.Ring.Stranger
	bearer(c.Request, k, map[string]any{"alg": "RS256", "jwk": k.jwk(), "kid": c.Key.Kid}, claims(c.Now))
}

// withoutAlgorithm has a token that is signed by nobody.
func withoutAlgorithm(c *Case) {
	c.Request.Set("Authorization", "Bearer "+b64(`{"alg":"none","kid":"`+c.Key.Kid+`"}`)+"."+b64(encode(claims(c.Now)))+".")
}

// withPublicSecret takes the public key for the secret of an HMAC.
func withPublicSecret(c *Case) {
	der, err := x509.MarshalPKIXPublicKey(c.Key.Signer.Public())
	must(err)
	h := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	content := b64(fmt.Sprintf(`{"alg":"HS256","kid":%q}`, c.Key.Kid)) + "." + b64(encode(claims(c.Now)))
	_, _ = h.Write([]byte(content)) // never fails
	c.Request.Set("Authorization", "Bearer "+content+"."+b64(string(h.Sum(nil))))
}
