package judges_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// judge is a verifier of a library, and the scheme that it knows.
type judge struct {
	host string // PyPI or npm
	id   string // as the driver names it: the package, and what of it
	// provider and scheme are those of the catalogue.
	provider, scheme string
	signs            bool // the library can sign too
	// What the library needs besides. Secrets have a form that the provider
	// gives them; where these are empty, one for the scheme's encoding.
	secret, otherSecret string
	// Of tokens that are signed with a private key: it, and the certificates where
	// tokens bring them.
	pair       *pair
	chain      *chain
	parameters map[string]string
	keyID      string
	kid        string // of the public key, where it has one
	headers    [][2]string
	path       string
	form       bool
	method     string // default POST
	variant    string // tells rows of one judge apart
	// adapt changes what our sign command made into the form in which the
	// provider sends it, where sign leaves that open.
	adapt func(t *testing.T, d *delivery, secret string) *delivery
	// body makes a body of that time, signed by nobody.
	body func(at time.Time) string
}

func (j *judge) name() string {
	if j.variant != "" {
		return j.host + " " + j.id + ", " + j.variant
	}
	return j.host + " " + j.id
}

// library is the package's name.
func (j *judge) library() string {
	if name, ok := inPackage[j.host+" "+j.id]; ok {
		return name
	}
	for _, name := range []string{"@hookflo/tern", "google-auth-library", "http-message-signatures", "jose", "jsrsasign", "nuxt-webhook-validators", "starkbank-ecdsa"} {
		if strings.HasPrefix(j.id, name) {
			return name
		}
	}
	return j.id
}

// label names the library, and what it was used for where it knows several
// providers.
func (j *judge) label() string {
	label := fmt.Sprintf("%s (%s)", j.library(), j.host)
	if at := strings.LastIndexByte(j.id, '/'); at > 0 && j.library() != j.id {
		label = fmt.Sprintf("%s for %s (%s)", j.library(), j.provider, j.host)
	}
	if j.variant != "" {
		label += ", " + j.variant
	}
	return label
}

// inPackage is the package of those judges whose id is not its name.
var inPackage = map[string]string{
	"PyPI adyen-platform":     "adyen",
	"PyPI anymail-mailgun":    "django-anymail",
	"PyPI bigcommerce":        "standardwebhooks",
	"PyPI anymail-mandrill":   "django-anymail",
	"PyPI hubspot-v1":         "hubspot-api-client",
	"PyPI hubspot-v2":         "hubspot-api-client",
	"PyPI hubspot-v3":         "hubspot-api-client",
	"PyPI messagebird-legacy": "messagebird",
	"PyPI paddle":             "paddle-python-sdk",
	"PyPI plivo-v2":           "plivo",
	"PyPI plivo-v3":           "plivo",
	"PyPI polar":              "polar-sdk",
	"PyPI sinch-conversation": "sinch",
	"PyPI sinch-numbers":      "sinch",
	"PyPI sinch-service":      "sinch",
	"npm messagebird-legacy":  "messagebird",
	"npm plivo-v2":            "plivo",
	"npm plivo-v3":            "plivo",
}

