package signature

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Braintree is the scheme of Braintree's notifications: a form with a payload
// in base64 and pairs of public key and signature. The secret's id is the
// public key; the key of the HMAC-SHA1 is the SHA-1 of the private key, which
// is the secret.
// https://developer.paypal.com/braintree/docs/guides/webhooks/parse
type Braintree struct {
	keys keys
}

// NewBraintree returns the scheme with its keys, which are digests already.
func NewBraintree(configured []Key) (*Braintree, error) {
	ks, err := newKeys(configured, SHA1, false)
	return &Braintree{keys: ks}, err
}

// BraintreeKey makes the key of a private key.
func BraintreeKey(private secret.Value) secret.Value {
	sum := SHA1.new()()
	_, _ = sum.Write(private.Reveal()) // hashes never fail
	return secret.New(sum.Sum(nil))
}

const (
	braintreePayload   = "bt_payload"
	braintreeSignature = "bt_signature"
)

// Present reports whether there is a form, which alone can hold a signature.
func (b *Braintree) Present(req *authz.Request) bool { return isForm(req) && req.Body.Len() > 0 }

// ReadsBody reports true.
func (b *Braintree) ReadsBody() bool { return true }

// WantsForm reports true.
func (b *Braintree) WantsForm() bool { return true }

// Place says where the signature stands.
func (b *Braintree) Place() string { return braintreeSignature + " of the form" }

// Verify checks the signature of the payload. A form with any other field is
// refused: nothing would sign it.
func (b *Braintree) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	form, err := formOf(call.Request)
	payload, hasPayload := only(form, braintreePayload)
	pairs, hasPairs := only(form, braintreeSignature)
	if err != nil || !hasPayload || !hasPairs || len(form) != 2 || !isBase64Text(payload) || strings.Count(pairs, "&") >= maxParameters {
		call.Explain("a form with "+braintreePayload+" and "+braintreeSignature+" alone", "another body")
		return authz.SignatureMalformed
	}
	sent := b.candidates(pairs)
	contents := []string{payload, payload + "\n"} // Braintree's own libraries accept both
	match, valid := b.keys.match(call, nil, func(k *key) bool {
		signature, ok := sent[k.ID]
		good := false
		for _, content := range contents {
			mac := k.begin()
			_, _ = mac.Write([]byte(content))
			good = secret.Equal(mac.Sum(nil), signature[:SHA1.Size()]) && ok || good
			k.end(mac)
		}
		return good
	})
	if f != nil && match != nil && valid {
		digest := f.Begin(call.Identity, call.Tenant)
		// A line break at the end does not make another delivery.
		digest.Framed([]byte(strings.TrimRight(payload, "\n")))
		call.Fingerprint, call.Alternate = f.End(digest)
	}
	if call.Explanation != nil {
		call.Explain("HMAC-SHA1 over "+braintreePayload+" with one of the keys "+b.keys.names(call.Now), foundText(match, valid, len(sent)))
	}
	reason := b.keys.verdict(call, match, valid)
	if reason == authz.OK {
		call.Proof = authz.ProofSignature
	}
	return reason
}

// candidates reads public|signature pairs with & between.
func (b *Braintree) candidates(pairs string) map[string]macBytes {
	sent := map[string]macBytes{}
	for pair := range strings.SplitSeq(pairs, "&") {
		public, text, _ := strings.Cut(pair, "|")
		var signature macBytes
		if decode(&signature, []byte(text), Hex, SHA1.Size()) && public != "" && b.keys.has(public) {
			sent[public] = signature
		}
	}
	return sent
}

func isBase64Text(text string) bool {
	return strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=/\n") == "" && text != ""
}

// Sign makes the request a notification.
func (b *Braintree) Sign(req *authz.Request, s authz.Signing) bool {
	k := b.keys.named(s)
	if k == nil {
		return false
	}
	payload := base64.StdEncoding.EncodeToString([]byte("<notification><kind>check</kind><id>"+s.NewID()+"</id></notification>")) + "\n"
	mac := k.begin()
	_, _ = mac.Write([]byte(payload))
	signed := k.ID + "|" + Hex.encode(mac.Sum(nil))
	k.end(mac)
	req.Body.Segments = [][]byte{[]byte(url.Values{braintreePayload: {payload}, braintreeSignature: {signed}}.Encode())}
	req.Set("content-type", "application/x-www-form-urlencoded")
	return true
}
