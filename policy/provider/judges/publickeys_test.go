package judges_test

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

const (
	snsKey   = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
	alexaKey = "https://s3.amazonaws.com/echo.api/echo-api-cert-15.pem"
	adobeKey = "/prod/keys/pub-key-20fb4b34-3b2f-4b1f-9c3a-0a1b2c3d4e5f.pem"
	tenant   = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
	appID    = "8e460676-ae3f-4b1e-8790-ee0fb5d6148f"
)

var (
	pushed    = map[string]string{"audience": publicURL + "/hook/a", "service_account": "push@project.iam.gserviceaccount.com"}
	topic     = map[string]string{"topic_arns": "arn:aws:sns:us-east-1:123456789012:orders"}
	oldTopic  = map[string]string{"topic_arns": "arn:aws:sns:us-east-1:123456789012:orders", "signature_versions": "1"}
	echo      = certificatePEM("echo-api.amazon.com", rsaPair)
	otherEcho = certificatePEM("echo-api.amazon.com", &pair{private: steady{readRSA(otherRSAPEM)}})
)

// publicKeyJudges are those of signatures by public keys, and of tokens that a library
// of the provider's own reads.
var publicKeyJudges = []judge{
	{host: "npm", id: "@adobe/aio-lib-events", provider: "adobe-io-events", scheme: "rsa", pair: rsaPair, kid: adobeKey, body: adobeBody, parameters: map[string]string{"recipient_client_id": "3ab4c5d6e7f84a1b9c0d1e2f3a4b5c6d"}, headers: [][2]string{{"x-adobe-digital-signature-2", "eA=="}, {"x-adobe-public-key2-path", "/prod/keys/pub-key-other.pem"}}},
	{host: "npm", id: "@copilot-extensions/preview-sdk", provider: "github-secret-scanning", scheme: "ecdsa", pair: p256Pair, kid: "2026"},
	{host: "npm", id: "@kinde/webhooks", provider: "kinde", scheme: "jwt", pair: rsaPair, kid: "2026", body: noBody, parameters: map[string]string{"issuer": "https://example.kinde.com"}},
	{host: "npm", id: "@sendgrid/eventwebhook", provider: "sendgrid", scheme: "ecdsa", pair: p256Pair},
	{host: "npm", id: "@wix/sdk", provider: "wix", scheme: "jwt", pair: rsaPair, body: noBody},
	{host: "npm", id: "alexa-verifier", provider: "alexa", scheme: "rsa", pair: rsaPair, secret: echo, otherSecret: otherEcho, kid: alexaKey, body: alexaBody, parameters: map[string]string{"application_ids": "amzn1.ask.skill.0a1b2c3d"}},
	{host: "npm", id: "botframework-connector", provider: "azure-bot-framework", scheme: "jwt", pair: rsaPair, kid: "2026", body: botBody, parameters: map[string]string{"app_id": "00001111-aaaa-2222-bbbb-3333cccc4444"}},
	{host: "npm", id: "discord-interactions", provider: "discord", scheme: "ed25519", pair: ed25519Pair},
	{host: "npm", id: "event-notification-nodejs-sdk", provider: "ebay", scheme: "ecdsa", pair: p256Pair, kid: "2026", body: ebayBody},
	{host: "npm", id: "google-auth-library/google-chat", provider: "google-chat", scheme: "url", pair: rsaPair, kid: "2026", parameters: map[string]string{"audience": publicURL + "/hook/a"}},
	{host: "npm", id: "google-auth-library/google-chat-project", provider: "google-chat", scheme: "project-number", pair: rsaPair, kid: "2026", parameters: map[string]string{"audience": "1234567890"}},
	{host: "npm", id: "google-auth-library/google-cloud-tasks", provider: "google-cloud-tasks", scheme: "jwt", pair: rsaPair, kid: "2026", parameters: pushed},
	{host: "npm", id: "google-auth-library/google-eventarc", provider: "google-eventarc", scheme: "jwt", pair: rsaPair, kid: "2026", parameters: pushed},
	{host: "npm", id: "google-auth-library/google-play-rtdn", provider: "google-play-rtdn", scheme: "jwt", pair: rsaPair, kid: "2026", parameters: pushed},
	{host: "npm", id: "google-auth-library/google-pubsub", provider: "google-pubsub", scheme: "jwt", pair: rsaPair, kid: "2026", parameters: pushed},
	{host: "npm", id: "http-message-signatures/adcp", provider: "adcp", scheme: "rfc9421", signs: true, pair: ed25519Pair, kid: "2026"},
	{host: "npm", id: "http-message-signatures/ucp", provider: "ucp", scheme: "rfc9421", signs: true, pair: p256Pair, kid: "2026"},
	{host: "npm", id: "jose/atlassian-forge", provider: "atlassian-forge", scheme: "jwt", pair: rsaPair, parameters: map[string]string{"app_id": "ari:cloud:ecosystem::app/8db33309"}},
	{host: "npm", id: "jose/azure-event-grid", provider: "azure-event-grid", scheme: "entra", pair: rsaPair, parameters: map[string]string{"tenant_id": tenant, "audience": appID}},
	{host: "npm", id: "jose/gemini-api", provider: "gemini-api", scheme: "dynamic", pair: rsaPair, parameters: map[string]string{"audience": "my-project"}},
	{host: "npm", id: "jose/microsoft-graph", provider: "microsoft-graph", scheme: "jwt", pair: rsaPair, body: noBody, parameters: map[string]string{"tenant_id": tenant, "app_id": appID}},
	{host: "npm", id: "jsrsasign/chip-collect", provider: "chip-collect", scheme: "rsa", pair: rsaPair},
	{host: "npm", id: "jsrsasign/dyte", provider: "dyte", scheme: "rsa", pair: rsaPair},
	{host: "npm", id: "jsrsasign/fireblocks-legacy", provider: "fireblocks-legacy", scheme: "rsa", pair: rsaPair},
	{host: "npm", id: "jsrsasign/freshchat", provider: "freshchat", scheme: "rsa", pair: rsaPair},
	{host: "npm", id: "jsrsasign/wise", provider: "wise", scheme: "rsa", pair: rsaPair},
	{host: "npm", id: "nuxt-webhook-validators/discord", provider: "discord", scheme: "ed25519", pair: ed25519Pair},
	{host: "npm", id: "nuxt-webhook-validators/kick", provider: "kick", scheme: "rsa", pair: rsaPair, body: kickBody, parameters: map[string]string{"broadcaster_user_ids": "123456789"}},
	{host: "npm", id: "sns-validator", provider: "aws-sns", scheme: "notification", pair: rsaPair, kid: snsKey, body: snsBody("2", `"Type":"Notification","Subject":"a"`), parameters: topic},
	{host: "npm", id: "sns-validator", variant: "confirmation", provider: "aws-sns", scheme: "confirmation", pair: rsaPair, kid: snsKey, body: snsBody("2", confirmation), parameters: topic},
	{host: "npm", id: "sns-validator", variant: "version 1", provider: "aws-sns", scheme: "notification-v1", pair: rsaPair, kid: snsKey, body: snsBody("1", `"Type":"Notification"`), parameters: oldTopic},
	{host: "npm", id: "sns-validator", variant: "confirmation of version 1", provider: "aws-sns", scheme: "confirmation-v1", pair: rsaPair, kid: snsKey, body: snsBody("1", confirmation), parameters: oldTopic},
	{host: "npm", id: "starkbank-ecdsa/circle", provider: "circle", scheme: "ecdsa", pair: p256Pair, kid: "2026"},
	{host: "PyPI", id: "atlassian-jwt", variant: "atlassian-connect", provider: "atlassian-connect", scheme: "jwt", keyID: "client-1", path: "/hook/a?b=2&a=1%202&b=1"},
	{host: "npm", id: "telnyx", provider: "telnyx", scheme: "ed25519", pair: ed25519Pair},
	{host: "npm", id: "verify-paddle-webhook", provider: "paddle-classic", scheme: "sha1", pair: rsaPair, form: true},
	{host: "npm", id: "wechatpay-axios-plugin", provider: "wechat-pay", scheme: "rsa", signs: true, pair: rsaPair, kid: "2026"},
}

