package keys

import (
	"time"

	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// Key is what is known of one secret or token of a webhook.
type Key struct {
	Webhook, ID string
	// Kind is secret or token, published where the provider's scheme says where its
	// keys are, verify token, or learnt secret where one is to come that the provider brings.
	Kind string
	// File, with {tenant} where each tenant has its own, Env, Digest or URL says
	// where it is. A URL may be a pattern, with {id}.
	File, Env, Digest   string
	URL                 string
	NotBefore, NotAfter time.Time
	// Bytes is the length, decoded; 0 where it is not known, and for public keys.
	Bytes int
	// Public are the public keys in it, which are no secrets.
	Public []PublicKey
	// Weakness is why it should not be used: secret.ErrShort, ErrGuessable or
	// ErrPublished; nil if it is good, as far as can be known.
	Weakness error
	// AllowWeak is the policy's reason to use it all the same.
	AllowWeak string
	// Odd is why the text is hardly what its owner meant, where AllowWeak lets it pass.
	Odd error
	// Placeholder says that a part of the text was to be filled in.
	Placeholder bool
	// Guessed says that the digest is that of a text that everybody tries first.
	Guessed bool
	// Alike is the same for equal texts within one load, and tells nothing else of them:
	// a keyed hash, whose key nobody keeps. Empty where the text is not known, or is a
	// public key.
	Alike string
	// Place is where the policy names it.
	Place strictyaml.Error

	decode secret.Accept
	reader *publickey.Reader // of public keys; nil for a secret
}

// IsPublic reports whether it is a public key, or a place of them.
func (k *Key) IsPublic() bool { return k.reader != nil || k.URL != "" }

// Withheld reports whether what signs is not in the policy: it has the public key, or the
// digest of the token.
func (k *Key) Withheld() bool { return k.IsPublic() || k.Digest != "" }

// PerTenant reports whether each tenant has a key of its own.
func (k *Key) PerTenant() bool {
	return k.File != "" && k.Bytes == 0 && len(k.Public) == 0 && IsPerTenant(k.File)
}

// Of returns the key of one tenant. The error is that of its file.
func (k *Key) Of(name string) (Key, error) {
	own := *k
	own.File = tenant.File(k.File, name)
	text, err := tenant.Read(k.File, name)
	if err != nil {
		return own, err
	}
	if k.reader != nil {
		own.Public, err = publicKeysIn(text, k.reader)
		return own, err
	}
	key, err := k.decode(text)
	if err != nil {
		return own, err
	}
	own.Bytes, own.Weakness = key.Len(), Weakness(text, key)
	return own, nil
}

// Advice is what should be said about a weak key; empty if nothing.
func (k *Key) Advice() string {
	switch {
	case k.Weakness == nil:
		return ""
	case k.AllowWeak != "":
		return k.Weakness.Error() + "; allowed: " + k.AllowWeak
	default:
		return k.Weakness.Error() + "; serve refuses it"
	}
}

// Text reads the text of the secret once more, for tools that look for what is wrong with
// it; that of a tenant where each has its own.
func (k *Key) Text(tenantName string) (secret.Value, error) {
	if k.PerTenant() {
		return tenant.Read(k.File, tenantName)
	}
	return (secret.Ref{File: k.File, Env: k.Env}).Load()
}

// Decode makes the key of a text as the policy says; nil for public keys and tokens.
func (k *Key) Decode() secret.Accept { return k.decode }
