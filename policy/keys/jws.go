package keys

import (
	"bytes"
	"errors"

	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// JWS makes keys of the secrets for a scheme of tokens: roots where the tokens have
// certificates, and else public keys or shared secrets, as the algorithms and each
// secret's form say. Those with an error are left out.
func (l *Loader) JWS(keys []Loaded, j *policyv1.Jws) []signature.Key {
	if j.GetX5C() != nil {
		return l.roots(keys)
	}
	reader, anyShared := JWSReader(j), false
	for _, algorithm := range j.GetAlgorithms() {
		anyShared = anyShared || jose.Algorithm(algorithm.String()).Shared()
	}
	if !anyShared {
		return l.PublicKeys(keys, reader)
	}
	var made []signature.Key // in the order of the secrets
	for i := range keys {
		one := keys[i : i+1]
		if k := &keys[i]; len(reader.Algorithms) > 0 && (k.url != "" || publicOnly[k.format] || k.asIssued() && isPublic(k.text.Reveal())) {
			made = append(made, l.PublicKeys(one, reader)...)
		} else {
			made = append(made, l.DecodeAll(one, j.GetKeyEncoding(), nil, nil)...)
		}
	}
	return made
}

// JWSReader reads the public keys that a scheme of tokens verifies with.
func JWSReader(j *policyv1.Jws) publickey.Reader {
	var reader publickey.Reader
	for _, algorithm := range j.GetAlgorithms() {
		if name := algorithm.String(); !jose.Algorithm(name).Shared() {
			reader.Algorithms = append(reader.Algorithms, name)
		}
	}
	reader.Kind, reader.Curve = jose.KeysOf(reader.Algorithms)
	return reader
}

func (k *Loaded) asIssued() bool {
	return k.format == policyv1.Secret_FORMAT_UNSPECIFIED || k.format == policyv1.Secret_AS_ISSUED
}

// errPublic says that a text is no secret.
var errPublic = errors.New("it is a public key or a certificate, which everybody may know: no shared secret")

// isPublic reports whether a text is PEM, a JWK or a JWKS, or DER, by itself or in base64 or
// hexadecimal. Whoever takes such a text for the key of an HMAC lets everybody sign. 32 bytes
// can be a public key of Ed25519 as well as a secret, and count as none.
func isPublic(text []byte) bool {
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("-----BEGIN ")) || bytes.HasPrefix(text, []byte(ed25519Begins)) {
		return true
	}
	for _, reader := range []publickey.Reader{
		{Format: publickey.JWK}, {Format: publickey.JWKS}, {Kind: publickey.RSA}, {Kind: publickey.ECDSA},
	} {
		reader.AllowWeak = true
		if _, err := reader.Read(text); err == nil {
			return true
		}
	}
	return false
}

// ed25519Begins is how the SubjectPublicKeyInfo of each Ed25519 key begins in base64 (RFC 8410).
const ed25519Begins = "MCowBQYDK2VwAyEA"

// roots makes keys of certificates that chains lead to.
func (l *Loader) roots(keys []Loaded) []signature.Key {
	var roots []signature.Key
	for i := range keys {
		k := &keys[i]
		if k.url != "" {
			l.Faults.Fail(k.At.At("url"), "is a place of public keys; the scheme has roots, which stand in a file")
			continue
		}
		switch k.format {
		case policyv1.Secret_FORMAT_UNSPECIFIED, policyv1.Secret_AS_ISSUED, policyv1.Secret_PEM, policyv1.Secret_DER, policyv1.Secret_BASE64:
		default:
			l.Faults.Fail(k.At.At("format"), k.format.String()+" is no form of a certificate; there are PEM, DER and BASE64")
			continue
		}
		key := k.Key
		key.Cell = l.accepted(k, &publickey.Reader{AllowWeak: true}, func(text secret.Value) error {
			_, err := jose.ReadRoots(text.Reveal())
			return err
		})
		if key.Cell != nil {
			roots = append(roots, key)
		}
	}
	return roots
}

// OfToken loads the keys of token.jwt. Those with an error are left out.
func (l *Loader) OfToken(w *policyv1.Webhook, at strictyaml.Place) []Loaded {
	keys := l.secrets(w.GetName(), w.GetToken().GetJwt().GetKeys(), at)
	for i := range keys {
		keys[i].kind = "token"
	}
	l.perTenant(w, keys, "key")
	return keys
}
