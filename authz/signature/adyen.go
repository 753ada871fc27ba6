package signature

import (
	"encoding/json"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Adyen is the scheme of Adyen's payment notifications. The body has a list
// with one item, and the item its own HMAC-SHA256 over eight of its fields.
// Fields beside the eight are not signed, so that the proof is partial.
//
// A list of several items is refused. Each would have a MAC of its own and
// nothing would hold them together: items could be left out, repeated and mixed
// with those of other deliveries, and every mixture would pass as new. Adyen
// sends JSON with one item.
// https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
type Adyen struct{ keys keys }

// NewAdyen returns the scheme with its keys, which are decoded.
func NewAdyen(configured []Key) (*Adyen, error) {
	ks, err := newKeys(configured, SHA256, false)
	return &Adyen{keys: ks}, err
}

const adyenSignature = "hmacSignature"

// adyenFields are the signed fields of an item, in their order.
var adyenFields = []string{
	"pspReference", "originalReference", "merchantAccountCode", "merchantReference",
	"amount.value", "amount.currency", "eventCode", "success",
}

// adyenItem is a notification with its content: the fields with colons between,
// absent ones empty, nothing escaped.
type adyenItem struct {
	content   []byte
	signature candidate
}

// read returns the items. It refuses keys that stand there twice or in another
// letter case, since another reader may take those.
func (a *Adyen) read(body *authz.Body) ([]adyenItem, bool) {
	var tree map[string]any
	if err := authz.StrictJSON(body.Joined(), &tree); err != nil {
		return nil, false
	}
	list, _ := tree["notificationItems"].([]any)
	if len(list) != 1 {
		return nil, false
	}
	items := make([]adyenItem, len(list))
	for i, entry := range list {
		wrapped, _ := entry.(map[string]any)
		item, _ := wrapped["NotificationRequestItem"].(map[string]any)
		additional, _ := item["additionalData"].(map[string]any)
		text, _ := additional[adyenSignature].(string)
		content, ok := adyenContent(item)
		if !ok || !decode(&items[i].signature, []byte(text), Base64, SHA256.Size()) {
			return nil, false
		}
		items[i].content = content
	}
	return items, true
}

func adyenContent(item map[string]any) ([]byte, bool) {
	texts := make([]string, len(adyenFields))
	for i, path := range adyenFields {
		at, name := item, path
		if outer, inner, ok := strings.Cut(path, "."); ok {
			at, _ = item[outer].(map[string]any)
			name = inner
		}
		switch value := at[name].(type) {
		case nil:
		case string:
			if strings.Contains(value, ":") && path != "merchantReference" {
				return nil, false // one signed text would have two meanings
			}
			texts[i] = value
		case json.Number:
			texts[i] = value.String()
		default:
			return nil, false
		}
	}
	return []byte(strings.Join(texts, ":")), true
}

// Present reports whether there is a body, which alone can hold a signature.
func (a *Adyen) Present(req *authz.Request) bool { return req.Body.Len() > 0 }

// ReadsBody reports true.
func (a *Adyen) ReadsBody() bool { return true }

// WantsForm reports false.
func (a *Adyen) WantsForm() bool { return false }

// Place says where the signatures stand.
func (a *Adyen) Place() string { return "additionalData.hmacSignature of the item in the JSON body" }

// Verify checks the item.
func (a *Adyen) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	items, ok := a.read(&call.Request.Body)
	if !ok {
		call.Explain("a list of one item, with "+a.Place(), "a body without one, or with a key twice")
		return authz.SignatureMalformed
	}
	match, valid := a.keys.match(call, nil, func(k *key) bool {
		good := true
		for i := range items {
			mac := k.begin()
			_, _ = mac.Write(items[i].content) // hashes never fail
			good = secret.Equal(mac.Sum(nil), items[i].signature[:SHA256.Size()]) && good
			k.end(mac)
		}
		return good
	})
	if f != nil && match != nil && valid {
		digest := f.Begin(call.Webhook, call.Tenant)
		for i := range items {
			digest.Framed(items[i].content)
		}
		call.Fingerprint, call.Alternate = f.End(digest)
	}
	if call.Explanation != nil {
		call.Explain("HMAC-SHA256 over eight fields of the item with one of the keys "+a.keys.names(call.Now), foundText(match, valid, len(items)))
	}
	reason := a.keys.verdict(call, match, valid)
	if reason == authz.OK {
		call.Proof = authz.ProofPartial
	}
	return reason
}

// Sign makes the request a notification with one signed item.
func (a *Adyen) Sign(req *authz.Request, s authz.Signing) bool {
	k := a.keys.named(s)
	if k == nil {
		return false
	}
	item := map[string]any{
		"pspReference": s.NewID(), "merchantAccountCode": "SampleMerchant", "merchantReference": "sample",
		"amount": map[string]any{"value": json.Number("1000"), "currency": "EUR"}, "eventCode": "AUTHORISATION", "success": "true",
	}
	content, _ := adyenContent(item) // its fields are texts and numbers
	mac := k.begin()
	_, _ = mac.Write(content)
	item["additionalData"] = map[string]any{adyenSignature: Base64.encode(mac.Sum(nil))}
	k.end(mac)
	body, err := json.Marshal(map[string]any{"live": "false", "notificationItems": []any{map[string]any{"NotificationRequestItem": item}}})
	req.Body.Segments = [][]byte{body}
	return err == nil
}
