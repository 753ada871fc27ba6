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

// What a value is for stands in its first byte, so that none can be taken for
// one of another purpose.
const (
	sealVersion = 1
	// ticketVersion begins a ticket, and nameVersion what a decision's id is made
	// of.
	ticketVersion, nameVersion = 2, 3

	ticketHead = 1 + 16 + 15 + 8 // and the webhook's name
	// maxTicketName is more than a webhook's name can have.
	maxTicketName = 256
	sealBody      = 1 + 15 + 8 + 8 + 8 + 1
	sealTag       = 16
	sealText      = (sealBody + sealTag) / 3 * 4 // 57 bytes are 76 characters
)

var sealEncoding = base64.RawURLEncoding.Strict()

func newSealer(key SealKey, others ...SealKey) *sealer {
	s := &sealer{macs: sync.Pool{New: func() any { return &macState{mac: hmac.New(sha256.New, key[:])} }}}
	if len(others) > 0 {
		s.earlier = newSealer(others[0], others[1:]...)
	}
	return s
}

// macState is a MAC with memory for what goes in and what comes out: an interface
// does not say that it keeps neither.
type macState struct {
	mac  hash.Hash
	body []byte
	sum  [sha256.Size]byte
}

func (s *sealer) tag(body []byte, tag *[sealTag]byte) []byte {
	m, _ := s.macs.Get().(*macState) // nothing else is in the pool
	m.mac.Reset()
	m.body = append(m.body[:0], body...)
	_, _ = m.mac.Write(m.body) // hash.Hash never fails
	copy(tag[:], m.mac.Sum(m.sum[:0]))
	s.macs.Put(m)
	return tag[:]
}

// appendSeal appends the sealed reservation.
func (s *sealer) appendSeal(dst []byte, r authz.Reservation) []byte {
	var buffer [sealBody + sealTag]byte
	var tag [sealTag]byte
	b := append(buffer[:0], sealVersion)
	b = append(b, r.Fingerprint[:15]...)
	b = binary.BigEndian.AppendUint64(b, r.Partition)
	b = binary.BigEndian.AppendUint64(b, r.ID)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Ends))
	b = append(b, r.Rules)
	b = append(b, s.tag(b, &tag)...)
	return sealEncoding.AppendEncode(dst, b)
}

func (s *sealer) open(text []byte) (r authz.Reservation, ok bool) {
	var buffer [sealBody + sealTag]byte
	var tag [sealTag]byte
	if len(text) != sealText {
		return r, false
	}
	if _, err := sealEncoding.Decode(buffer[:], text); err != nil {
		return r, false
	}
	body := buffer[:sealBody]
	if !secret.Equal(buffer[sealBody:], s.tag(body, &tag)) {
		if s.earlier != nil {
			return s.earlier.open(text)
		}
		return r, false
	}
	if body[0] != sealVersion {
		return r, false
	}
	copy(r.Fingerprint[:15], body[1:])
	r.Partition = binary.BigEndian.Uint64(body[16:])
	r.ID = binary.BigEndian.Uint64(body[24:])
	r.Ends = int64(binary.BigEndian.Uint64(body[32:]))
	r.Rules = body[40]
	return r, true
}

// ticket seals that a decision has refused a copy of r's content. Nothing can be
// settled by it.
func (s *sealer) ticket(id [16]byte, webhook string, r authz.Reservation) string {
	var tag [sealTag]byte
	b := make([]byte, 0, ticketHead+len(webhook)+sealTag)
	b = append(b, ticketVersion)
	b = append(b, id[:]...)
	b = append(b, r.Fingerprint[:15]...)
	b = binary.BigEndian.AppendUint64(b, r.Partition)
	b = append(b, webhook...)
	b = append(b, s.tag(b, &tag)...)
	return sealEncoding.EncodeToString(b)
}

// openTicket returns what a ticket of ours says.
func (s *sealer) openTicket(text string) (id [16]byte, webhook string, r authz.Reservation, ok bool) {
	if sealEncoding.DecodedLen(len(text)) > ticketHead+maxTicketName+sealTag {
		return id, "", r, false
	}
	b, err := sealEncoding.DecodeString(text)
	if err != nil || len(b) <= ticketHead+sealTag || b[0] != ticketVersion || !s.sealed(b) {
		return id, "", r, false
	}
	copy(id[:], b[1:])
	copy(r.Fingerprint[:15], b[17:])
	r.Partition = binary.BigEndian.Uint64(b[32:])
	return id, string(b[ticketHead : len(b)-sealTag]), r, true
}

// sealed reports whether the last bytes are the tag of those before, by any key.
func (s *sealer) sealed(b []byte) bool {
	var tag [sealTag]byte
	body := b[:len(b)-sealTag]
	return secret.Equal(b[len(body):], s.tag(body, &tag)) || s.earlier != nil && s.earlier.sealed(b)
}

// name returns the last half of an id, made of its first and of content.
func (s *sealer) name(first [8]byte, f authz.Fingerprint) (last [8]byte) {
	var buffer [1 + 8 + 15]byte
	var tag [sealTag]byte
	b := append(buffer[:0], nameVersion)
	b = append(b, first[:]...)
	b = append(b, f[:15]...)
	copy(last[:], s.tag(b, &tag))
	return last
}

// names reports whether an id was made of content, by any key.
func (s *sealer) names(id [16]byte, f authz.Fingerprint) bool {
	last := s.name([8]byte(id[:8]), f)
	return secret.Equal(id[8:], last[:]) || s.earlier != nil && s.earlier.names(id, f)
}
