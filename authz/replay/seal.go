package replay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// sealer makes values that only a holder of the key can make: HMAC-SHA256, cut
// to 128 bits, over a version and the reservation. What they hold is no secret:
// a keyed hash of content, and random numbers.
type sealer struct {
	macs sync.Pool
	// earlier opens what another key has made; nil if there is none.
	earlier *sealer
}

const (
	sealVersion = 1
	sealBody    = 1 + 15 + 8 + 8 + 8 + 1
	sealTag     = 16
	sealText    = (sealBody + sealTag) / 3 * 4 // 57 bytes are 76 characters
)

var sealEncoding = base64.RawURLEncoding.Strict()

func newSealer(key SealKey, others ...SealKey) *sealer {
	s := &sealer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key[:]) }}}
	if len(others) > 0 {
		s.earlier = newSealer(others[0], others[1:]...)
	}
	return s
}

func (s *sealer) tag(body []byte, sum *[sha256.Size]byte) []byte {
	mac, _ := s.macs.Get().(hash.Hash) // nothing else is in the pool
	mac.Reset()
	_, _ = mac.Write(body) // hash.Hash never fails
	tag := mac.Sum(sum[:0])[:sealTag]
	s.macs.Put(mac)
	return tag
}

func (s *sealer) seal(r authz.Reservation) string {
	var buffer [sealBody + sealTag]byte
	var sum [sha256.Size]byte
	b := append(buffer[:0], sealVersion)
	b = append(b, r.Fingerprint[:15]...)
	b = binary.BigEndian.AppendUint64(b, r.Share)
	b = binary.BigEndian.AppendUint64(b, r.ID)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Ends))
	b = append(b, r.Rules)
	b = append(b, s.tag(b, &sum)...)
	return sealEncoding.EncodeToString(b)
}

func (s *sealer) open(text string) (r authz.Reservation, ok bool) {
	var buffer [sealBody + sealTag]byte
	var sum [sha256.Size]byte
	if len(text) != sealText {
		return r, false
	}
	if _, err := sealEncoding.Decode(buffer[:], []byte(text)); err != nil {
		return r, false
	}
	body := buffer[:sealBody]
	if !secret.Equal(buffer[sealBody:], s.tag(body, &sum)) {
		if s.earlier != nil {
			return s.earlier.open(text)
		}
		return r, false
	}
	if body[0] != sealVersion {
		return r, false
	}
	copy(r.Fingerprint[:15], body[1:])
	r.Share = binary.BigEndian.Uint64(body[16:])
	r.ID = binary.BigEndian.Uint64(body[24:])
	r.Ends = int64(binary.BigEndian.Uint64(body[32:]))
	r.Rules = body[40]
	return r, true
}