var judges = append([]judge{
	{host: "npm", id: "@apple/app-store-server-library", provider: "apple-app-store-v2", scheme: "apple-asn2", pair: p256Pair, chain: appleChain, body: noBody, parameters: map[string]string{"bundle_id": "com.example.app", "environment": "Sandbox"}},
	{host: "npm", id: "jose/fireblocks", provider: "fireblocks", scheme: "detached-jws-body", pair: rsaPair},
	{host: "npm", id: "jose/fusionauth", provider: "fusionauth", scheme: "jwt", pair: ed25519Pair},
	{host: "npm", id: "jose/fusionauth", variant: "ES512", provider: "fusionauth", scheme: "jwt", pair: p521Pair},
	{host: "npm", id: "jose/google-pubsub", provider: "google-pubsub", scheme: "jwt", pair: rsaPair, parameters: map[string]string{"audience": publicURL + "/hook/a", "service_account": "push@project.iam.gserviceaccount.com"}},
	{host: "npm", id: "jose/kinde", provider: "kinde", scheme: "jwt", pair: rsaPair, body: noBody, parameters: map[string]string{"issuer": "https://example.kinde.com"}},
	{host: "npm", id: "jose/plaid", provider: "plaid", scheme: "jwt", pair: p256Pair},
	{host: "npm", id: "jose/sign-in-with-apple", provider: "sign-in-with-apple", scheme: "jwt", pair: rsaPair, body: noBody, parameters: map[string]string{"client_id": "com.example.app"}},
	{host: "npm", id: "truelayer-signing", provider: "truelayer", scheme: "truelayer", signs: true, pair: p521Pair, path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "adyen", provider: "adyen", scheme: "items", signs: true, secret: hexSecret, otherSecret: otherHexSecret, body: adyenBody},
	{host: "PyPI", id: "adyen-platform", provider: "adyen-platform", scheme: "hmac-sha256", signs: true},
	{host: "PyPI", id: "anymail-mailgun", provider: "mailgun", scheme: "json"},
	{host: "PyPI", id: "anymail-mandrill", provider: "mandrill", scheme: "sha1", form: true, body: mandrillBody},
	{host: "PyPI", id: "atlassian-jwt", provider: "jira-connect", scheme: "jwt", signs: true, path: "/hook/a?b=2&a=1%202&b=1", adapt: issuer("client-1")},
	{host: "PyPI", id: "bigcommerce", provider: "bigcommerce", scheme: "v1"},
	{host: "PyPI", id: "boxsdk", provider: "box", scheme: "sha256"},
	{host: "PyPI", id: "braintree", provider: "braintree", scheme: "sha1", signs: true, keyID: "public_key_2026", form: true},
	{host: "PyPI", id: "coinbase-commerce", provider: "coinbase-commerce", scheme: "sha256"},
	{host: "PyPI", id: "elevenlabs", provider: "elevenlabs", scheme: "v0"},
	{host: "PyPI", id: "gocardless-pro", provider: "gocardless", scheme: "sha256"},
	{host: "PyPI", id: "hubspot-v1", provider: "hubspot-v1", scheme: "v1", signs: true, headers: [][2]string{{"x-hubspot-signature-version", "v1"}}},
	{host: "PyPI", id: "hubspot-v2", provider: "hubspot-v2", scheme: "v2", signs: true, path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "hubspot-v3", provider: "hubspot-v3", scheme: "v3", signs: true, path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "mercadopago", provider: "mercado-pago", scheme: "v1-seconds", path: "/hook/a?data.id=123456&type=payment", headers: requestID},
	{host: "PyPI", id: "mercadopago", variant: "letters in the id", provider: "mercado-pago", scheme: "v1-seconds", path: "/hook/a?data.id=ORDTST01&type=order", headers: requestID},
	{host: "PyPI", id: "messagebird", provider: "messagebird", scheme: "jwt", path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "messagebird-legacy", provider: "messagebird-legacy", scheme: "sha256", path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "paddle", provider: "paddle", scheme: "h1"},
	{host: "PyPI", id: "plivo-v2", provider: "plivo-v2", scheme: "v2", form: true, path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "plivo-v3", provider: "plivo-v3", scheme: "v3", form: true, path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "plivo-v3", variant: "GET", method: "GET", provider: "plivo-v3", scheme: "v3", path: "/hook/a?b=2&a=1&b=1"},
	{host: "PyPI", id: "polar", provider: "polar", scheme: "v1"},
	{host: "PyPI", id: "pusher", provider: "pusher", scheme: "sha256", body: pusherBody},
	{host: "PyPI", id: "razorpay", provider: "razorpay", scheme: "sha256"},
	{host: "PyPI", id: "replicate", provider: "replicate", scheme: "v1"},
	{host: "PyPI", id: "resend", provider: "resend", scheme: "v1"},
	{host: "PyPI", id: "sinch-conversation", provider: "sinch-conversation", scheme: "sha256"},
	{host: "PyPI", id: "sinch-numbers", provider: "sinch-numbers", scheme: "sha1", signs: true},
	{host: "PyPI", id: "sinch-service", provider: "sinch-application-signed", scheme: "service", path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "slack-sdk", provider: "slack", scheme: "v0", signs: true},
	{host: "PyPI", id: "squareup", provider: "square", scheme: "sha256", path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "standardwebhooks", provider: "standard-webhooks", scheme: "v1", signs: true},
	{host: "PyPI", id: "stripe", provider: "stripe", scheme: "v1", signs: true, secret: "whsec_" + base64Secret},
	{host: "PyPI", id: "svix", provider: "svix", scheme: "v1", signs: true},
	{host: "PyPI", id: "twilio", provider: "twilio", scheme: "sha1", signs: true, form: true, path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "twilio", variant: "JSON", provider: "twilio", scheme: "sha1", path: "/hook/a?b=2&a=1"},
	{host: "PyPI", id: "vonage-jwt", provider: "vonage", scheme: "jwt"},
	{host: "PyPI", id: "workos", provider: "workos", scheme: "v1"},
	{host: "npm", id: "@contentful/node-apps-toolkit", provider: "contentful", scheme: "sha256", signs: true, secret: contentfulSecret, otherSecret: strings.ToUpper(contentfulSecret), path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "@hookflo/tern/clerk", provider: "clerk", scheme: "v1"},
	{host: "npm", id: "@hookflo/tern/github", provider: "github", scheme: "sha256"},
	{host: "npm", id: "@hookflo/tern/gitlab", provider: "gitlab", scheme: "token"},
	{host: "npm", id: "@hookflo/tern/lemonsqueezy", provider: "lemon-squeezy", scheme: "sha256"},
	{host: "npm", id: "@hookflo/tern/paddle", provider: "paddle", scheme: "h1"},
	{host: "npm", id: "@hookflo/tern/polar", provider: "polar", scheme: "v1"},
	{host: "npm", id: "@hookflo/tern/razorpay", provider: "razorpay", scheme: "sha256"},
	{host: "npm", id: "@hookflo/tern/replicateai", provider: "replicate", scheme: "v1"},
	{host: "npm", id: "@hookflo/tern/sentry", provider: "sentry", scheme: "hook"},
	{host: "npm", id: "@hookflo/tern/shopify", provider: "shopify", scheme: "sha256"},
	{host: "npm", id: "@hookflo/tern/stripe", provider: "stripe", scheme: "v1"},
	{host: "npm", id: "@hookflo/tern/woocommerce", provider: "woocommerce", scheme: "sha256"},
	{host: "npm", id: "@hygraph/utils", provider: "hygraph", scheme: "sha256", signs: true},
	{host: "npm", id: "@line/bot-sdk", provider: "line", scheme: "sha256"},
	{host: "npm", id: "@linear/sdk", provider: "linear", scheme: "sha256", body: linearBody},
	{host: "npm", id: "@mux/mux-node", provider: "mux", scheme: "v1"},
	{host: "npm", id: "@notionhq/client", provider: "notion", scheme: "sha256", signs: true},
	{host: "npm", id: "@octokit/webhooks-methods", provider: "github", scheme: "sha256", signs: true},
	{host: "npm", id: "@paddle/paddle-node-sdk", provider: "paddle", scheme: "h1"},
	{host: "npm", id: "@sanity/webhook", provider: "sanity", scheme: "v1", signs: true},
	{host: "npm", id: "@shopify/shopify-api", provider: "shopify", scheme: "sha256", headers: shopifyHeaders},
	{host: "npm", id: "@slack/bolt", provider: "slack", scheme: "v0"},
	{host: "npm", id: "livekit-server-sdk", provider: "livekit", scheme: "jwt", signs: true, adapt: issuer("key-2026")},
	{host: "npm", id: "mercadopago", provider: "mercado-pago", scheme: "v1-seconds", path: "/hook/a?data.id=123456&type=payment", headers: requestID},
	{host: "npm", id: "mercadopago", variant: "letters in the id", provider: "mercado-pago", scheme: "v1-seconds", path: "/hook/a?data.id=ORDTST01&type=order", headers: requestID},
	{host: "npm", id: "messagebird", provider: "messagebird", scheme: "jwt", path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "messagebird-legacy", provider: "messagebird-legacy", scheme: "sha256", path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "modern-treasury", provider: "modern-treasury", scheme: "sha256", signs: true},
	{host: "npm", id: "nuxt-webhook-validators/bitbucket", provider: "bitbucket", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/calcom", provider: "cal-com", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/docusign", provider: "docusign", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/dropbox", provider: "dropbox", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/fourthwall", provider: "fourthwall", scheme: "shop"},
	{host: "npm", id: "nuxt-webhook-validators/heroku", provider: "heroku", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/meta", provider: "meta", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/netlify", provider: "netlify", scheme: "jwt"},
	{host: "npm", id: "nuxt-webhook-validators/slack", provider: "slack", scheme: "v0"},
	{host: "npm", id: "nuxt-webhook-validators/twitch", provider: "twitch", scheme: "sha256"},
	{host: "npm", id: "nuxt-webhook-validators/vercel", provider: "vercel", scheme: "sha1"},
	{host: "npm", id: "openai", provider: "openai", scheme: "v1"},
	{host: "npm", id: "openai", variant: "a secret without whsec_", provider: "openai", scheme: "v1", secret: base64Secret},
	{host: "npm", id: "plivo-v2", provider: "plivo-v2", scheme: "v2", form: true, path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "plivo-v3", provider: "plivo-v3", scheme: "v3", form: true, path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "plivo-v3", variant: "GET", method: "GET", provider: "plivo-v3", scheme: "v3", path: "/hook/a?b=2&a=1&b=1"},
	{host: "npm", id: "pusher", provider: "pusher", scheme: "sha256", signs: true, body: pusherBody},
	{host: "npm", id: "razorpay", provider: "razorpay", scheme: "sha256"},
	{host: "npm", id: "retell-sdk", provider: "retell", scheme: "sha256", signs: true},
	{host: "npm", id: "standardwebhooks", provider: "standard-webhooks", scheme: "v1", signs: true},
	{host: "npm", id: "stripe", provider: "stripe", scheme: "v1", signs: true, secret: "whsec_" + base64Secret},
	{host: "npm", id: "svix", provider: "svix", scheme: "v1", signs: true},
	{host: "npm", id: "twilio", provider: "twilio", scheme: "sha1", signs: true, form: true, path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "twilio", variant: "JSON", provider: "twilio", scheme: "sha1", path: "/hook/a?b=2&a=1"},
	{host: "npm", id: "webflow-api", provider: "webflow", scheme: "sha256"},
}, publicKeyJudges...)

