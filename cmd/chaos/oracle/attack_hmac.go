package oracle

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

var stripeAttacks = []Attack{
	{"a time that was not signed", every, func(c *Case) {
		_, signature, _ := strings.Cut(c.Request.Get("Stripe-Signature"), ",")
		c.Request.Set("Stripe-Signature", "t="+seconds(c.Now.Add(-time.Minute))+","+signature)
	}, invalid, nil},
	{"a time without a signature", every, proof(func(v string) string { t, _, _ := strings.Cut(v, ","); return t }), missing, nil},
	{"the signature of a version that is not known", every, proof(func(v string) string { return strings.Replace(v, "v1=", "v0=", 1) }), missing, nil},
	{"two times", every, proof(func(v string) string { return v + ",t=1" }), []string{"signature_malformed", "timestamp_malformed"}, nil},
	{"forty signatures", every, proof(func(v string) string {
		t, _, _ := strings.Cut(v, ",")
		return t + strings.Repeat(",v1="+strings.Repeat("ab", 32), 40)
	}), []string{"signature_malformed"}, nil},
	{"characters moved from time to body", every, func(c *Case) {
		t := seconds(c.Now)
		signature := hexMAC(c.Key.Secret, t+"."+c.Request.Body)
		c.Request.Body = t[9:] + "." + c.Request.Body
		c.Request.Set("Stripe-Signature", "t="+t[:9]+",v1="+signature)
	}, broken, nil},
	{"the bare hash", every, func(c *Case) { c.Endpoint.Sign(c.Request, Key{Secret: " "}, c.Now) }, invalid, nil},
}

var githubAttacks = []Attack{
	{"a delivery of another webhook", every, target(func(string) string { return "/marked" }), invalid, nil},
	{"the signature of SHA-1", every, func(c *Case) {
		c.Request.Delete("X-Hub-Signature-256")
		c.Request.Set("X-Hub-Signature", "sha1="+strings.Repeat("ab", 20))
	}, missing, nil},
	{"another prefix", every, proof(func(v string) string { return strings.Replace(v, "sha256=", "sha1=", 1) }), broken, nil},
	{"no prefix", every, proof(func(v string) string { return strings.TrimPrefix(v, "sha256=") }), broken, nil},
	{"a comma behind it", every, proof(func(v string) string { return v + "," + v }), broken, nil},
}

var slackAttacks = []Attack{
	{"a challenge that nobody signed", every, func(c *Case) {
		c.Request.Body = `{"type":"url_verification","challenge":"abc"}`
	}, invalid, nil},
	{"a challenge of markup", every, func(c *Case) {
		c.Request.Body = `{"type":"url_verification","challenge":"<script>alert(1)</script>"}`
		c.Endpoint.Sign(c.Request, c.Key, c.Now)
	}, []string{"handshake_refused"}, nil},
}

var svixAttacks = []Attack{
	{"another id", every, header("svix-id", "msg_another"), invalid, nil},
	{"no id", every, func(c *Case) { c.Request.Delete("svix-id") }, missing, nil},
	{"two ids", every, func(c *Case) { c.Request.Add("svix-id", "msg_another") }, []string{"signature_malformed", "signature_missing", "signature_invalid"}, nil},
	{"an id with a dot", every, func(c *Case) {
		c.Request.Set("svix-id", "msg.1")
		c.Endpoint.Sign(c.Request, c.Key, c.Now)
	}, []string{"signature_malformed", "signature_missing"}, nil},
	{"characters moved from id to time", every, func(c *Case) {
		id, t := c.Request.Get("svix-id"), c.Request.Get("svix-timestamp")
		c.Request.Set("svix-id", id+"."+t)
		c.Request.Set("svix-timestamp", t)
	}, broken, nil},
	{"the version of public keys", every, proof(func(v string) string { return strings.Replace(v, "v1,", "v1a,", 1) }), broken, nil},
	{"the secret as text", every, func(c *Case) {
		id, t := c.Request.Get("svix-id"), c.Request.Get("svix-timestamp")
		c.Request.Set("svix-signature", "v1,"+hexMAC(c.Key.Secret, id+"."+t+"."+c.Request.Body))
	}, broken, nil},
}

