package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// keepFor is how long the keys are used without another look.
	keepFor = 5 * time.Minute
	// maxKeys bounds what is read of the key set, in bytes.
	maxKeys = 64 << 10
)

// keySet has the gateway's public keys by their ids.
type keySet struct {
	url     string
	refetch time.Duration

	mu      sync.Mutex
	keys    map[string]publicKey
	fetched time.Time // the last good fetch
	tried   time.Time // the last one
}

// publicKey is a key and the only algorithm that it is for.
type publicKey struct {
	key       crypto.PublicKey
	algorithm string
}

var client = http.Client{
	Timeout:       3 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// find returns the key that a token names. An unknown id fetches the keys
// again, but not for each: anybody can make up ids.
func (s *keySet) find(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if _, known := s.keys[id]; (!known || now.Sub(s.fetched) > keepFor) && now.Sub(s.tried) >= s.refetch {
		s.tried = now
		keys, err := fetch(s.url)
		if err == nil {
			s.keys, s.fetched = keys, now
		} else if !known {
			return nil, err
		}
	}
	key, known := s.keys[id]
	if !known || token.Method.Alg() != key.algorithm {
		return nil, errors.New("no such key")
	}
	return key.key, nil
}

func fetch(url string) (map[string]publicKey, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X, Y string }
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxKeys)).Decode(&set); err != nil {
		return nil, err
	}
	keys := map[string]publicKey{}
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		switch {
		case errX != nil || errY != nil || len(x) != 32:
		case k.Kty == "OKP" && k.Crv == "Ed25519":
			keys[k.Kid] = publicKey{ed25519.PublicKey(x), "EdDSA"}
		case k.Kty == "EC" && k.Crv == "P-256" && len(y) == 32:
			point := append(append([]byte{4}, x...), y...)
			if key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err == nil {
				keys[k.Kid] = publicKey{key, "ES256"}
			}
		}
	}
	return keys, nil
}