// What the libraries want to see besides the signature.
var (
	shopifyHeaders = [][2]string{
		{"x-shopify-topic", "orders/create"}, {"x-shopify-shop-domain", "example.myshopify.com"},
		{"x-shopify-api-version", "2026-10"}, {"x-shopify-webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"},
	}
)

var requestID = [][2]string{{"x-request-id", "bb56a2f1-6aae-46ac-982e-9dcd3581d08e"}}

func pusherBody(at time.Time) string {
	return fmt.Sprintf(`{"time_ms":%d,"events":[{"name":"channel_occupied","channel":"test"}]}`, at.UnixMilli())
}

// noBody is for those whose body is made by signing.
func noBody(time.Time) string { return "{}" }

func linearBody(at time.Time) string {
	return fmt.Sprintf(`{"action":"create","type":"Issue","webhookTimestamp":%d}`, at.UnixMilli())
}

// Secrets that are text and base64 at once, and hex.
const (
	base64Secret      = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMy"
	otherBase64Secret = "b3RoZXItLW90aGVyLS1vdGhlci0tb3RoZXItLTMy"
	hexSecret         = "5365637265745365637265745365637265745365637265745365637265745365"
	contentfulSecret  = "q_Zs4ZZpEyBqGa2bZpDL8Xt0kHnM1cV7jR5wYfU3oIeWbNmKlJhGfDsAzXcVbNm1"
	otherHexSecret    = "6f746865726f746865726f746865726f746865726f746865726f746865726f74"
)

func (j *judge) secretFor(s *policyv1.NamedScheme) string {
	switch {
	case j.secret != "":
		return j.secret
	case j.chain != nil:
		return j.chain.root
	case j.pair != nil:
		return j.pair.public
	}
	return shaped(s, base64Secret, hexSecret)
}

func (j *judge) otherSecretFor(s *policyv1.NamedScheme) string {
	switch {
	case j.otherSecret != "":
		return j.otherSecret
	case j.chain != nil:
		return otherChain.root
	case j.pair != nil:
		return j.pair.other
	}
	return shaped(s, otherBase64Secret, otherHexSecret)
}

func shaped(s *policyv1.NamedScheme, base64, hex string) string {
	hmac := s.GetScheme().GetHmac()
	if hmac.GetKeyEncoding() == policyv1.Key_HEX {
		return hex
	}
	if prefixes := hmac.GetKeyPrefixes(); len(prefixes) > 0 {
		return prefixes[0] + base64
	}
	return base64
}