var twilioAttacks = []Attack{
	{"another value in the query", every, func(c *Case) { c.Request.Target = "/twilio?account=8" }, append([]string{"malformed_request"}, broken...), nil},
	{"no query", every, func(c *Case) { c.Request.Target = "/twilio" }, append([]string{"malformed_request"}, broken...), nil},
	{"another parameter", every, body(func(b string) string { return b + "&To=x" }), invalid, nil},
	{"a parameter twice", every, body(func(b string) string { return b + "&From=%2B15550199" }), append([]string{"malformed_request"}, broken...), nil},
	{"characters moved between parameters", every, body(func(b string) string {
		form, err := url.ParseQuery(b)
		must(err)
		return strings.Replace(b, "AccountSid=AC1", "AccountSid=AC1Body", 1) + "&x=" + url.QueryEscape(form.Get("Body"))
	}), append([]string{"malformed_request"}, broken...), nil},
	{"JSON in place of the form", every, func(c *Case) {
		c.Request.Set("Content-Type", asJSON)
		c.Request.Body = `{"a":1}`
	}, append([]string{"malformed_request"}, broken...), nil},
}

var zoomAttacks = []Attack{
	{"a validation that nobody signed", every, body(func(string) string {
		return `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`
	}), invalid, nil},
	{"content to be signed in place of a token", every, func(c *Case) {
		c.Request.Body = `{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1700000000:{}"}}`
		c.Endpoint.Sign(c.Request, c.Key, c.Now)
	}, []string{"handshake_refused"}, nil},
}

// asks makes the GET with which Meta asks.
func asks(mode, token, challenge string) change {
	return func(c *Case) {
		c.Request.Method, c.Request.Body, c.Refused = http.MethodGet, "", http.StatusForbidden
		c.Request.Headers = nil
		c.Request.Target = c.Endpoint.Path + "?hub.mode=" + mode + "&hub.verify_token=" + token + "&hub.challenge=" + challenge
	}
}

var metaAttacks = []Attack{
	{"another verify token", every, asks("subscribe", "guessed", "1158201444"), []string{"handshake_refused"}, nil},
	{"no verify token", every, asks("subscribe", "", "1158201444"), []string{"handshake_refused"}, nil},
	{"markup to be echoed", every, asks("subscribe", VerifyToken, "%3Cscript%3E"), []string{"handshake_refused"}, nil},
	{"too long a challenge", every, asks("subscribe", VerifyToken, strings.Repeat("a", 200)), []string{"handshake_refused"}, nil},
	{"another mode", every, asks("publish", VerifyToken, "1158201444"), []string{"method_not_allowed", "handshake_refused"}, nil},
}

// signed changes the delivery and signs it.
func signed(do change) change {
	return func(c *Case) {
		do(c)
		c.Endpoint.Sign(c.Request, c.Key, c.Now)
	}
}

var crmAttacks = []Attack{
	{"another host", every, func(c *Case) { c.Request.Host = "hooks.example.com" }, nowhere, nil},
	{"a host below", every, func(c *Case) { c.Request.Host = "x.crm.example.com" }, nowhere, nil},
	{"a host that is forwarded", every, func(c *Case) {
		c.Request.Host = "hooks.example.com"
		c.Request.Set("X-Forwarded-Host", "crm.example.com")
	}, nowhere, nil},
	{"larger than the limit", every, signed(body(func(b string) string { return b + strings.Repeat(" ", 4096) })), []string{"body_too_large"}, nil},
	{"another content type", every, header("Content-Type", "text/plain"), []string{"content_type"}, nil},
	{"no content type", every, func(c *Case) { c.Request.Delete("Content-Type") }, []string{"content_type"}, nil},
	{"two content types", every, func(c *Case) { c.Request.Add("Content-Type", asJSON) }, []string{"content_type", "malformed_request"}, nil},
	{"a condition that is false", every, signed(body(func(b string) string { return strings.Replace(b, "true", "false", 1) })), []string{"condition_failed"}, nil},
	{"a key that stands twice", every, signed(body(func(b string) string { return strings.Replace(b, "true", `false,"livemode":true`, 1) })), []string{"condition_failed"}, nil},
	{"a key in capitals", every, signed(body(func(b string) string { return strings.Replace(b, "livemode", "LIVEMODE", 1) })), []string{"condition_failed"}, nil},
	{"a condition that cannot be evaluated", every, signed(body(func(string) string { return "[1]" })), []string{"condition_failed"}, nil},
	{"a body that is no JSON", every, signed(body(func(b string) string { return b[1:] })), []string{"condition_failed"}, nil},
	{"a header that a condition forbids", every, header("X-Debug", "on"), []string{"condition_failed"}, nil},
	{"a condition that is false, unsigned", every, body(func(b string) string { return strings.Replace(b, "true", "false", 1) }), invalid, nil},
}
