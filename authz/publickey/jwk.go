package publickey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// jwk is a key of RFC 7517, as far as it is read. Certificates in it (x5c, x5u) count
// for nothing.
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Kid    string   `json:"kid"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	// of a private or shared key
	D *json.RawMessage `json:"d"`
	K *json.RawMessage `json:"k"`
}

type jwks struct {
	Keys *[]json.RawMessage `json:"keys"`
}

// isSet reports whether JSON is a set of keys.
func isSet(text []byte) bool {
	var set jwks
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && json.Unmarshal(text, &set) == nil && set.Keys != nil
}

// readSet reads the keys of a set that the scheme could use. What a set holds besides is
// passed over, as it must be (RFC 7517 §5), but not a private key: whoever published
// that has no secret any more.
func (r *Reader) readSet(text []byte) ([]Key, error) {
	var set jwks
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, fmt.Errorf("%w: no object with a list of keys", ErrFormat)
	}
	if len(*set.Keys) > MaxKeys {
		return nil, ErrTooMany
	}
	var keys []Key
	var unused error
	for _, item := range *set.Keys {
		key, err := readJWK(item)
		if err == nil {
			err = r.check(&key)
		}
		switch {
		case errors.Is(err, ErrPrivate):
			return nil, err
		case err != nil:
			unused = err
			continue
		case len(r.Algorithms) > 0 && key.Algorithm != "" && !slices.Contains(r.Algorithms, key.Algorithm):
			continue
		case key.ID == "" || slices.ContainsFunc(keys, func(k Key) bool { return k.ID == key.ID }):
			return nil, ErrNoID
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 && unused != nil {
		return nil, fmt.Errorf("%w; one is %w", ErrNone, unused)
	}
	if len(keys) == 0 {
		return nil, ErrNone
	}
	return keys, nil
}

// errUse says that a key is not for signatures.
var errUse = fmt.Errorf("%w: one that is not for signatures", ErrKind)

func readJWK(text []byte) (Key, error) {
	var j jwk
	if err := json.Unmarshal(text, &j); err != nil {
		return Key{}, fmt.Errorf("%w: no JSON object with the members of a key", ErrFormat)
	}
	key := Key{ID: j.Kid, Algorithm: j.Alg}
	switch {
	case j.D != nil:
		return Key{}, ErrPrivate
	case j.K != nil || j.Kty == "oct":
		return Key{}, fmt.Errorf("%w: a shared secret", ErrKind)
	case j.Use != "" && j.Use != "sig", len(j.KeyOps) > 0 && !slices.Contains(j.KeyOps, "verify"):
		return Key{}, errUse
	case strings.ContainsFunc(j.Kid, func(c rune) bool { return c < ' ' || c == 0x7f }) || len(j.Kid) > 256:
		return Key{}, fmt.Errorf("%w: a kid of more than 256 characters, or with control characters", ErrFormat)
	}
	err := ErrKind
	switch j.Kty {
	case "RSA":
		key.Public, err = j.rsa()
	case "EC":
		key.Public, err = j.ecdsa()
	case "OKP":
		if j.Crv == "Ed25519" {
			key.Public, err = j.ed25519()
		}
	}
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

// number decodes a member in base64url.
func number(text string) ([]byte, bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return data, err == nil && len(data) > 0 && !strings.ContainsAny(text, "\r\n")
}

func (j *jwk) rsa() (any, error) {
	n, hasN := number(j.N)
	e, hasE := number(j.E)
	switch {
	case !hasN || !hasE || len(n) > maxRSABits/8+1:
		return nil, ErrFormat
	case len(e) > 4:
		return nil, ErrExponent
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
}

func (j *jwk) ecdsa() (any, error) {
	for name, curve := range curves {
		if name.String() != j.Crv {
			continue
		}
		x, hasX := number(j.X)
		y, hasY := number(j.Y)
		if !hasX || !hasY || len(x) != name.size() || len(y) != name.size() {
			return nil, ErrFormat
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, ErrPoint
		}
		return public, nil
	}
	return nil, fmt.Errorf("%w: of another curve than P-256, P-384 and P-521", ErrKind)
}

func (j *jwk) ed25519() (any, error) {
	x, ok := number(j.X)
	if !ok || len(x) != ed25519.PublicKeySize {
		return nil, ErrFormat
	}
	return ed25519.PublicKey(x), nil
}