const confirmation = `"Type":"SubscriptionConfirmation","Token":"2336412f37","SubscribeURL":"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"`

func snsBody(version, members string) func(time.Time) string {
	return func(at time.Time) string {
		return fmt.Sprintf(`{"SignatureVersion":%q,%s,"Message":"a\n\u00e9","MessageId":"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",`+
			`"TopicArn":%q,"Timestamp":%q}`, version, members, topic["topic_arns"], at.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
}

func alexaBody(at time.Time) string {
	return fmt.Sprintf(`{"version":"1.0","context":{"System":{"application":{"applicationId":"amzn1.ask.skill.0a1b2c3d"}}},`+
		`"request":{"type":"LaunchRequest","requestId":"amzn1.1","timestamp":%q}}`, at.UTC().Format(time.RFC3339))
}

func adobeBody(time.Time) string {
	return `{"event_id":"1","recipient_client_id":"3ab4c5d6e7f84a1b9c0d1e2f3a4b5c6d"}`
}

func botBody(time.Time) string {
	return `{"type":"message","serviceUrl":"https://smba.trafficmanager.net/teams/","channelId":"msteams"}`
}

// ebayBody is as JavaScript writes it.
func ebayBody(time.Time) string {
	return `{"metadata":{"topic":"MARKETPLACE_ACCOUNT_DELETION"},"notification":{"publishAttemptCount":1}}`
}

func kickBody(time.Time) string { return `{"broadcaster":{"user_id":123456789},"content":"hi"}` }

// certificatePEM is one for a name, signed by its own key.
func certificatePEM(name string, p *pair) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certify("leaf", nil, p.private.Public(), p.private, nil, name)}))
}

