package replay

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Key is what replicas share: from it come the key of fingerprints and that of
// seals. It cannot be printed. The zero value is none.
type Key struct{ value secret.Value }

const (
	keyBytes = 32
	// nameBytes is how much a key's name has.
	nameBytes = 8
	// MaxKeys is how many keys there may be at once: one, and while it is
	// changed two.
	MaxKeys = 2
)

// NewKey returns a random key.
func NewKey() Key {
	var b [keyBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return Key{secret.New(b[:])}
}

// Text returns the key as ParseKeys reads it. It is as secret as the key.
func (k Key) Text() string { return base64.StdEncoding.EncodeToString(k.value.Reveal()) }

// Seal returns the key of seals.
func (k Key) Seal() SealKey { return SealKey(k.derive("hookbastion settle seal 1")) }

// Fingerprint returns the key of fingerprints.
func (k Key) Fingerprint() authz.FingerprintKey {
	return authz.FingerprintKey(k.derive("hookbastion fingerprint 1"))
}

// Name returns what tells the key from others, and nothing else of it.
func (k Key) Name() string { return hex.EncodeToString(k.derive("hookbastion key name 1")[:nameBytes]) }

func (k Key) derive(purpose string) []byte {
	mac := hmac.New(sha256.New, k.value.Reveal())
	_, _ = mac.Write([]byte(purpose)) // hash.Hash never fails
	return mac.Sum(nil)
}

// ErrKeys says what keys look like.
var ErrKeys = fmt.Errorf("must be one line, or %d while keys are changed, each with %d bytes in base64", MaxKeys, keyBytes)

// ParseKeys reads keys, one a line. The first is the current one. Errors hold
// nothing of the text.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		b, err := base64.StdEncoding.AppendDecode(nil, line)
		if err != nil || len(b) != keyBytes {
			return nil, ErrKeys
		}
		if secret.Weakness(b) != nil {
			return nil, errors.New("a key that can be guessed; make one with: openssl rand -base64 32")
		}
		keys = append(keys, Key{secret.New(b)})
	}
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, ErrKeys
	}
	return keys, nil
}

// UseKeys gives a settler and a fingerprinter their keys; there is at least
// one. Content is known by all of them, and seals of all are opened.
func UseKeys(keys []Key, s *Settler, f *authz.Fingerprinter) {
	var seals []SealKey
	for _, k := range keys {
		seals = append(seals, k.Seal())
	}
	s.SetKeys(seals[0], seals[1:]...)
	var other *authz.FingerprintKey
	if len(keys) > 1 {
		k := keys[1].Fingerprint()
		other = &k
	}
	f.SetKeys(keys[0].Fingerprint(), other)
}
