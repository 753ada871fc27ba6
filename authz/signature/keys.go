package signature

import (
	"crypto/hmac"
	"crypto/x509"
	"errors"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// slot is a Key whose value may be replaced while it is in use.
type slot struct {
	Key
	hash        Hash
	secretFirst bool // the hash of the secret and the content
	plain       bool // the hash of the content alone, which has the secret
	suffix      string
	roots       bool // the text is certificates
}

// key is one value of a slot with its pool of keyed hashes: setting up an HMAC
// costs as much as a small body. A call that has begun with a key ends with it.
type key struct {
	*slot
	Secret secret.Value
	macs   sync.Pool
	public []publickey.Key
	roots  []*x509.Certificate
}

type keys []*slot

func newKeys(configured []Key, h Hash, secretFirst bool) (keys, error) {
	if len(configured) == 0 {
		return nil, ErrNoKeys
	}
	var all keys
	for _, k := range configured {
		if k.Source != nil {
			all = append(all, &slot{Key: k})
			continue
		}
		if k.Cell == nil {
			k.Cell = secret.NewCell(k.Secret)
		}
		if !k.Cell.PerTenant() && k.Cell.Load(nil).Len() == 0 {
			return nil, ErrEmptyKey
		}
		all = append(all, &slot{Key: k, hash: h, secretFirst: secretFirst})
	}
	return all, nil
}

// now returns the key with the value that counts now, or nil if the tenant has
// none.
func (s *slot) now(held secret.Held) *key {
	if s.Source != nil {
		return &key{slot: s} // which asks when it is tried
	}
	version := s.Cell.Load(held)
	if version == nil {
		return nil
	}
	k, ok := version.Kept().(*key)
	if !ok || k.slot != s {
		k, _ = version.Keep(s.key(version)).(*key)
	}
	return k
}

func (s *slot) key(version *secret.Version) *key {
	k := &key{slot: s, Secret: version.Value}
	if s.roots {
		k.roots, _ = jose.ReadRoots(version.Reveal()) // the cell has refused what is none
		return k
	}
	if s.Reader != nil {
		k.public, _ = s.Reader.Read(version.Reveal()) // the cell has refused what is none
		return k
	}
	k.macs.New = func() any {
		if s.secretFirst || s.plain {
			return s.hash.new()()
		}
		return hmac.New(s.hash.new(), k.material())
	}
	return k
}

// material is the secret as the provider keys its hash with it.
func (k *key) material() []byte {
	if k.suffix == "" {
		return k.Secret.Reveal()
	}
	return append(slices.Clone(k.Secret.Reveal()), k.suffix...)
}

// begin returns a hash that is ready for the content. It is given back by end.
func (k *key) begin() hash.Hash {
	mac, _ := k.macs.Get().(hash.Hash)
	mac.Reset()
	if k.secretFirst {
		_, _ = mac.Write(k.material()) // hashes never fail
	}
	return mac
}

func (k *key) end(mac hash.Hash) { k.macs.Put(mac) }

func (k *Key) validAt(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// named returns the key of that ID, or the first one if it is empty.
func (ks keys) named(s authz.Signing) *key {
	for _, slot := range ks {
		if s.KeyID != "" && slot.ID != s.KeyID && slot.Source == nil {
			continue
		}
		k := slot.now(s.Secrets)
		if s.KeyID == "" && s.Private != nil && k != nil && slot.Source == nil {
			if _, ok := k.of(s.Private); !ok {
				continue // it belongs to another one
			}
		}
		return k
	}
	return nil
}

// has reports whether there is a key of that ID.
func (ks keys) has(id string) bool {
	return slices.ContainsFunc(ks, func(s *slot) bool { return s.ID == id })
}

// ErrNotPublic says that a scheme of public keys has another one.
var ErrNotPublic = errors.New("a key is no public key")

func (ks keys) allPublic() error {
	for _, s := range ks {
		switch {
		case s.Source != nil:
		case s.Reader == nil:
			return ErrNotPublic
		case !s.Cell.PerTenant():
			if _, err := s.Reader.Read(s.Cell.Load(nil).Reveal()); err != nil {
				return err
			}
		}
	}
	return nil
}

// name is how a request names the key, of which a set has several.
func (k *key) name(public *publickey.Key) string {
	switch {
	case k.KID != "":
		return k.KID
	case public != nil && public.ID != "":
		return public.ID
	default:
		return k.ID
	}
}

// match tries the keys in order, those that are valid now before the others,
// which are tried only to say so. id, if it is not nil, is the one key that may
// match.
func (ks keys) match(call *authz.Call, id authz.View, matches func(*key) bool) (match *key, valid bool) {
	for _, valid := range [2]bool{true, false} {
		for _, slot := range ks {
			if slot.validAt(call.Now) != valid || id != nil && !secret.Equal(id, []byte(slot.ID)) {
				continue
			}
			if k := slot.now(call.Secrets); k != nil && matches(k) {
				return k, valid
			}
		}
	}
	return nil, false
}

// verdict notes the key that matched and returns what follows.
func (ks keys) verdict(call *authz.Call, match *key, valid bool) authz.Reason {
	if match == nil {
		return authz.SignatureInvalid
	}
	call.KeyID = match.ID
	if !valid {
		return authz.KeyNotValidNow
	}
	return authz.OK
}
