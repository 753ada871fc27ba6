// Package assertion tells the application in a signed form what was proven of a
// request, so that it can tell what came through the gateway from what went
// around it.
//
// An assertion is a JWT (RFC 7519) that lives for a minute or so and names the
// audience, the decision, the webhook and the SHA-256 of the body. It is
// signed with Ed25519 (EdDSA, RFC 8037) or P-256 (ES256, RFC 7518), with a key
// of which the public half is published as a JWK set (RFC 7517). The keys come
// from files that all replicas share.
//
// It does not keep somebody who has seen an assertion from showing it once more
// with the same body within its life.
package assertion

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// Type is the typ of the JWT's header, by which it cannot be taken for a token
// of another kind (RFC 8725, section 3.11).
const Type = "hookbastion+jwt"

// Config says where the keys are and what every assertion has.
type Config struct {
	// Files hold private and public keys in PEM form. The first private key
	// signs; all are published.
	Files []string
	// TTL is how long an assertion lives.
	TTL time.Duration
	// Issuer is the iss.
	Issuer string
}

// Facts are what one assertion says.
type Facts struct {
	Audience   string
	DecisionID string
	Webhook    string
	Tenant     string // may be empty
	KeyID      string // may be empty
	// Proof is what was proven: signature, partial or token.
	Proof string
	// Replay is what is told of a delivery that may be a copy; empty otherwise.
	Replay string
	// Body is the whole body in pieces.
	Body [][]byte
}

type claims struct {
	jwt.RegisteredClaims
	Webhook    string `json:"webhook"`
	Tenant     string `json:"tenant,omitempty"`
	KeyID      string `json:"key_id,omitempty"`
	Verified   string `json:"verified"`
	Replay     string `json:"replay,omitempty"`
	BodySHA256 string `json:"body_sha256"`
}

// ErrNoSigner says that nothing is there to sign with.
var ErrNoSigner = errors.New("there is no key to sign assertions with")

// Signer signs and publishes its keys. It is safe for concurrent use. A nil
// Signer signs nothing.
type Signer struct {
	config Config
	mu     sync.Mutex // held by Load
	read   [sha256.Size]byte
	keys   atomic.Pointer[keySet]
}

// New reads the keys.
func New(config Config) (*Signer, error) {
	s := &Signer{config: config}
	_, err := s.Load()
	return s, err
}

// Files are the files that are read.
func (s *Signer) Files() []string { return s.config.Files }

// SigningKey is the id of the key that signs now.
func (s *Signer) SigningKey() string { return s.keys.Load().signing.id }

// Load reads the files again and reports whether anything is new. After an
// error the last good keys stay. Errors hold nothing of the files.
func (s *Signer) Load() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := sha256.New()
	texts := make([][]byte, len(s.config.Files))
	for i, file := range s.config.Files {
		value, err := secret.Ref{File: file}.Load()
		if err != nil {
			return false, err
		}
		texts[i] = value.Reveal()
		part := sha256.Sum256(texts[i])
		_, _ = digest.Write(part[:]) // hashes never fail
	}
	read := [sha256.Size]byte(digest.Sum(nil))
	if s.keys.Load() != nil && read == s.read {
		return false, nil
	}
	keys, err := parseKeys(s.config.Files, texts)
	if err != nil {
		return false, err
	}
	s.read = read
	s.keys.Store(keys)
	return true, nil
}

// Sign returns an assertion. Nothing of the facts is kept.
func (s *Signer) Sign(now time.Time, f *Facts) (string, error) {
	if s == nil {
		return "", ErrNoSigner
	}
	body := sha256.New()
	for _, piece := range f.Body {
		_, _ = body.Write(piece) // hashes never fail
	}
	key := s.keys.Load().signing
	token := jwt.NewWithClaims(key.method, &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.config.Issuer, Audience: jwt.ClaimStrings{f.Audience}, ID: f.DecisionID,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.config.TTL)),
		},
		Webhook: f.Webhook, Tenant: f.Tenant, KeyID: f.KeyID, Verified: f.Proof, Replay: f.Replay,
		BodySHA256: hex.EncodeToString(body.Sum(nil)),
	})
	token.Header["typ"], token.Header["kid"] = Type, key.id
	return key.sign(token)
}

// ServeHTTP publishes the keys as a JWK set.
func (s *Signer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.keys.Load().jwks))
}
