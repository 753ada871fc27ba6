package jose

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"io"

	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Algorithm is the name of an algorithm (RFC 7518 §3.1, RFC 8037). The empty one
// verifies nothing.
type Algorithm string

var (
	shared     = map[Algorithm]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}
	publicKeys = map[Algorithm]publickey.Algorithm{
		"RS256": {Kind: publickey.RSA, Hash: crypto.SHA256},
		"RS384": {Kind: publickey.RSA, Hash: crypto.SHA384},
		"RS512": {Kind: publickey.RSA, Hash: crypto.SHA512},
		"PS256": {Kind: publickey.RSA, Hash: crypto.SHA256, PSS: true},
		"PS384": {Kind: publickey.RSA, Hash: crypto.SHA384, PSS: true},
		"PS512": {Kind: publickey.RSA, Hash: crypto.SHA512, PSS: true},
		"ES256": {Kind: publickey.ECDSA, Hash: crypto.SHA256, Curve: publickey.P256, Raw: true},
		"ES384": {Kind: publickey.ECDSA, Hash: crypto.SHA384, Curve: publickey.P384, Raw: true},
		"ES512": {Kind: publickey.ECDSA, Hash: crypto.SHA512, Curve: publickey.P521, Raw: true},
		"EdDSA": {Kind: publickey.Ed25519},
	}
)

func (a Algorithm) known() bool { return a.Shared() || publicKeys[a].Kind != 0 }

// Shared reports whether the key is a secret that both sides have.
func (a Algorithm) Shared() bool { return shared[a] != 0 }

// Fits reports whether a public key is of the algorithm's family and curve, and not
// meant for another algorithm. None fits an HMAC.
func (a Algorithm) Fits(key *publickey.Key) bool {
	with := publicKeys[a]
	return with.Kind != 0 && key.Kind() == with.Kind && key.Curve() == with.Curve && (key.Algorithm == "" || key.Algorithm == string(a))
}

// KeysOf returns the kind and the curve that the keys of all of the algorithms have; 0
// where they differ.
func KeysOf(names []string) (publickey.Kind, publickey.Curve) {
	var first publickey.Algorithm
	for i, name := range names {
		is := publicKeys[Algorithm(name)]
		switch {
		case i == 0:
			first = is
		case is.Kind != first.Kind:
			return 0, 0
		case is.Curve != first.Curve:
			first.Curve = 0
		}
	}
	return first.Kind, first.Curve
}

// Content writes what is signed. It is called once for each key that is tried.
type Content func(io.Writer)

// Verify reports whether the holder of the private key made the signature. A key
// that does not fit made none.
func (a Algorithm) Verify(key *publickey.Key, content Content, signature []byte) bool {
	return a.Fits(key) && publicKeys[a].Verify(key, a.message(content), signature)
}

// message is what a public key signs: a digest of the content, or for Ed25519 all of it.
func (a Algorithm) message(content Content) []byte {
	if hash := publicKeys[a].Hash; hash != 0 {
		digest := hash.New()
		content(digest)
		return digest.Sum(nil)
	}
	var message bytes.Buffer
	content(&message)
	return message.Bytes()
}

// VerifyShared is Verify for a shared secret, in constant time.
func (a Algorithm) VerifyShared(key []byte, content Content, signature []byte) bool {
	return a.Shared() && len(key) > 0 && secret.Equal(a.mac(key, content), signature)
}

func (a Algorithm) mac(key []byte, content Content) []byte {
	mac := hmac.New(shared[a].New, key)
	content(mac)
	return mac.Sum(nil)
}

// SignShared signs with a shared secret. It returns nil if that is not how the
// algorithm signs.
func (a Algorithm) SignShared(key []byte, content Content) []byte {
	if !a.Shared() || len(key) == 0 {
		return nil
	}
	return a.mac(key, content)
}

// Sign signs with a private key. It returns nil if that does not fit.
func (a Algorithm) Sign(private crypto.Signer, content Content) []byte {
	if private == nil || !a.Fits(&publickey.Key{Public: private.Public()}) {
		return nil
	}
	signature, err := publicKeys[a].Sign(private, a.message(content))
	if err != nil {
		return nil // a key that is too short for the hash
	}
	return signature
}
