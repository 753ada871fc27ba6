package oracle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

var rawAttacks = []Attack{
	{"zeros for a signature", every, proof(func(string) string { return strings.Repeat("00", 64) }), broken, nil},
	{"DER in place of two numbers", every, func(c *Case) {
		digest := sha256.Sum256([]byte(seconds(c.Now) + "." + c.Request.Body))
		der, err := c.Key.Signer.Sign(nil, digest[:], nil)
		if err == nil {
			c.Request.Set("X-Raw", hex.EncodeToString(der))
		} else {
			c.Request.Delete("X-Raw")
		}
	}, broken, nil},
}

var sendgridAttacks = []Attack{
	{"zeros for a signature", every, proof(func(string) string { return base64.StdEncoding.EncodeToString([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}) }), broken, nil},
	{"bytes behind the signature", every, proof(func(v string) string {
		der, err := base64.StdEncoding.DecodeString(v)
		must(err)
		return base64.StdEncoding.EncodeToString(append(der, 0))
	}), broken, nil},
	{"characters moved from time to body", every, func(c *Case) {
		t := c.Request.Get(c.Endpoint.Time)
		c.Request.Set(c.Endpoint.Time, t[:9])
		c.Request.Body = t[9:] + c.Request.Body
	}, broken, nil},
}

var discordAttacks = []Attack{
	{"zeros for a signature", every, proof(func(string) string { return strings.Repeat("00", 64) }), broken, nil},
	{"a point of low order", every, proof(func(string) string { return "01" + strings.Repeat("00", 63) }), broken, nil},
	{"characters moved from time to body", every, func(c *Case) {
		t := c.Request.Get(c.Endpoint.Time)
		c.Request.Set(c.Endpoint.Time, t[:9])
		c.Request.Body = t[9:] + c.Request.Body
	}, broken, nil},
	{"a ping that nobody signed", every, body(func(string) string { return `{"type":1,"token":"t","application_id":"1"}` }), invalid, nil},
}

var truelayerAttacks = []Attack{
	{"signed by nobody", every, proof(func(v string) string {
		first, _, _ := strings.Cut(v, ".")
		header, err := base64.RawURLEncoding.DecodeString(first)
		must(err)
		return b64(strings.Replace(string(header), "ES512", "none", 1)) + ".."
	}), append([]string{"token_invalid"}, broken...), nil},
	{"zeros for a signature", every, proof(func(v string) string {
		first, _, _ := strings.Cut(v, ".")
		return first + ".." + b64(strings.Repeat("\x00", 132))
	}), broken, nil},
	{"a payload of its own", every, proof(func(v string) string { return strings.Replace(v, "..", "."+b64("POST /truelayer\n{}")+".", 1) }), broken, nil},
	{"keys of the attacker's", every, func(c *Case) {
		k := c.Endpoint.Ring.Stranger
		trueLayer(c.Request, k, c.Now, map[string]any{"alg": "ES512", "jku": "https://evil.example.com/jwks", "jwk": k.jwk()})
	}, broken, nil},
	{"an extension that is critical", every, func(c *Case) {
		trueLayer(c.Request, c.Key, c.Now, map[string]any{"alg": "ES512", "crit": []string{"b64"}, "b64": false})
	}, broken, nil},
	{"another version", every, func(c *Case) {
		trueLayer(c.Request, c.Key, c.Now, map[string]any{"alg": "ES512", "tl_version": "1"})
	}, broken, nil},
	{"the time is not signed", every, func(c *Case) {
		trueLayer(c.Request, c.Key, c.Now, map[string]any{"alg": "ES512", "tl_headers": ""})
	}, broken, nil},
}

var adcpAttacks = []Attack{
	{"the body is not covered", every, otherMessage(func(m *message) { m.cover = m.cover[:4] }), broken, nil},
	{"the URL is not covered", every, otherMessage(func(m *message) { m.cover = []string{"@method", "@authority", "content-type", "content-digest"} }), broken, nil},
	{"nothing is covered", every, otherMessage(func(m *message) { m.cover = nil }), broken, nil},
	{"the tag of another purpose", every, otherMessage(func(m *message) { m.tag = "adcp/request-signing/v1" }), broken, nil},
	{"the digest of another body", every, otherMessage(func(m *message) {
		sum := sha256.Sum256([]byte("{}"))
		m.digest = "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}), broken, nil},
	{"a digest by MD5", every, otherMessage(func(m *message) { m.digest = "md5=:" + base64.StdEncoding.EncodeToString(make([]byte, 16)) + ":" }), broken, nil},
	{"it has ended", every, otherMessage(func(m *message) { m.created, m.expires = m.created.Add(-time.Minute), m.created.Add(-30*time.Second) }), []string{"token_expired", "timestamp_too_old", "signature_invalid"}, nil},
	{"a field that is covered is another", every, header("Content-Type", "application/problem+json"), invalid, nil},
	{"no input", every, func(c *Case) { c.Request.Delete("Signature-Input") }, missing, nil},
	{"a label twice", every, func(c *Case) { c.Request.Add("Signature-Input", c.Request.Get("Signature-Input")) }, broken, nil},
	{"types that do not fit", every, func(c *Case) {
		c.Request.Set("Signature-Input", strings.Replace(c.Request.Get("Signature-Input"), ";created=", `;created="x";was=`, 1))
	}, broken, nil},
}

// untrue is what follows for a token that is none: of a bad signature, or bad claims.
var untrue = []string{"signature_invalid", "signature_malformed", "token_invalid"}

var jwtAttacks = []Attack{
	{"signed by nobody", every, withoutAlgorithm, untrue, nil},
	{"the public key as a secret", every, withPublicSecret, untrue, nil},
	{"a key of its own", every, withOwnKey, untrue, nil},
	{"an extension that is critical", every, withHeader("crit", []string{"exp"}), untrue, nil},
	{"the name of a file as key", every, withHeader("kid", "../../secrets/stripe.current"), untrue, nil},
	{"another algorithm", every, withHeader("alg", "RS512"), untrue, nil},
	{"another issuer", every, withClaim("iss", "https://evil.example.com"), untrue, nil},
	{"another audience", every, withClaim("aud", "https://hooks.example.com/other"), untrue, nil},
	{"a list of other audiences", every, withClaim("aud", []string{"https://hooks.example.com/push2", "push"}), untrue, nil},
	{"no audience", every, withClaim("aud", nil), untrue, nil},
	{"another account", every, withClaim("email", "push@evil.example.com"), untrue, nil},
	{"no account", every, withClaim("email", nil), untrue, nil},
	{"a token that has ended", every, func(c *Case) { withClaim("exp", c.Now.Add(-time.Minute).Unix())(c) }, []string{"token_expired"}, nil},
	{"a token without an end", every, withClaim("exp", nil), untrue, nil},
	{"a token that has not begun", every, func(c *Case) { withClaim("nbf", c.Now.Add(time.Hour).Unix())(c) }, []string{"token_invalid", "timestamp_in_future"}, nil},
	{"an end that is a text", every, withClaim("exp", "never"), untrue, nil},
	{"five parts", every, proof(func(v string) string { return v + ".a.b" }), untrue, nil},
	{"a thousand dots", every, proof(func(v string) string { return v + strings.Repeat(".", 1000) }), untrue, nil},
	{"another scheme of authorization", every, proof(func(v string) string { return "Basic " + v[7:] }), []string{"token_missing"}, nil},
	{"in the query", every, func(c *Case) {
		c.Request.Target += "?access_token=" + c.Request.Get("Authorization")[7:]
		c.Request.Delete("Authorization")
	}, []string{"token_missing"}, nil},
}
