package signature

import (
	"crypto/hmac"
	"hash"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// key is a Key with its pool of keyed hashes: setting up an HMAC costs as much
// as a small body.
type key struct {
	Key
	secretFirst bool
	macs        sync.Pool
}

type keys []*key

func newKeys(configured []Key, h Hash, secretFirst bool) (keys, error) {
	if len(configured) == 0 {
		return nil, ErrNoKeys
	}
	var all keys
	for _, k := range configured {
		if k.Secret.Len() == 0 {
			return nil, ErrEmptyKey
		}
		added := &key{Key: k, secretFirst: secretFirst}
		added.macs.New = func() any {
			if secretFirst {
				return h.new()()
			}
			return hmac.New(h.new(), k.Secret.Reveal())
		}
		all = append(all, added)
	}
	return all, nil
}

// begin returns a hash that is ready for the content. It is given back by end.
func (k *key) begin() hash.Hash {
	mac, _ := k.macs.Get().(hash.Hash)
	mac.Reset()
	if k.secretFirst {
		_, _ = mac.Write(k.Secret.Reveal()) // hashes never fail
	}
	return mac
}

func (k *key) end(mac hash.Hash) { k.macs.Put(mac) }

func (k *Key) validAt(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// named returns the key of that ID, or the first one if it is empty.
func (ks keys) named(id string) *key {
	for _, k := range ks {
		if id == "" || k.ID == id {
			return k
		}
	}
	return nil
}

// match tries the keys in order, those that are valid now before the others,
// which are tried only to say so. id, if it is not nil, is the one key that may
// match.
func (ks keys) match(now time.Time, id authz.View, matches func(*key) bool) (match *key, valid bool) {
	for _, valid := range [2]bool{true, false} {
		for _, k := range ks {
			if k.validAt(now) == valid && (id == nil || secret.Equal(id, []byte(k.ID))) && matches(k) {
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
