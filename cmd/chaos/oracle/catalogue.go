package oracle

import (
	"strings"
	"time"
)

// secrets is where keys of a signature stand.
const secrets = "  secrets: KEYS\n" //nolint:gosec // the place, not a secret

const (
	window = "window: 1h"
	asJSON = "application/json"
)

// All makes the endpoints, each with keys of its own. What each is stands on its page
// below docs/providers, or in docs/policy.md for schemes that the policy writes out.
func All() []*Endpoint {
	all := append(signedHMAC(), signedPublic()...)
	all = append(all, tokens()...)
	all = append(all, guarded()...)
	for _, e := range all {
		if e.body == nil {
			e.body, e.content = plainBody, asJSON
		}
		if e.Status == 0 {
			e.Status = 401
		}
		if e.Old == 0 {
			e.Old = 5 * time.Minute
		}
		if e.Keys != "" {
			e.Ring = newRing(e.kind)
		}
	}
	return all
}

func signedHMAC() []*Endpoint {
	return []*Endpoint{
		{Name: "stripe", Path: "/stripe", Provider: "stripe", Keys: secrets, Status: 400, Proof: "signature", Timed: true, Proven: []string{"Stripe-Signature"}, Signs: Body, sign: signStripe, attacks: stripeAttacks},
		{Name: "github", Path: "/github", Provider: "github", Keys: secrets, Proof: "signature", Release: true, Proven: []string{"X-Hub-Signature-256"}, Signs: Body, sign: signGitHub, attacks: githubAttacks,
			Policy: "  replay: {" + window + "}\n"},
		{Name: "slack", Path: "/slack", Provider: "slack", Keys: secrets, kind: hexDigits, Proof: "signature", Timed: true, Proven: []string{"X-Slack-Signature"}, Time: "X-Slack-Request-Timestamp", Signs: Body, sign: signV0, attacks: slackAttacks},
		{Name: "svix", Path: "/svix", Provider: "svix", Keys: secrets, kind: whsec, Proof: "signature", Timed: true, Proven: []string{"svix-signature"}, Time: "svix-timestamp", Signs: Body, sign: signSvix, attacks: svixAttacks},
		{Name: "shopify", Path: "/shopify", Provider: "shopify", Keys: secrets, Proof: "signature", Copies: Acknowledged, Release: true, Proven: []string{"X-Shopify-Hmac-Sha256"}, Signs: Body, sign: signShopify,
			Policy: "  replay: {" + window + "}\n"},
		{Name: "twilio", Path: "/twilio", Target: "/twilio?account=7", Provider: "twilio", Keys: secrets, kind: hexDigits, Status: 403, Proof: "signature", Copies: Acknowledged, Release: true,
			Proven: []string{"X-Twilio-Signature"}, Signs: Body | Query, body: formBody, content: "application/x-www-form-urlencoded", sign: signTwilio, attacks: twilioAttacks,
			Policy: "  public_url: https://hooks.example.com\n  pinned_query: account=7\n  replay: {" + window + "}\n"},
		{Name: "linear", Path: "/linear", Provider: "linear", Keys: secrets, Proof: "signature", Copies: Acknowledged, Timed: true, Old: time.Minute, Proven: []string{"Linear-Signature"}, Signs: Body, sign: signLinear},
		{Name: "zoom", Path: "/zoom", Provider: "zoom", Keys: secrets, Proof: "signature", Copies: Acknowledged, Timed: true, Old: 90 * time.Minute, Proven: []string{"x-zm-signature"}, Time: "x-zm-request-timestamp", Signs: Body, sign: signV0, attacks: zoomAttacks},
		{Name: "meta", Path: "/meta", Provider: "meta", Keys: secrets, Proof: "signature", Copies: Acknowledged, Release: true, Proven: []string{"X-Hub-Signature-256"}, Signs: Body, sign: signGitHub, attacks: metaAttacks,
			Policy: "  handshake: {verify_token: {file: ../secrets/verify}}\n  replay: {" + window + "}\n"},
		{Name: "crm", Path: "/crm", Match: ", hosts: [crm.example.com]", Keys: secrets, Proof: "signature", Copies: Acknowledged, Timed: true, Proven: []string{"X-CRM-Signature"}, Signs: Body, sign: signCRM, attacks: crmAttacks,
			Policy: `  scheme:
    hmac:
      hash: SHA256
      encoding: HEX
      signature: {headers: [X-CRM-Signature], grammar: KEY_VALUE, key: v1}
      timestamp: {key: t, unit: SECONDS}
      content: [{timestamp: {}}, {literal: "."}, {body: {}}]
  limits: {max_body_bytes: 4096, content_types: [application/json]}
  conditions: [body.livemode == true, "!('x-debug' in headers)"]
`},
		{Name: "marked", Path: "/marked", Provider: "github", Keys: secrets, Proof: "signature", Copies: Marked, Release: true, Proven: []string{"X-Hub-Signature-256"}, Signs: Body, sign: signGitHub,
			Policy: "  replay: {" + window + ", on_replay: MARK}\n"},
	}
}

