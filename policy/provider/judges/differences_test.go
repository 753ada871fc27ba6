package judges_test

import "strings"

// difference explains why verdicts differ.
type difference struct {
	// judges are names or ids of judges, or "*" for any.
	judges []string
	// cases are names of cases; one that ends in * is a beginning.
	cases  []string
	accept bool // they accept and we refuse; else the other way round
	why    string
}

const (
	weAccept = false
	weRefuse = true
)

// strict are the cases in which a library reads one text in several ways.
var (
	anyBase64 = []string{
		"MAC: alphabet for URLs", "MAC: more padding", "MAC: other unused bits", "MAC: without padding", "signature: in quotes",
		"signature: last character missing", "signature: one character more", "signature: written twice",
		"signature: header twice", "list: a wrong one behind, comma", "random: signature*",
		"key: without padding", "key: alphabet for URLs", "key: other unused bits",
	}
	looseTimes = []string{
		"time: with a fraction", "time: with a plus before", "time: with a zero before", "time: with an exponent",
		"time: with text behind", "time: in hex", "time: header twice", "random: time*",
	}
	looseItems = []string{
		"list: a separator behind", "list: an empty item", "list: an item without a value", "list: the time twice",
		"list: another time before", "list: another time behind",
	}
	early = []string{"time: 61s earlier", "time: 1??s earlier", "time: 2??s earlier", "time: 3??s earlier", "time: 86400s earlier"}
	late  = []string{"time: 3?1s later", "time: 599s later", "time: 60?s later", "time: 1???s later", "time: 86400s later"}
	// Texts of one token, which anybody can make.
	looseToken = []string{
		"token: padding", "token: too much padding", "token: base64 for texts", "token: other unused bits", "token: a line break behind",
		"signature: one character more", "random: signature*", "body: one space added", "random: body*",
	}
	// Libraries that read tokens in the same way.
	tokenReaders = []string{"npm jose/*", "@kinde/webhooks", "@wix/sdk", "botframework-connector", "google-auth-library/*"}
	lateToken    = []string{
		"time: 60s later", "time: 6?s later", "time: 91s later", "time: 151s later", "time: 301s later", "time: 3600s later",
		"time: a year later", "token: exp -*",
	}
)