// publicKeyCases write the signature by a private key in other ways, and other ones.
func publicKeyCases(s *policyv1.NamedScheme, parts []part, signed *delivery) []testCase {
	scheme := s.GetScheme()
	if !scheme.Public() || !scheme.SignsContent() || len(parts) == 0 || scheme.Signed().GetSignature().GetGrammar() != policyv1.Signature_GRAMMAR_UNSPECIFIED {
		return nil
	}
	p := parts[0]
	decode, encode := base64.StdEncoding.DecodeString, base64.StdEncoding.EncodeToString
	if scheme.Signed().GetEncoding() == policyv1.Hmac_HEX {
		decode, encode = hex.DecodeString, hex.EncodeToString
	}
	raw, err := decode(p.value)
	if err != nil {
		panic(err) // our own signature
	}
	var list []testCase
	text := func(name, value string) {
		if value != p.value {
			list = append(list, testCase{name: "key: " + name, delivery: signed.with(p.name, value)})
		}
	}
	bytes := func(name string, value []byte) { text(name, encode(value)) }
	text("without padding", strings.TrimRight(p.value, "="))
	text("alphabet for URLs", strings.NewReplacer("+", "-", "/", "_").Replace(p.value))
	if strings.HasSuffix(p.value, "=") {
		text("other unused bits", otherBits(p.value))
	}
	text("in hex or base64", map[bool]string{true: hex.EncodeToString(raw), false: base64.StdEncoding.EncodeToString(raw)}[scheme.GetEd25519() == nil || p.value != hex.EncodeToString(raw)])
	bytes("a byte behind", append(append([]byte{}, raw...), 0))
	bytes("a zero before", append([]byte{0}, raw...))
	bytes("zeros", make([]byte, len(raw)))
	bytes("the first half", raw[:len(raw)/2])
	bytes("a bit turned over", append([]byte{raw[0] ^ 1}, raw[1:]...))
	switch {
	case scheme.GetEd25519() != nil:
		bytes("s and the order", moreThanOrder(raw))
	case scheme.GetEcdsa() != nil:
		list = append(list, derCases(p, signed, raw)...)
	}
	return list
}

