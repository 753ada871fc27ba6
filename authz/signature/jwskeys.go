package signature

import (
	"cmp"
	"crypto"
	"errors"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// maxTries is how many public keys are tried for one token. A token that names its key
// needs one.
const maxTries = 16

// match finds the key that made the token.
func (j *JWS) match(call *authz.Call, token *jose.Token, content jose.Content) (match *key, valid bool, reason authz.Reason) {
	reason = authz.OK
	if j.config.Chain != nil {
		return j.matchChain(call, token, content)
	}
	var id authz.View
	if j.config.KeyClaim != "" {
		text, _ := token.Claims.Text(j.config.KeyClaim)
		if text == "" {
			call.Explain("a claim "+j.config.KeyClaim+" that names the key", "none")
			return nil, false, authz.TokenInvalid
		}
		id = authz.View(text)
	}
	tries := 0
	match, valid = j.keys.match(call, id, func(k *key) bool {
		if k.Reader == nil && k.Source == nil {
			return token.Algorithm.VerifyShared(k.Secret.Reveal(), content, token.Signature)
		}
		public := k.public
		if k.Source != nil {
			var found authz.Reason
			if public, found = k.Source.Find(call, kid(token)); found == authz.KeysUnavailable {
				reason = found
			}
		}
		for i := range public {
			if !k.named(&public[i], token) || !token.Algorithm.Fits(&public[i]) {
				continue
			}
			if tries++; tries > maxTries {
				return false
			}
			if token.Algorithm.Verify(&public[i], content, token.Signature) {
				return true
			}
		}
		return false
	})
	if match != nil {
		reason = authz.OK
	}
	return match, valid, reason
}

// kid is the id of the key that the token names; nil if it names none.
func kid(token *jose.Token) authz.View {
	if token.KeyID == "" {
		return nil
	}
	return authz.View(token.KeyID)
}

// named reports whether the token may mean the public key: where both have an id, it is
// the same.
func (k *key) named(public *publickey.Key, token *jose.Token) bool {
	id := k.KID
	if id == "" {
		id = public.ID
	}
	return id == "" || token.KeyID == "" || id == token.KeyID
}

// matchChain looks for the root that the token's certificates lead to.
func (j *JWS) matchChain(call *authz.Call, token *jose.Token, content jose.Content) (match *key, valid bool, reason authz.Reason) {
	reason = authz.SignatureInvalid
	found := "a chain that leads to no configured root"
	match, valid = j.keys.match(call, nil, func(k *key) bool {
		leaf, err := j.config.Chain.Key(token.Header, k.roots, call.Now)
		switch {
		case errors.Is(err, jose.ErrNoChain):
			reason, found = authz.SignatureMissing, err.Error()
		case err != nil:
			found = err.Error()
		default:
			reason = authz.OK
			return token.Algorithm.Verify(leaf, content, token.Signature)
		}
		return false
	})
	if reason != authz.OK {
		call.Explain("certificates in x5c that lead to a configured root", found)
	}
	return match, valid, reason
}

// publicID is the id of the public key that belongs to a private one; empty if it has
// none.
func (k *key) publicID(private crypto.Signer) string {
	if public, ok := k.of(private); ok {
		return cmp.Or(k.KID, public.ID)
	}
	return k.KID
}