func signedPublic() []*Endpoint {
	return []*Endpoint{
		{Name: "wise", Path: "/wise", Provider: "wise", Keys: secrets, kind: rsaPEM, Proof: "signature", Copies: Acknowledged, Release: true, Proven: []string{"X-Signature-SHA256"}, Signs: Body, sign: signWise,
			Policy: "  replay: {" + window + "}\n"},
		{Name: "pss", Path: "/pss", Keys: secrets, kind: rsaPEM, Proof: "signature", Timed: true, Proven: []string{"X-Pss"}, Time: "X-Pss-Time", Signs: Body, sign: signPSS,
			Policy: scheme("rsa", "hash: SHA512, padding: PSS, encoding: BASE64", "X-Pss", "X-Pss-Time")},
		{Name: "raw", Path: "/raw", Keys: secrets, kind: p256PEM, Proof: "signature", Timed: true, Proven: []string{"X-Raw"}, Time: "X-Raw-Time", Signs: Body, sign: signRaw, attacks: rawAttacks,
			Policy: scheme("ecdsa", "curve: P256, hash: SHA256, format: RAW, encoding: HEX", "X-Raw", "X-Raw-Time")},
		{Name: "sendgrid", Path: "/sendgrid", Provider: "sendgrid", Keys: secrets, kind: p256DER, Proof: "signature", Copies: Acknowledged, Timed: true, Old: 24 * time.Hour,
			Proven: []string{"X-Twilio-Email-Event-Webhook-Signature"}, Time: "X-Twilio-Email-Event-Webhook-Timestamp", Signs: Body, sign: signSendGrid, attacks: sendgridAttacks},
		{Name: "discord", Path: "/discord", Provider: "discord", Keys: secrets, kind: edHex, Proof: "signature", Copies: Acknowledged, Timed: true, Proven: []string{"X-Signature-Ed25519"}, Time: "X-Signature-Timestamp", Signs: Body, sign: signDiscord, attacks: discordAttacks},
		{Name: "telnyx", Path: "/telnyx", Provider: "telnyx", Keys: secrets, kind: edBase64, Proof: "signature", Copies: Acknowledged, Timed: true, Proven: []string{"telnyx-signature-ed25519"}, Time: "telnyx-timestamp", Signs: Body, sign: signTelnyx},
		{Name: "truelayer", Path: "/truelayer", Provider: "truelayer", Keys: secrets, kind: p521Set, Proof: "signature", Timed: true, Proven: []string{"Tl-Signature"}, Time: "X-Tl-Webhook-Timestamp", Signs: Body | Query, sign: signTrueLayer, attacks: truelayerAttacks},
		{Name: "adcp", Path: "/adcp", Provider: "adcp", Keys: secrets, kind: edSet, Proof: "signature", Timed: true, Proven: []string{"Signature", "Signature-Input"}, Signs: Body | Query, sign: signAdCP, attacks: adcpAttacks,
			Policy: "  public_url: https://hooks.example.com\n"},
	}
}

// scheme is one that the policy writes out, over time, dot and body.
func scheme(kind, how, signature, at string) string {
	return "  scheme:\n    retry: RESIGNED\n    " + kind + ": {" + how + ", signature: {headers: [" + signature + "]}, " +
		`content: [{timestamp: {}}, {literal: "."}, {body: {}}], timestamp: {header: ` + at + ", unit: SECONDS}}\n"
}

