package handshake

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Braintree asks for
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// Answer is what a provider gets.
type Answer struct {
	// Status is 200 or 204, which has no body.
	Status int
	// ContentType is that of the body.
	ContentType string
	Body        []Piece
	Headers     []Header
	// RefusedStatus is the status of a handshake that fails; 0: the webhook's own.
	RefusedStatus int
}

// Header is a header of an answer.
type Header struct {
	// Name is in lower case.
	Name  string
	Value Piece
	// IfHeader, if it is not empty, is a header that the request must have, in lower case.
	IfHeader string
}

// Piece is a part of an answer. One field is set.
type Piece struct {
	Literal   string
	Challenge bool
	KeyID     bool
	MAC       *MAC
	Digest    *Digest
}

// Hash is a hash function. The zero value is none.
type Hash uint8

// The hash functions.
const (
	_ Hash = iota
	SHA1
	SHA256
)

func (h Hash) new() func() hash.Hash {
	if h == SHA1 {
		return sha1.New
	}
	return sha256.New
}

func (h Hash) sum(parts ...[]byte) []byte {
	sum := h.new()()
	for _, part := range parts {
		_, _ = sum.Write(part) // hashes never fail
	}
	return sum.Sum(nil)
}

// MAC is an HMAC of the challenge.
type MAC struct {
	Hash   Hash
	Base64 bool // else hexadecimal in lower case
	// KeyHash, if it is not zero, makes the key of the secret.
	KeyHash Hash
}

// Digest is a plain hash of challenge, verify token and the webhook's URL.
type Digest struct {
	Hash   Hash
	Base64 bool
}

// Signs reports whether the answer holds a MAC under the key of deliveries.
func (h *Handshake) Signs() bool {
	signs := false
	h.pieces(func(p *Piece) { signs = signs || p.MAC != nil })
	return signs
}

func (h *Handshake) pieces(f func(*Piece)) {
	for i := range h.Answer.Body {
		f(&h.Answer.Body[i])
	}
	for i := range h.Answer.Headers {
		f(&h.Answer.Headers[i].Value)
	}
}

// build makes the answer. It fails if there is no key.
func (h *Handshake) build(call *authz.Call, challenge string) (*authz.Answer, bool) {
	maker := maker{h: h, call: call, challenge: challenge}
	answer := &authz.Answer{Status: h.Answer.Status}
	for i := range h.Answer.Body {
		text, ok := maker.text(&h.Answer.Body[i])
		if !ok {
			return nil, false
		}
		answer.Body += text
	}
	if len(h.Answer.Body) > 0 {
		answer.ContentType = h.Answer.ContentType
	}
	for i := range h.Answer.Headers {
		header := &h.Answer.Headers[i]
		if _, n := call.Request.Headers.Lookup(header.IfHeader); header.IfHeader != "" && n == 0 {
			continue
		}
		text, ok := maker.text(&header.Value)
		if !ok {
			return nil, false
		}
		answer.Headers = append(answer.Headers, authz.Header{Name: authz.View(header.Name), Value: authz.View(text)})
	}
	return answer, true
}

type maker struct {
	h         *Handshake
	call      *authz.Call
	challenge string
}

func (m *maker) text(p *Piece) (string, bool) {
	switch {
	case p.Challenge:
		return m.challenge, true
	case p.KeyID:
		key, _ := m.key()
		if key == nil {
			return "", false
		}
		return key.ID, true
	case p.MAC != nil:
		return m.mac(p.MAC)
	case p.Digest != nil:
		return m.digest(p.Digest)
	default:
		return p.Literal, true
	}
}

// key returns the key that has proven the request, or where nothing has the first one that
// is valid now, and its bytes: while a secret is changed, the provider knows but one.
func (m *maker) key() (*Key, []byte) {
	if m.call.KeyID != "" {
		if k, bytes := m.first(func(k *Key) bool { return k.ID == m.call.KeyID }); k != nil {
			return k, bytes
		}
	}
	return m.first(func(*Key) bool { return true })
}

func (m *maker) first(fits func(*Key) bool) (*Key, []byte) {
	for i := range m.h.Keys {
		k := &m.h.Keys[i]
		if !k.validAt(m.call.Now) || !fits(k) {
			continue
		}
		if value := k.Cell.Load(m.call.Secrets); value != nil && value.Len() > 0 {
			return k, value.Reveal()
		}
	}
	return nil, nil
}

func (m *maker) mac(p *MAC) (string, bool) {
	key, bytes := m.key()
	if key == nil {
		return "", false
	}
	m.call.KeyID = key.ID
	if p.KeyHash != 0 {
		bytes = p.KeyHash.sum(bytes)
	}
	mac := hmac.New(p.Hash.new(), bytes)
	_, _ = mac.Write([]byte(m.challenge)) // hashes never fail
	return encode(mac.Sum(nil), p.Base64), true
}

func (m *maker) digest(p *Digest) (string, bool) {
	if m.h.Token == nil {
		return "", false
	}
	token := m.h.Token.Load(m.call.Secrets)
	if token == nil || token.Len() == 0 {
		return "", false
	}
	url := strings.TrimSuffix(m.h.Endpoint, "/") + string(m.call.Request.PathOnly())
	return encode(p.Hash.sum([]byte(m.challenge), token.Reveal(), []byte(url)), p.Base64), true
}

func encode(sum []byte, base bool) string {
	if base {
		return base64.StdEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}

// told returns the text that the operator is told of: an https URL of at most 1024
// printable characters, or nothing.
func (h *Handshake) told(req *authz.Request) string {
	text, _ := jsonText(req, h.Told)
	if !strings.HasPrefix(text, "https://") || len(text) > 1024 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return text
}
