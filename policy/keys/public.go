package keys

import (
	"errors"

	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/tenant"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// publicOnly are the formats of public keys.
var publicOnly = map[policyv1.Secret_Format]bool{
	policyv1.Secret_PEM: true, policyv1.Secret_DER: true, policyv1.Secret_JWK: true, policyv1.Secret_JWKS: true,
}

var publicFormats = map[policyv1.Secret_Format]publickey.Format{
	policyv1.Secret_FORMAT_UNSPECIFIED: publickey.Any, policyv1.Secret_AS_ISSUED: publickey.Any,
	policyv1.Secret_HEX: publickey.Hex, policyv1.Secret_BASE64: publickey.Base64,
	policyv1.Secret_PEM: publickey.PEM, policyv1.Secret_DER: publickey.DER,
	policyv1.Secret_JWK: publickey.JWK, policyv1.Secret_JWKS: publickey.JWKS,
}

// shared reports whether the key can be a shared secret or token, and says what of it can
// not.
func (l *Loader) shared(k *Loaded) bool {
	if k.url != "" {
		l.Faults.Fail(k.At.At("url"), "is a place of public keys; the scheme has a shared secret")
		return false
	}
	if publicOnly[k.format] {
		l.Faults.Fail(k.At.At("format"), k.format.String()+" is a form of public keys; the scheme has a shared secret")
		return false
	}
	return true
}

// PublicKeys makes keys of the webhook's secrets, each read as the scheme wants it in the
// secret's own format. Those that cannot be read are errors and left out.
func (l *Loader) PublicKeys(keys []Loaded, reader publickey.Reader) []signature.Key {
	var public []signature.Key
	for i := range keys {
		k := &keys[i]
		format, ok := publicFormats[k.format]
		if !ok {
			l.Faults.Fail(k.At.At("format"), k.format.String()+" is no form of a public key; there are PEM, DER, JWK, JWKS, HEX and BASE64")
			continue
		}
		own := reader
		own.Format, own.AllowWeak = format, k.allowWeak != ""
		key := k.Key
		if k.url != "" {
			if key.Source = l.source(k, &own); key.Source != nil {
				public = append(public, key)
			}
			continue
		}
		key.Reader = &own
		if key.Cell = l.publicCell(k, &own); key.Cell != nil {
			public = append(public, key)
		}
	}
	return public
}

// publicCell returns the cell of a public key. After an error there is none.
func (l *Loader) publicCell(k *Loaded, reader *publickey.Reader) *secret.Cell {
	return l.accepted(k, reader, func(text secret.Value) error {
		_, err := reader.Read(text.Reveal())
		return err
	})
}

// accepted returns the cell of a text that the function accepts, and tells of the public
// key that the reader finds in it.
func (l *Loader) accepted(k *Loaded, reader *publickey.Reader, accept func(secret.Value) error) *secret.Cell {
	use := secret.Use{Webhook: k.webhook, Key: k.ID}
	use.Accept = func(text secret.Value) (secret.Value, error) { return text, accept(text) }
	l.notePublic(k, reader)
	if k.perTenant() {
		l.Tenants = append(l.Tenants, tenant.Use{Use: use, File: k.file, Kind: k.kind})
		return secret.TenantCell(len(l.Tenants) - 1)
	}
	cell, err := l.fill(k, use)
	switch {
	case err == nil:
		return cell
	case errors.Is(err, publickey.ErrShort):
		l.Faults.Fail(k.At, "is weak: "+err.Error()+"; use another one, or say allow_weak: {reason: …}")
	default:
		l.Faults.Fail(k.At, "cannot be a key of this scheme: "+err.Error())
	}
	return nil
}

// notePublic is note for a public key.
func (l *Loader) notePublic(k *Loaded, reader *publickey.Reader) {
	l.tell(k, func(key *Key) {
		key.reader = reader
		if !k.perTenant() {
			key.Public, _ = publicKeysIn(k.text, reader) // the error is that of the cell
		}
	})
}

// PublicKey is what is said of a public key.
type PublicKey struct {
	// KID is the name that a set gives it; empty without.
	KID string
	// Kind is such as "RSA, 2048 bits" or "ECDSA P-256".
	Kind string
	// Thumbprint is that of RFC 7638: SHA-256 in base64url.
	Thumbprint string
}

func publicKeysIn(text secret.Value, reader *publickey.Reader) ([]PublicKey, error) {
	keys, err := reader.Read(text.Reveal())
	var public []PublicKey
	for i := range keys {
		public = append(public, PublicKey{KID: keys[i].ID, Kind: keys[i].Describe(), Thumbprint: keys[i].Thumbprint()})
	}
	return public, err
}
