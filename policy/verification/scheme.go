package verification

import (
	"errors"

	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/keys"
	schemes "github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// scheme compiles one scheme with its keys. It returns nil after an error.
func (c *Compiler) scheme(s *policyv1.Scheme, w *policyv1.Webhook, loaded []keys.Loaded, publicURL string, at strictyaml.Place) signature.Scheme {
	before := c.Faults.Len()
	var scheme signature.Scheme
	var err error
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Hmac:
		plan := c.Plans.Content(s, w, publicURL, at)
		scheme, err = orNil(plan.With(c.Keys.DecodeAll(loaded, kind.Hmac.GetKeyEncoding(), kind.Hmac.GetKeyPrefixes(), nil)))
	case *policyv1.Scheme_Rsa, *policyv1.Scheme_Ecdsa, *policyv1.Scheme_Ed25519:
		plan := c.Plans.Content(s, w, publicURL, at)
		algorithm := plan.Config().Algorithm
		reader := publickey.Reader{Kind: algorithm.Kind, Curve: algorithm.Curve}
		if s.GetPublished() != nil && len(w.GetSecrets()) == 0 {
			scheme, err = orNil(plan.With(c.Published(s, w, reader, plan.Config().NamesKey(), at)))
			break
		}
		scheme, err = orNil(plan.With(c.Keys.PublicKeys(loaded, reader)))
	case *policyv1.Scheme_Jws:
		plan := c.Plans.JWS(s, w, publicURL, at)
		if s.GetPublished() != nil && len(w.GetSecrets()) == 0 {
			scheme, err = orNil(plan.With(c.Published(s, w, keys.JWSReader(kind.Jws), true, at)))
			break
		}
		scheme, err = orNil(plan.With(c.Keys.JWS(loaded, kind.Jws)))
	case *policyv1.Scheme_HttpSignature:
		plan := c.Plans.HTTP(s, w, publicURL, at)
		if reader := schemes.HTTPReader(kind.HttpSignature); reader != nil {
			scheme, err = orNil(plan.With(c.Keys.PublicKeys(loaded, *reader)))
		} else {
			scheme, err = orNil(plan.With(c.Keys.DecodeAll(loaded, kind.HttpSignature.GetKeyEncoding(), nil, nil)))
		}
	case *policyv1.Scheme_Code:
		scheme, err = c.code(kind.Code.GetName(), loaded)
	}
	if plan, ok := scheme.(*signature.Content); ok && w.GetScheme() != nil && !plan.Config().NamesKey() {
		for i := range loaded {
			if loaded[i].KID != "" {
				c.Faults.Fail(loaded[i].At.At("kid"), "has no use: deliveries of this scheme do not name their key")
			}
		}
	}
	if c.Faults.Len() > before || errors.Is(err, signature.ErrNoKeys) {
		return nil // a key that is missing or cannot be decoded has its own error
	}
	if err != nil {
		c.Faults.Fail(at.At("secrets"), err.Error())
		return nil
	}
	return scheme
}

// token compiles token.jwt. It returns nil after an error.
func (c *Compiler) token(w *policyv1.Webhook, publicURL string, at strictyaml.Place) *signature.TokenCheck {
	before := c.Faults.Len()
	plan := c.Plans.Token(w, publicURL, at)
	s, err := plan.With(c.Keys.JWS(c.Keys.OfToken(w, at.At("keys")), schemes.JWSOf(w.GetToken().GetJwt())))
	switch {
	case c.Faults.Len() > before || errors.Is(err, signature.ErrNoKeys):
		return nil // a key that is missing or cannot be decoded has its own error
	case err != nil:
		c.Faults.Fail(at.At("keys"), err.Error())
		return nil
	}
	return &signature.TokenCheck{Scheme: s}
}

// orNil keeps a nil pointer from becoming a scheme that is not nil.
func orNil[S signature.Scheme](scheme S, err error) (signature.Scheme, error) {
	if err != nil {
		return nil, err
	}
	return scheme, nil
}

func (c *Compiler) code(name policyv1.Code_Name, loaded []keys.Loaded) (signature.Scheme, error) {
	if name == policyv1.Code_ADYEN {
		return orNil(signature.NewAdyen(c.Keys.DecodeAll(loaded, policyv1.Key_HEX, nil, nil)))
	}
	for i := range loaded {
		if !loaded[i].Named {
			c.Faults.Fail(loaded[i].At, "needs id: the public key that belongs to the private key")
		}
	}
	decoded := c.Keys.DecodeAll(loaded, policyv1.Key_TEXT, nil, signature.BraintreeKey)
	return orNil(signature.NewBraintree(decoded))
}
