package redis

import "github.com/hookbastion/hookbastion/authz"

// ForgetNear empties the near cache.
func (s *Store) ForgetNear() { s.near.done.Purge() }

// NonceKey is the key of a nonce under the default prefix.
func NonceKey(f authz.Fingerprint) string {
	s := New(Config{})
	return s.shard(f).keys(f)[1]
}

// Tags are the hash tags of the shards.
func Tags() []string { return tags[:] }