// moreThanOrder adds the order of Ed25519's group to s, which RFC 8032 forbids.
func moreThanOrder(raw []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	number := make([]byte, 32)
	for i, b := range raw[32:] {
		number[31-i] = b
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(number), order)
	sum.FillBytes(number)
	other := append([]byte{}, raw...)
	for i, b := range number {
		other[63-i] = b
	}
	return other
}

// derCases write the two numbers of an ECDSA signature of P-256 in other ways.
func derCases(p part, signed *delivery, raw []byte) []testCase {
	var n struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(raw, &n); err != nil {
		panic(err) // our own signature
	}
	order := p256Pair.private.(steady).Signer.(*ecdsa.PrivateKey).Params().N
	der := func(r, s *big.Int) []byte {
		text, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			panic(err)
		}
		return text
	}
	fixed := make([]byte, 64)
	n.R.FillBytes(fixed[:32])
	n.S.FillBytes(fixed[32:])
	var list []testCase
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"s turned over", der(n.R, new(big.Int).Sub(order, n.S))},
		{"s and the order", der(n.R, new(big.Int).Add(order, n.S))},
		{"r of zero", der(new(big.Int), n.S)},
		{"s of zero", der(n.R, new(big.Int))},
		{"r and s of one", der(big.NewInt(1), big.NewInt(1))},
		{"r below zero", der(new(big.Int).Neg(n.R), n.S)},
		{"not DER", fixed},
		{"a long form of the length", append([]byte{raw[0], 0x81}, raw[1:]...)},
		{"a wrong length", append([]byte{raw[0], raw[1] + 1}, raw[2:]...)},
	} {
		list = append(list, testCase{name: "key: " + c.name, delivery: signed.with(p.name, base64.StdEncoding.EncodeToString(c.bytes))})
	}
	return list
}

// messageCases change single members of messages of Amazon SNS.
func messageCases(j *judge, signed *delivery) []testCase {
	if j.provider != "aws-sns" {
		return nil
	}
	var list []testCase
	change := func(name, from, to string) {
		d := signed.clone()
		d.body = []byte(strings.Replace(string(d.body), from, to, 1))
		list = append(list, testCase{name: "message: " + name, delivery: d})
	}
	change("another text", `"Message":"a`, `"Message":"b`)
	change("another id", `"22b80b92`, `"22b80b93`)
	change("another type", `"Type":"`, `"Type":"Unsubscribe`)
	change("another version", `"SignatureVersion":"`, `"SignatureVersion":"3`)
	change("a version as number", `"SignatureVersion":"`+string(signed.body[21])+`"`, `"SignatureVersion":`+string(signed.body[21]))
	change("a subject more", `"Message"`, `"Subject":"x","Message"`)
	change("a member more", `"Message"`, `"Extra":"x","Message"`)
	change("a member twice", `"Message"`, `"Message":"x","Message"`)
	change("a certificate elsewhere", "sns.us-east-1.amazonaws.com/Simple", "sns.us-east-1.amazonaws.com.attacker.example/Simple")
	change("a certificate of another path", "SimpleNotificationService-", "Other-")
	change("a way to unsubscribe", `"Message"`, `"UnsubscribeURL":"https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe","Message"`)
	change("an empty subject", `"Message"`, `"Subject":"","Message"`)
	change("a null subject", `"Message"`, `"Subject":null,"Message"`)
	return list
}