func tokens() []*Endpoint {
	return []*Endpoint{
		{Name: "gitlab", Path: "/gitlab", Provider: "gitlab", Keys: secrets, Proof: "token", Copies: Unknown, Proven: []string{"X-Gitlab-Token"},
			sign: func(_ *Endpoint, q *Request, k Key, _ time.Time) { q.Set("X-Gitlab-Token", k.Secret) }},
		{Name: "jwt", Path: "/jwt", Keys: jwtKeys, kind: rsaSet, Proof: "token", Copies: Acknowledged, Release: true, Proven: []string{"Authorization"}, sign: signJWT, attacks: jwtAttacks,
			Policy: "  replay: {" + window + "}\n"},
		{Name: "bearer", Path: "/bearer", Keys: anyOf("bearer: {value: {file: "), Proof: "token", Copies: Unknown, Proven: []string{"Authorization"}, attacks: sourceAttacks, Via: Via{Source: "203.0.113.9"},
			Policy: "  source_ip: {allow: [203.0.113.0/24], deny: [203.0.113.66]}\n",
			sign:   func(_ *Endpoint, q *Request, k Key, _ time.Time) { q.Set("Authorization", "Bearer "+k.Secret) }},
		{Name: "basic", Path: "/basic", Keys: anyOf("basic: {value: {file: "), kind: password, Proof: "token", Copies: Unknown, Proven: []string{"Authorization"}, sign: signBasic, attacks: basicAttacks},
	}
}

const jwtKeys = `  token:
    jwt:
      issuers: ["https://issuer.example.com"]
      audiences: ["https://hooks.example.com/push"]
      algorithms: [RS256]
      keys: KEYS
      claims: [{claim: email, equals: push@example.com}]
`

// anyOf lists the keys of a ring as static tokens.
func anyOf(rule string) string {
	one := func(id, more string) string {
		return "{id: " + id + ", " + rule + "../secrets/NAME." + id + "}}" + more + "}"
	}
	return "  token: {any_of: [" + strings.Join([]string{
		one("current", ""), one("previous", ""), one("ended", ", not_after: 2026-01-01T00:00:00Z"), one("early", ", not_before: 2099-01-01T00:00:00Z"),
	}, ", ") + "]}\n"
}

// guarded are endpoints with more than a signature, or less.
func guarded() []*Endpoint {
	github := func(name, policy string) *Endpoint {
		return &Endpoint{Name: name, Path: "/" + name, Provider: "github", Keys: secrets, Proof: "signature", Release: true, Proven: []string{"X-Hub-Signature-256"}, Signs: Body, sign: signGitHub,
			Policy: policy + "  replay: {" + window + "}\n"}
	}
	ranges, tls, mtls, shadow := github("ranges", "  source_ip: {ranges: [github]}\n"), github("tls", "  transport: {require_tls: true}\n"),
		github("mtls", "  transport: {client_certificate: {sans: [\"spiffe://example.org/sender\"]}}\n"), github("shadow", "  mode: SHADOW\n")
	ranges.Via.Source, ranges.attacks = "140.82.112.7", rangesAttacks
	tls.Via.TLS, tls.attacks = true, tlsAttacks
	mtls.Via = Via{TLS: true, Certificate: true}
	mtls.attacks = mtlsAttacks
	shadow.Shadow, shadow.Proof = true, ""
	tenant := github("tenant", "")
	tenant.Path, tenant.Target = "/tenants/{tenant}/hook", "/tenants/acme/hook"
	tenant.Keys, tenant.attacks = "  secrets: [{id: current, file: \"../secrets/tenant-{tenant}\"}]\n", tenantAttacks
	open := &Endpoint{Name: "open", Path: "/open", Open: true, Copies: Unknown, sign: func(*Endpoint, *Request, Key, time.Time) {}, Policy: "  unverified: {reason: a status page that signs nothing}\n"}
	return []*Endpoint{ranges, tls, mtls, shadow, tenant, open}
}
