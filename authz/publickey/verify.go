package publickey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
)

// Algorithm is how a signature is made. It is a value without state.
type Algorithm struct {
	Kind Kind
	// Hash is the hash of the content; 0 for Ed25519, which signs the content.
	Hash crypto.Hash
	// PSS in place of PKCS #1 v1.5, for RSA. The salt is as long as the hash.
	PSS bool
	// Curve is that of the keys, for ECDSA.
	Curve Curve
	// Raw: the two numbers of an ECDSA signature stand one after the other, each in
	// full length, in place of DER.
	Raw bool
}

// MaxSignature is the length of the longest signature of any algorithm, in bytes.
const MaxSignature = maxRSABits / 8

// Sizes returns how short and how long a signature can be, in bytes.
func (a Algorithm) Sizes() (least, most int) {
	switch {
	case a.Kind == Ed25519:
		return ed25519.SignatureSize, ed25519.SignatureSize
	case a.Kind == ECDSA && a.Raw:
		return 2 * a.Curve.size(), 2 * a.Curve.size()
	case a.Kind == ECDSA:
		return 8, a.Curve.size()*2 + 9 // SEQUENCE of two INTEGERs
	default:
		return minRSABits / 8, MaxSignature
	}
}

// Content returns what Verify takes of a message: its digest, or for Ed25519 the message.
func (a Algorithm) Content(message []byte) []byte {
	if a.Hash == 0 {
		return message
	}
	h := a.Hash.New()
	_, _ = h.Write(message) // hashes never fail
	return h.Sum(nil)
}

// Verify reports whether the signature is one of the content by the key: of its
// digest, or for Ed25519 of the content itself. A key of another kind or curve verifies
// nothing. It may run as long as a hundred microseconds.
func (a Algorithm) Verify(key *Key, content, signature []byte) bool {
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		switch {
		case a.Kind != RSA || !a.Hash.Available() || len(content) != a.Hash.Size():
			return false
		case a.PSS:
			return rsa.VerifyPSS(public, a.Hash, content, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		default:
			return rsa.VerifyPKCS1v15(public, a.Hash, content, signature) == nil
		}
	case *ecdsa.PublicKey:
		switch {
		case a.Kind != ECDSA || public.Curve != curves[a.Curve]:
			return false
		case a.Raw:
			var buffer [maxDER]byte
			der, ok := appendDER(buffer[:0], signature, a.Curve.size())
			return ok && ecdsa.VerifyASN1(public, content, der)
		default:
			return ecdsa.VerifyASN1(public, content, signature)
		}
	case ed25519.PublicKey:
		return a.Kind == Ed25519 && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, content, signature)
	default:
		return false
	}
}

// maxDER is the longest DER form of a signature: of P-521.
const maxDER = 2*66 + 9

// appendDER writes the two numbers of a signature as a SEQUENCE of INTEGERs.
func appendDER(dst, signature []byte, size int) ([]byte, bool) {
	if len(signature) != 2*size {
		return nil, false
	}
	r, s := integer(signature[:size]), integer(signature[size:])
	n := derSize(r) + derSize(s)
	dst = append(dst, 0x30)
	if n >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(n))
	return appendInteger(appendInteger(dst, r), s), true
}

// integer drops the leading zeros of a number, but for one that is all of it.
func integer(number []byte) []byte {
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	return number
}

func derSize(number []byte) int { return 2 + int(number[0]>>7) + len(number) }

func appendInteger(dst, number []byte) []byte {
	dst = append(dst, 0x02, byte(derSize(number)-2))
	if number[0]>>7 == 1 {
		dst = append(dst, 0) // or it would be negative
	}
	return append(dst, number...)
}

// String says what is computed, as in "ECDSA P-256 with SHA-256".
func (a Algorithm) String() string {
	switch {
	case a.Kind == Ed25519:
		return "Ed25519"
	case a.Kind == ECDSA:
		return "ECDSA " + a.Curve.String() + " with " + a.Hash.String()
	case a.PSS:
		return "RSA-PSS with " + a.Hash.String()
	default:
		return "RSA with " + a.Hash.String()
	}
}
