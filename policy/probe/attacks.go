package probe

import "slices"

// Attack is one entry of the catalogue.
type Attack struct {
	// ID names it, in reports and for --list.
	ID string `json:"id"`
	// Sent is what is sent, in a few words.
	Sent string `json:"sent"`
	// Harm is what it means if it passes.
	Harm string `json:"harm"`

	// shots makes the requests: none where the webhook has nothing of the kind. The error
	// says why they cannot be made.
	shots func(*session) ([]shot, error)
}

// control and last are the valid deliveries.
var (
	control = Attack{ID: "delivery", Sent: "a valid delivery"}
	last    = Attack{ID: "last-delivery", Sent: "a valid delivery, at the end"}
)

const (
	anyone  = "Whoever knows the address can send deliveries."
	replays = "Whoever has seen one delivery can send it again."
	forges  = "Whoever has seen one delivery can send another one in its place."
	trusts  = "A stranger writes what the application takes for the gateway's word."
	around  = "Deliveries go around verification at this place, and anybody can send them."
	poses   = "A sender passes for somebody else by writing a header."
	bound   = "What the policy bounds is not bounded."
	elsewhr = "A delivery that was meant for another place counts here."
)

// catalogue is what is sent, in order.
var catalogue = []Attack{
	{"no-proof", "no signature and no token", anyone, noProof},
	{"wrong-secret", "signed with another secret or key", anyone, variant(OtherSecret)},
	{"wrong-token", "signed, with another token", anyone, variant(OtherToken)},
	{"other-claims", "a token without the claims that are asked for", anyone, variant(OtherClaims)},
	{"other-webhook", "signed with the secret of another webhook of the set", elsewhr, otherWebhook},
	{"expired-key", "signed with a key that is not valid now", "A key that was given up still opens the door.", expiredKey},
	{"without-header", "signed, and one header of the proof left out", anyone, eachHeader(leftOut)},
	{"empty-header", "signed, and one header of the proof empty", anyone, eachHeader(emptied)},
	{"cut-header", "signed, and one header of the proof without its last characters", anyone, eachHeader(cutShort)},
	{"changed-header", "signed, and one character of a header of the proof changed: signature, time or id", forges, eachHeader(changed)},
	{"doubled-header", "signed, and one header of the proof there twice, another value first", forges, eachHeader(doubled)},
	{"alg-none", "a token that says it needs no signature", anyone, algNone},
	{"alg-public-key", "a token signed with the public key as a shared secret", anyone, algPublicKey},
	{"changed-claims", "a token with other claims and the same signature", forges, changedClaims},
	{"changed-body", "signed, and one byte of the body changed", forges, changedBody},
	{"appended-body", "signed, and a byte added to the body", forges, appendedBody},
	{"emptied-body", "signed, and the body left out", forges, emptiedBody},
	{"hidden-body", "signed without a body, and sent with one", forges, hiddenBody},
	{"replaced-bytes", "signed with !, and bytes that are no UTF-8 sent in its place", forges, replacedBytes},
	{"behind-limit", "signed as long as Envoy shows to the service, and more behind it", forges, behindLimit},
	{"packed-body", "signed, and the body compressed afterwards", forges, packedBody},
	{"cut-body", "signed, and the connection ended before the body", forges, cutBody},
	{"two-lengths", "no signature, with a Content-Length and chunks", "Two readers see two requests: one is hidden in the other.", twoLengths},
	{"stale", "signed some time before the oldest that is taken", replays, stale},
	{"restamped", "the same, with the time of now", replays, restamped},
	{"future", "signed some time ahead of what is taken", "A delivery can be kept for later, beyond what the nonces remember.", future},
	{"copy", "the valid delivery again, four times", replays, copies},
	{"copy-changed", "the valid delivery again, with another part that nothing signs", replays, changedCopies},
	{"at-once", "one new delivery four times at the same moment", "Each delivery can count several times.", atOnceShots},
	{"forged-verified", "no proof, and x-hookbastion-verified written by the sender", trusts, forgedVerified},
	{"forged-headers", "signed, with x-hookbastion-… headers written by the sender", trusts, forgedHeaders},
	{"forged-trailers", "signed, with x-hookbastion-… trailers written by the sender", trusts, forgedTrailers},
	{"connection-verified", "signed, with Connection: x-hookbastion-verified", "The application is not told that the delivery was verified.", connectionVerified},
	{"obeyed-headers", "no proof, with headers by which other layers change path, method or verdict", around, obeyedHeaders},
	{"extension-headers", "no proof, with the name of a webhook and times that only Envoy may tell", around, extensionHeaders},
	{"path", "no proof, on a path that some router takes for the webhook's", around, paths},
	{"method", "no proof, with another method", around, methods},
	{"host", "no proof, on another host, or the same written otherwise", around, hosts},
	{"target", "no proof, with a URL or a fragment in the request line", around, targets},
	{"upgrade", "no proof, asking for WebSocket or HTTP/2", around, upgrades},
	{"http2", "no proof, over HTTP/2", around, overHTTP2},
	{"again", "no proof, twelve times, where only some requests are verified", around, unsignedAgain},
	{"signed-path", "signed, on another path", elsewhr, signedPaths},
	{"signed-query", "signed, with another query", forges, signedQuery},
	{"signed-method", "signed, with another method", elsewhr, signedMethods},
	{"signed-host", "signed, on another host", elsewhr, signedHosts},
	{"other-url", "signed for another URL, on its host", elsewhr, otherURL},
	{"other-tenant", "signed, on the path of a tenant that does not exist", elsewhr, otherTenant},
	{"oversized", "signed, with a body over the limit", bound, oversized},
	{"long-headers", "signed, with more headers than are taken", bound, longHeaders},
	{"many-signatures", "signed, behind more signatures than are tried", bound, manySignatures},
	{"content-type", "signed, with another content type", bound, contentTypes},
	{"condition", "signed, with an empty JSON object as body", "What the policy asks of the content is not asked.", condition},
	{"forged-address", "signed, with another address in X-Forwarded-For and the like", poses, forgedAddress},
	{"plain", "signed, without TLS, with X-Forwarded-Proto: https", poses, plain},
	{"old-tls", "signed, over TLS 1.2", bound, oldTLS},
	{"no-certificate", "signed, without a client certificate, and with a header that names one", poses, noCertificate},
	{"own-certificate", "signed, with a client certificate that nobody has issued", poses, ownCertificate},
	{"handshake", "a handshake of somebody who is not the provider", "A stranger has his endpoint confirmed, or learns what a secret makes of his text.", handshakes},
}

// Catalogue lists what is sent, the valid deliveries first.
func Catalogue() []Attack { return append([]Attack{control}, append(slices.Clone(catalogue), last)...) }
