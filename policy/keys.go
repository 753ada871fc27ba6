package policy

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// scheme compiles one scheme with its keys. It returns nil after an error.
func (c *compiler) scheme(s *policyv1.Scheme, w *policyv1.Webhook, keys []loaded, publicURL string, at strictyaml.Place) signature.Scheme {
	before := c.faults.Len()
	var scheme signature.Scheme
	var err error
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Hmac:
		plan := c.plans.HMAC(s, w, publicURL, at)
		scheme, err = orNil(plan.With(c.decodeAll(keys, kind.Hmac.GetKeyEncoding(), kind.Hmac.GetKeyPrefixes(), nil)))
	case *policyv1.Scheme_Jws:
		plan := c.plans.JWS(s, w, publicURL, at)
		scheme, err = orNil(plan.With(c.decodeAll(keys, kind.Jws.GetKeyEncoding(), nil, nil)))
	case *policyv1.Scheme_Code:
		scheme, err = c.code(kind.Code.GetName(), w, keys)
	}
	if c.faults.Len() > before || errors.Is(err, signature.ErrNoKeys) {
		return nil // a key that is missing or cannot be decoded has its own error
	}
	if err != nil {
		c.faults.Fail(at.At("secrets"), err.Error())
		return nil
	}
	return scheme
}

// orNil keeps a nil pointer from becoming a scheme that is not nil.
func orNil[S signature.Scheme](scheme S, err error) (signature.Scheme, error) {
	if err != nil {
		return nil, err
	}
	return scheme, nil
}

func (c *compiler) code(name policyv1.Code_Name, w *policyv1.Webhook, keys []loaded) (signature.Scheme, error) {
	if name == policyv1.Code_ADYEN {
		return orNil(signature.NewAdyen(c.decodeAll(keys, policyv1.Key_HEX, nil, nil)))
	}
	for i := range keys {
		if w.GetSecrets()[i].GetId() == "" {
			c.faults.Fail(keys[i].at, "needs id: the public key that belongs to the private key")
		}
	}
	decoded := c.decodeAll(keys, policyv1.Key_TEXT, nil, signature.BraintreeKey)
	return orNil(signature.NewBraintree(decoded))
}

// decodeAll makes keys of the secrets as the scheme or a secret's own format
// says. Those that cannot be decoded are errors and left out.
func (c *compiler) decodeAll(keys []loaded, encoding policyv1.Key_Encoding, prefixes []string, finish func(secret.Value) secret.Value) []signature.Key {
	var decoded []signature.Key
	for i := range keys {
		k := &keys[i]
		key := k.Key
		if key.Cell = c.cell(k, decoder(k.format, encoding, prefixes), finish); key.Cell != nil {
			decoded = append(decoded, key)
		}
	}
	return decoded
}

var keyEncodings = map[policyv1.Key_Encoding]secret.Encoding{policyv1.Key_BASE64: secret.Base64, policyv1.Key_HEX: secret.Hex}

// decoder returns what reads a secret in its own format, or else in that of the
// scheme.
func decoder(format policyv1.Secret_Format, encoding policyv1.Key_Encoding, prefixes []string) secret.Accept {
	read := keyEncodings[encoding]
	switch format {
	case policyv1.Secret_TEXT:
		read, prefixes = secret.Text, nil
	case policyv1.Secret_HEX:
		read, prefixes = secret.Hex, nil
	case policyv1.Secret_BASE64:
		read, prefixes = secret.Base64, nil
	default:
	}
	return func(text secret.Value) (secret.Value, error) {
		key, err := text.Decode(read, prefixes...)
		if err != nil {
			err = withDecoration(text, err)
		}
		return key, err
	}
}

// decorations stand in front of secrets, or where secrets are shown or signed
// with, and are pasted along. None of them is secret.
var decorations = []string{"v1,whsec_", "v1,", "v1=", "v0=", "whsec_", "whpk_", "sha256=", "Bearer ", "Basic ", `"`, "'"}

// withDecoration adds what stands in front of a secret that cannot be decoded, and
// may be no part of it.
func withDecoration(text secret.Value, err error) error {
	for _, decoration := range decorations {
		if bytes.HasPrefix(text.Reveal(), []byte(decoration)) {
			return fmt.Errorf("%w; it begins with %s, which is probably no part of it: remove that", err, decoration)
		}
	}
	return err
}