// differences are all that there are. The first that fits a case explains it.
var differences = []difference{
	// Texts of the same bytes.
	{[]string{"*"}, []string{
		"MAC: in capitals", "signature: all in capitals", "random: signature, a character changed to its other case",
	}, weAccept, "The library compares hexadecimal digits as text. In capitals they are the same bytes."},
	{[]string{"hubspot-v1", "hubspot-v2"}, []string{"body: with NUL, signed"}, weRefuse,
		"A plain hash can be made longer by anyone, and what was made longer has a NUL byte. JSON and forms have none."},
	{[]string{"anymail-mailgun"}, []string{"random: body, letter case"}, weAccept,
		"A digit of the MAC in capitals is the same byte. Other letters of the body are not signed."},
	{[]string{"PyPI messagebird", "nuxt-webhook-validators/netlify", "jose/plaid"}, []string{"token: * in capitals"}, weAccept,
		"The library compares a digest in a claim as text. In capitals it is the same bytes, and the claim is signed."},

	// Bodies.
	{[]string{"*"}, []string{"body: not UTF-8, signed", "form: not UTF-8, signed"}, weAccept,
		"The library wants text, and alters or refuses bytes that are none. The signature is over the bytes."},
	{[]string{"npm stripe", "@hookflo/tern*"}, []string{"body: byte order mark, signed"}, weAccept,
		"The library drops a byte order mark before it computes the MAC."},
	{[]string{"elevenlabs", "resend", "npm svix", "livekit-server-sdk"}, []string{
		"body: not JSON, signed", "body: empty, signed", "body: with NUL, signed", "body: byte order mark, signed",
	}, weAccept, "The library parses the body in the same call, and refuses one that is no JSON."},
	{[]string{"*"}, []string{"body: empty, signed"}, weAccept,
		"The library takes an empty body for a missing one."},

	// What a library does not look at.
	{[]string{"npm twilio*"}, []string{"URL: query value escaped"}, weRefuse,
		"The library also tries the query decoded and encoded anew. What was sent is another URL than the signed one."},
	{[]string{"plivo-v3"}, []string{"method changed"}, weAccept,
		"The library knows no methods but GET and POST. The method is not signed, and a policy lists the allowed ones."},
	{[]string{"PyPI plivo-v3, GET", "npm plivo-v3, GET"}, []string{"body: one added"}, weRefuse,
		"The library does not look at the body of a GET request. Nothing signs it."},
	{[]string{"anymail-mandrill"}, []string{"method changed"}, weAccept,
		"Django reads forms of POST requests only. The method is not signed, and a policy lists the allowed ones."},
	{[]string{"anymail-mandrill"}, []string{"form: name and value cut elsewhere"}, weRefuse,
		"Nothing that is signed divides a name from its value. The one field has one name."},
	{[]string{"anymail-mandrill"}, []string{"form: one twice"}, weRefuse,
		"The library signs the last of several values of one name. An upstream may take another."},
	{[]string{"PyPI adyen"}, []string{"items: a forged one behind"}, weRefuse,
		"The library verifies the first item only. We take notifications of one item, as Adyen sends them."},
	{[]string{"PyPI adyen"}, []string{"items: a key twice"}, weRefuse,
		"The library takes the last of two values of one key. An upstream may take the first."},
	{[]string{"sinch-service"}, []string{"random: signature*"}, weAccept,
		"The library compares the key's id as well. It is not signed, and a policy has the secret."},
	{[]string{"braintree"}, []string{"items: a field more"}, weRefuse,
		"The library is given two fields of the form. Nothing signs a third."},
	{[]string{"sinch-conversation"}, []string{"constant: *", "random: constant*"}, weRefuse,
		"The library does not look at the header that names the algorithm. It must say the one that Sinch documents."},
	{[]string{"@contentful/node-apps-toolkit"}, []string{"signed header: *", "random: signed header*"}, weRefuse,
		"The library writes the list of signed headers anew before it computes the MAC. The list that was sent must be the signed one."},
	{[]string{"vonage-jwt"}, []string{"body: *", "random: body*", "token: *payload_hash*", "token: *iss*"}, weRefuse,
		"The library verifies the token only, not that it is about this body, nor who issued it."},

	// Lists and repeated headers.
	{[]string{"*"}, []string{"signature: header twice*"}, weRefuse,
		"Servers join equal headers with a comma, and the library finds a good signature in the result. Another reader may take the other header."},
	{[]string{"@hookflo/tern*", "@paddle/paddle-node-sdk", "elevenlabs", "mercadopago", "PyPI mercadopago*", "npm mercadopago*"}, []string{"list: a wrong one behind"}, weAccept,
		"The library looks at the last signature of the list only. While a secret is changed there are several."},
	{[]string{"PyPI paddle"}, []string{"signature: written twice", "list: another version*"}, weAccept,
		"The library refuses items that it does not know. We look at the known ones."},
	{[]string{"workos", "@sanity/webhook", "retell-sdk"}, []string{"list: *", "signature: written twice"}, weAccept,
		"The library knows only the exact form with one signature. More items make no delivery that its sender did not sign."},
	{[]string{"*"}, []string{"list: spaces behind separators"}, weAccept,
		"The library takes a space for a part of the item's name. Some providers write one."},
	{[]string{"bigcommerce", "polar", "resend", "PyPI standardwebhooks", "PyPI svix", "replicate"}, []string{
		"list: a comma behind", "list: commas between", "list: two spaces", "list: an entry without a comma before",
		"list: an undecodable one before",
	}, weAccept, "The library gives up at an entry of another form. We look at the next, since one sender joins entries with comma and space."},
	{[]string{"*"}, looseItems, weRefuse,
		"The library passes over items of another form, and takes the first or the last of several times. Readers must not differ about the time."},
	{[]string{"polar", "replicate", "@hookflo/tern*"}, []string{"list: tab between"}, weRefuse,
		"The library separates entries by any white space. Standard Webhooks says a space."},
	{[]string{"replicate", "resend", "npm openai"}, []string{
		"list: another version with the MAC", "list: no version", "signature: first character missing", "signature: in quotes",
	}, weRefuse, "The library does not look at the version. A MAC under another version may be made in another way."},
	{[]string{"@slack/bolt", "nuxt-webhook-validators*"}, []string{"list: an item behind, equals sign"}, weRefuse,
		"The library passes over what follows a second equals sign."},
	{[]string{"retell-sdk"}, []string{"signature: all in capitals"}, weRefuse,
		"The library takes the names of the items in either letter case. Retell writes small letters."},

	// Encodings that have several texts for the same bytes.
	{[]string{
		"@line/bot-sdk", "messagebird-legacy", "npm openai", "@copilot-extensions/preview-sdk", "@sendgrid/eventwebhook", "alexa-verifier",
		"event-notification-nodejs-sdk", "jsrsasign/*", "starkbank-ecdsa/*", "telnyx", "wechatpay-axios-plugin", "@adobe/aio-lib-events",
		"nuxt-webhook-validators/kick",
	}, anyBase64, weRefuse,
		"The library's decoder passes over what is no base64, or wants no padding. One signature would have many texts."},
	{[]string{"@hygraph/utils"}, []string{"signature: written twice"}, weRefuse,
		"The library looks at the first three items only."},
	{[]string{"bigcommerce", "replicate", "PyPI standardwebhooks", "PyPI svix", "polar"}, []string{
		"MAC: more padding", "MAC: other unused bits", "signature: one character more", "signature: written twice",
		"random: signature, a character doubled",
	}, weRefuse, "The library's base64 decoder passes over what follows the padding, or over unused bits. One signature would have many texts."},
	{[]string{"*"}, looseTimes, weRefuse,
		"The library reads the time as a number and signs that number's text. Only the text that was signed counts here, and it must be digits."},

	// Windows of time. Ours are 300 s for the past and 60 s for the future, if
	// the provider names no others.
	{[]string{"@hookflo/tern*"}, []string{"time: *s later"}, weRefuse,
		"The library allows 300 s for every provider. Paddle's own libraries allow 5 s."},
	{[]string{"truelayer-signing"}, []string{"time: -*s later"}, weRefuse,
		"The library does not look at the signed time. A delivery of the future could be kept and sent later."},
	{[]string{"*"}, early, weRefuse,
		"The library does not limit, or limits to more, how far a time may be in the future. Such a delivery could be kept and sent later."},
	{[]string{
		"anymail-mailgun", "sinch-conversation", "@hygraph/utils", "@sanity/webhook", "npm pusher", "webflow-api", "nuxt-webhook-validators/twitch",
		"sinch-service", "truelayer-signing", "discord-interactions", "nuxt-webhook-validators/discord", "nuxt-webhook-validators/kick",
		"npm sns-validator*", "wechatpay-axios-plugin",
	}, append(late, "time: 301s later", "time: 3600s later", "time: a year later"), weRefuse, "The library does not look at the signed time. An old delivery could be sent again at any time."},
	{[]string{"boxsdk"}, []string{"time: *s earlier"}, weAccept,
		"The library allows no time in the future. Clocks differ by seconds."},
	{[]string{"PyPI paddle"}, []string{"time: *s earlier"}, weAccept,
		"The library allows 5 s in the future, Paddle's other libraries any time. We allow 60 s."},
	{[]string{"hubspot-v3"}, []string{"time: 300s later"}, weAccept,
		"The library refuses at the last second of the window."},
	{[]string{"@contentful/node-apps-toolkit"}, []string{"time: 30s later"}, weAccept,
		"The library refuses at the last second of the window."},
	{[]string{"messagebird-legacy"}, []string{"time: *s later"}, weAccept,
		"The libraries disagree about the window: 10 s in Python, 100 s in Node. We allow 300 s."},

	// JSON Web Tokens.
	{[]string{"npm jose/*", "@kinde/webhooks", "@wix/sdk", "botframework-connector", "google-auth-library/*", "@apple/app-store-server-library", "truelayer-signing", "PyPI atlassian-jwt*", "PyPI vonage-jwt", "PyPI messagebird", "livekit-server-sdk", "npm messagebird", "nuxt-webhook-validators/netlify"}, looseToken, weRefuse,
		"The library's decoder takes padding, the alphabet for texts, white space or unused bits. Anybody could make many texts of one token."},
	{append(tokenReaders, "@apple/app-store-server-library"), []string{"token: header with alg twice", "token: a claim twice"}, weRefuse,
		"The library takes the last of two values of one name. Another parser may take the first."},
	{append(tokenReaders, "@apple/app-store-server-library"), []string{"token: claims not UTF-8"}, weRefuse,
		"The library reads bytes that are no text as the sign for that. Another parser may read something else."},
	{append(tokenReaders, "@apple/app-store-server-library"), []string{"token: exp that is huge"}, weRefuse,
		"The library takes any number. No time has that one."},
	{[]string{"@apple/app-store-server-library", "botframework-connector", "google-auth-library/*"}, []string{"token: header with crit", "token: header with an unencoded payload"}, weRefuse,
		"The library does not look at crit. RFC 7515 says that what it names must be understood, and we understand nothing."},
	{[]string{"jose/google-pubsub"}, []string{"signature: in quotes"}, weRefuse,
		"Google's sample finds the token anywhere behind the word Bearer. The word must be first."},
	{[]string{"truelayer-signing"}, []string{"token: four parts"}, weRefuse,
		"The library looks at three parts and passes over more. A token has three."},
	{append(tokenReaders, "@apple/app-store-server-library"), []string{"token: nbf with a fraction", "token: iat with a fraction"}, weAccept,
		"The library compares parts of a second. We compare whole ones."},
	{[]string{"jose/atlassian-forge"}, []string{"time: -6s later", "time: -5s later", "time: -1s later", "time: 60s later", "time: 6?s later", "token: exp -5s", "token: nbf +5s"}, weAccept,
		"Atlassian's sample allows nothing between clocks. We allow 30 s."},
	{[]string{"PyPI messagebird", "vonage-jwt", "jose/plaid"}, []string{"time: -5s later", "time: 61s later", "time: 64s later", "token: nbf +5s", "token: iat +5s"}, weAccept,
		"The library allows less between clocks than we do."},
	{[]string{"livekit-server-sdk"}, []string{"time: -31s later", "time: 91s later"}, weAccept,
		"The library allows 10 s between clocks, LiveKit's library for Go a minute. We allow a minute."},
	{[]string{"nuxt-webhook-validators/netlify"}, append([]string{"time: -*", "token: nbf*", "token: exp as text"}, lateToken...), weRefuse,
		"The library does not look at the times of a token. One that has them must be valid."},
	{[]string{"PyPI atlassian-jwt*"}, []string{"time: -*", "time: 91s later", "token: exp -61s", "token: iat +61s", "token: nbf +61s"}, weRefuse,
		"The library allows 90 s between clocks. We allow 30 s."},
	{[]string{"PyPI atlassian-jwt*", "vonage-jwt", "PyPI messagebird", "npm messagebird"}, []string{
		"token: * as text", "token: without exp", "token: without iat", "token: without nbf", "token: iat -*", "token: nbf -*",
	}, weRefuse, "The library does not ask for this time, takes it as text, or lets it be old. A token must be of now."},
	{append(tokenReaders, "livekit-server-sdk", "npm messagebird"), []string{"token: iat as text"}, weAccept,
		"The library refuses a time of another type, even one that decides nothing."},
	{[]string{"PyPI atlassian-jwt*", "livekit-server-sdk"}, []string{"token: *iss*"}, weAccept,
		"The library finds the secret by the issuer. A policy has the secret, and what signs with it may call itself what it likes."},
	{[]string{"npm messagebird"}, []string{"token: without jti"}, weAccept,
		"The library wants an id for its own replay check. Ours needs none."},
	{[]string{"livekit-server-sdk"}, []string{"token: signed with HS384", "token: signed with HS512"}, weRefuse,
		"The library takes any HMAC that the token names. LiveKit signs with HS256."},

	{[]string{"@kinde/webhooks"}, []string{"token: *iss*"}, weRefuse,
		"The library does not look at the issuer. Kinde's keys sign for each of its customers."},
	{[]string{"@wix/sdk"}, []string{"token: signed with RS384", "token: signed with PS256"}, weRefuse,
		"The library takes any algorithm that fits the key. Wix signs with RS256."},
	{[]string{"@wix/sdk", "botframework-connector"}, []string{"token: without exp"}, weRefuse,
		"The library takes a token that never ends."},
	{[]string{"botframework-connector", "google-auth-library/*"}, []string{"token: header with no kid"}, weAccept,
		"The library finds the key by kid. Without one, we try the keys that the policy has."},
	{[]string{"botframework-connector", "google-auth-library/*"}, []string{"token: aud as list"}, weAccept,
		"The library takes one audience as text. RFC 7519 allows a list."},
	{[]string{"google-auth-library/*"}, []string{"token: header with no alg", "token: header with alg as list"}, weRefuse,
		"The library does not look at alg, since all of Google's keys are for RS256. RFC 7515 wants it."},
	{[]string{"google-auth-library/*"}, []string{
		"token: exp -61s", "token: exp as text", "token: nbf*", "time: -*", "time: 151s later", "time: 301s later",
	}, weRefuse, "The library allows 300 s between clocks and does not look at nbf. We allow 60 s, and read nbf."},
	{[]string{"google-auth-library/*"}, []string{"token: email_verified as text"}, weRefuse,
		"Google's sample takes any value but an empty one for true. Google sends a boolean."},
	{[]string{"google-auth-library/*"}, []string{"token: without iat", "token: iat +*"}, weAccept,
		"The library wants iat, and not of the future. RFC 7519 says that it tells the age, and exp and nbf decide."},

	// Signatures by public keys.
	{[]string{"@sendgrid/eventwebhook", "starkbank-ecdsa/*"}, []string{"key: a long form of the length", "key: a wrong length"}, weRefuse,
		"The library reads lengths loosely. DER has one form, and one signature would have many texts."},
	{[]string{"event-notification-nodejs-sdk"}, []string{"body: one space added"}, weRefuse,
		"The library writes the JSON anew before it verifies. What was sent must be what was signed."},
	{[]string{"nuxt-webhook-validators/discord"}, []string{"signature: one character more"}, weRefuse,
		"The library passes over a hexadecimal digit that is half a byte."},
	{[]string{"npm sns-validator*", "verify-paddle-webhook"}, []string{"random: body*", "body: one space added"}, weRefuse,
		"The library's decoder passes over what is no base64. One signature would have many texts."},
	{[]string{"npm sns-validator*"}, []string{"message: a member twice", "message: a subject more", "message: an empty subject", "message: a null subject"}, weRefuse,
		"The library takes the last of two members of one name, and drops null. Another parser may take the first."},
	{[]string{"npm sns-validator*"}, []string{"message: a subject more", "message: an empty subject"}, weAccept,
		"The library signs a subject that stands in a confirmation. Amazon's page does not, and confirmations have none."},
	{[]string{"http-message-signatures/*"}, []string{"body: one byte changed", "body: one space added", "body: taken away", "random: body*"}, weRefuse,
		"The library leaves Content-Digest to its caller. We compute it over the body."},
	{[]string{"http-message-signatures/ucp"}, []string{"URL: query added"}, weRefuse,
		"The library is given a list of what must be covered. UCP says that a query must be, where there is one."},
	{[]string{"http-message-signatures/*"}, []string{"signed header: header twice*"}, weRefuse,
		"The library reads equal members of a field as one, the last. Another reader may take the first."},
	{[]string{"http-message-signatures/adcp"}, []string{"body: *, signed"}, weAccept,
		"AdCP writes signatures in base64 for URLs. The library knows the alphabet of RFC 9421 only."},

	// Keys.
	{[]string{"@contentful/node-apps-toolkit"}, []string{"secret: *"}, weAccept,
		"The library wants a secret of 64 characters, which Contentful's have."},
	{[]string{"*"}, []string{"secret: not ASCII"}, weAccept,
		"The library cannot use such a secret, or encodes it twice. Providers make secrets of ASCII characters."},
	{[]string{"npm openai, a secret without whsec_"}, []string{"*"}, weAccept,
		"The library takes a secret without whsec_ as text. One that was copied whole has it; we decode with and without."},
}

func findDifference(list []difference, j *judge, name string, accept bool) int {
	for i := range list {
		d := &list[i]
		if d.accept == accept && matchesAny(d.cases, name) && (matchesAny(d.judges, j.name()) || j.variant == "" && matchesAny(d.judges, j.id)) {
			return i
		}
	}
	return -1
}

func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if matches(p, name) {
			return true
		}
	}
	return false
}

// matches knows * for any text and ? for any one character.
func matches(pattern, name string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if len(name) < len(before) {
		return false
	}
	for i := range len(before) {
		if before[i] != '?' && before[i] != name[i] {
			return false
		}
	}
	if !star {
		return len(name) == len(before)
	}
	for rest := name[len(before):]; ; rest = rest[1:] {
		if matches(after, rest) {
			return true
		}
		if rest == "" {
			return false
		}
	}
}
