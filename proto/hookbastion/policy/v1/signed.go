package policyv1

import (
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"
)

// Signed is what the kinds of schemes have in common that sign content made of
// parts: hmac, rsa, ecdsa and ed25519. They differ in the key.
type Signed interface {
	GetEncoding() Hmac_Encoding
	GetSignature() *Signature
	GetContent() []*Part
	GetTimestamp() *Timestamp
	GetConstantHeaders() []*ConstantHeader
	GetKeyId() *KeyId
	GetBodyUnsigned() bool
	GetSlides() *Slides
}

// Signed returns the scheme's kind if it signs content made of parts. For all others
// it is one without any, never nil.
func (s *Scheme) Signed() Signed {
	switch kind := s.GetKind().(type) {
	case *Scheme_Hmac:
		return kind.Hmac
	case *Scheme_Rsa:
		return kind.Rsa
	case *Scheme_Ecdsa:
		return kind.Ecdsa
	case *Scheme_Ed25519:
		return kind.Ed25519
	default:
		return (*Hmac)(nil)
	}
}

// SignsContent reports whether the scheme signs content made of parts.
func (s *Scheme) SignsContent() bool { return len(s.Signed().GetContent()) > 0 }

// Public reports whether the scheme's keys are public ones.
func (s *Scheme) Public() bool {
	switch kind := s.GetKind().(type) {
	case *Scheme_HttpSignature:
		return !slices.Contains(kind.HttpSignature.GetAlgorithms(), HttpSignature_HMAC_SHA256)
	case *Scheme_Rsa, *Scheme_Ecdsa, *Scheme_Ed25519:
		return true
	default:
		return false
	}
}

// KeyIDHeaders returns the headers that name the key, if it is in headers.
func (s *Scheme) KeyIDHeaders() []string {
	if name := s.GetHmac().GetKeyIdHeader(); name != "" {
		return []string{name}
	}
	return s.Signed().GetKeyId().GetHeaders()
}

// Stamp says how old or early a signed time may be.
type Stamp interface {
	GetTolerance() *durationpb.Duration
	GetFuture() *durationpb.Duration
}

// Stamp returns the signed time of the scheme, and whether it has one.
func (s *Scheme) Stamp() (Stamp, bool) {
	if t := s.Signed().GetTimestamp(); t != nil {
		return t, true
	}
	if t, timed := s.GetJws().stamp(); timed {
		return t, true
	}
	if h := s.GetHttpSignature(); h != nil && h.GetTime() != HttpSignature_NONE {
		return h, true
	}
	return nil, false
}
