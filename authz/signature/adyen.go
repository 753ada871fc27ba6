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
// absent ones empty. Adyen escapes nothing, and its documentation said for years
// that it does, so that both are taken.
type adyenItem struct {
	plain, escaped []byte
	signature      macBytes
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
		texts, ok := adyenTexts(item)
		if !ok || !decode(&items[i].signature, []byte(text), Base64, SHA256.Size()) {
			return nil, false
		}
		items[i].plain, items[i].escaped = adyenContent(texts)
		if items[i].plain == nil && items[i].escaped == nil {
			return nil, false
		}
	}
	return items, true
}

// adyenTexts returns the signed fields as texts, and false if one is no text.
func adyenTexts(item map[string]any) ([]string, bool) {
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
			texts[i] = value
		case json.Number:
			texts[i] = value.String()
		default:
			return nil, false
		}
	}
	return texts, true
}

// adyenContent returns the content in both forms; nil for one in which it would
// have two meanings, so that whoever sees a delivery could send it with other
// fields.
func adyenContent(texts []string) (plain, escaped []byte) {
	psp, original, account, reference := texts[0], texts[1], texts[2], texts[3]
	for _, text := range append([]string{original, account}, texts[4:]...) {
		if strings.ContainsAny(text, `:\`) {
			return nil, nil
		}
	}
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(text)
	}
	escaped = []byte(strings.Join(all, ":"))
	joined := strings.Join(texts, ":")
	if strings.Contains(joined, `\:`) || strings.Contains(joined, `\\`) {
		return nil, escaped // it could be an escaped one
	}
	isReport := original == "" && reference == "" && strings.Contains(psp, ":")
	if isReport != reportLike(strings.Join(texts[:4], ":")) || !isReport && strings.Contains(psp, ":") {
		return nil, escaped
	}
	return []byte(joined), escaped
}

// reportLike reports whether the first four fields can be those of a report: a
// name with colons, nothing, an account, nothing. Any other notification that
// reads so, because its merchant's reference ends so, is taken for none.
func reportLike(four string) bool {
	rest, ok := strings.CutSuffix(four, ":")
	end := strings.LastIndexByte(rest, ':')
	return ok && end >= 1 && rest[end-1] == ':' && end+1 < len(rest) && strings.Contains(rest[:end-1], ":")
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
			good = items[i].signedBy(k) && good
		}
		return good
	})
	if f != nil && match != nil && valid {
		digest := f.Begin(call.Identity, call.Tenant)
		for i := range items {
			digest.Framed(items[i].escaped) // that of both forms
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

// signedBy reports whether the key signed one of the forms.
func (item *adyenItem) signedBy(k *key) bool {
	good := false
	for _, content := range [][]byte{item.plain, item.escaped} {
		if content == nil {
			continue
		}
		mac := k.begin()
		_, _ = mac.Write(content) // hashes never fail
		good = secret.Equal(mac.Sum(nil), item.signature[:SHA256.Size()]) || good
		k.end(mac)
	}
	return good
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
	texts, _ := adyenTexts(item) // its fields are texts and numbers
	content, _ := adyenContent(texts)
	mac := k.begin()
	_, _ = mac.Write(content)
	item["additionalData"] = map[string]any{adyenSignature: Base64.encode(mac.Sum(nil))}
	k.end(mac)
	body, err := json.Marshal(map[string]any{"live": "false", "notificationItems": []any{map[string]any{"NotificationRequestItem": item}}})
	req.Body.Segments = [][]byte{body}
	return err == nil
}
