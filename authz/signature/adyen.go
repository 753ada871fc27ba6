package signature

import (
	"encoding/json"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Adyen is the scheme of Adyen's payment notifications. The body has a list of
// items, and each item its own HMAC-SHA256 over eight of its fields. All items
// must verify with one key; a list without any is refused. Fields beside the
// eight are not signed, so that the proof is partial.
// https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
type Adyen struct {
	keys     keys
	maxItems int
}

// NewAdyen returns the scheme with its keys, which are decoded. maxItems bounds
// the items of a body.
func NewAdyen(configured []Key, maxItems int) (*Adyen, error) {
	ks, err := newKeys(configured, SHA256, false)
	return &Adyen{keys: ks, maxItems: maxItems}, err
}

// adyenBody is the part of a notification that is signed or signs.
type adyenBody struct {
	Items []struct {
		Item adyenItem `json:"NotificationRequestItem"`
	} `json:"notificationItems"`
}

type adyenItem struct {
	PSPReference        string `json:"pspReference"`
	OriginalReference   string `json:"originalReference"`
	MerchantAccountCode string `json:"merchantAccountCode"`
	MerchantReference   string `json:"merchantReference"`
	Amount              struct {
		Value    json.Number `json:"value"`
		Currency string      `json:"currency"`
	} `json:"amount"`
	EventCode      string         `json:"eventCode"`
	Success        string         `json:"success"`
	AdditionalData map[string]any `json:"additionalData"`
}

const adyenSignature = "hmacSignature"

// content is the signed text: the fields with colons between, absent ones
// empty, nothing escaped.
func (i *adyenItem) content() []byte {
	return []byte(strings.Join([]string{
		i.PSPReference, i.OriginalReference, i.MerchantAccountCode, i.MerchantReference,
		i.Amount.Value.String(), i.Amount.Currency, i.EventCode, i.Success,
	}, ":"))
}

// read returns the items and their signatures. It refuses keys that stand
// there twice or in another letter case, since another reader may take those.
func (a *Adyen) read(body *authz.Body) ([]adyenItem, []candidate, bool) {
	raw := body.Joined()
	var notification adyenBody
	if authz.StrictJSON(raw, &notification) != nil || len(notification.Items) == 0 || len(notification.Items) > a.maxItems {
		return nil, nil, false
	}
	items := make([]adyenItem, len(notification.Items))
	signatures := make([]candidate, len(items))
	for i := range items {
		items[i] = notification.Items[i].Item
		text, _ := items[i].AdditionalData[adyenSignature].(string)
		if !decode(&signatures[i], []byte(text), Base64, SHA256.Size()) {
			return nil, nil, false
		}
	}
	return items, signatures, true
}

// Present reports whether there is a body, which alone can hold a signature.
func (a *Adyen) Present(req *authz.Request) bool { return req.Body.Len() > 0 }

// ReadsBody reports true.
func (a *Adyen) ReadsBody() bool { return true }

// WantsForm reports false.
func (a *Adyen) WantsForm() bool { return false }

// Place says where the signatures stand.
func (a *Adyen) Place() string { return "additionalData.hmacSignature of every item in the JSON body" }

// Verify checks every item.
func (a *Adyen) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	items, signatures, ok := a.read(&call.Request.Body)
	if !ok {
		call.Explain("a list of items, each with "+a.Place(), "a body without one, or with a key twice")
		return authz.SignatureMalformed
	}
	match, valid := a.keys.match(call.Now, nil, func(k *key) bool {
		good := true
		for i := range items {
			mac := k.begin()
			_, _ = mac.Write(items[i].content()) // hashes never fail
			good = secret.Equal(mac.Sum(nil), signatures[i][:SHA256.Size()]) && good
			k.end(mac)
		}
		return good
	})
	if f != nil && match != nil {
		digest := f.Begin(call.Webhook, call.Tenant)
		for i := range items {
			digest.Framed(items[i].content())
		}
		call.Fingerprint = f.End(digest)
	}
	if call.Explanation != nil {
		call.Explain("HMAC-SHA256 over eight fields of every item with one of the keys "+a.keys.names(call.Now), foundText(match, valid, len(items)))
	}
	call.Proof = authz.ProofPartial
	return a.keys.verdict(call, match, valid)
}

// Sign makes the request a notification with one signed item.
func (a *Adyen) Sign(req *authz.Request, s authz.Signing) bool {
	k := a.keys.named(s.KeyID)
	if k == nil {
		return false
	}
	item := adyenItem{PSPReference: s.NewID(), MerchantAccountCode: "SampleMerchant", MerchantReference: "sample", EventCode: "AUTHORISATION", Success: "true"}
	item.Amount.Value, item.Amount.Currency = "1000", "EUR"
	mac := k.begin()
	_, _ = mac.Write(item.content())
	item.AdditionalData = map[string]any{adyenSignature: Base64.encode(mac.Sum(nil))}
	k.end(mac)
	body, err := json.Marshal(map[string]any{"live": "false", "notificationItems": []any{map[string]any{"NotificationRequestItem": item}}})
	req.Body.Segments = [][]byte{body}
	return err == nil
}
