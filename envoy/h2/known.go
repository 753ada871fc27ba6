package h2

import (
	"encoding/binary"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// Envoy compresses the headers of its calls: after the first ones, a block is a dozen
// numbers of fields in the table and a path that it never puts there, and most blocks
// are the same.
const (
	// maxKnown bounds the length of a block that is remembered, and knownCount is how
	// many are.
	maxKnown   = 160
	knownCount = 16
)

// knownBlocks remembers what blocks of headers say that change nothing in the table
// (RFC 7541, sections 6.1, 6.2.2 and 6.2.3), so that as long as nothing else does, the
// same bytes are the same fields. It is the reader's alone.
type knownBlocks [knownCount]knownBlock

type knownBlock struct {
	length  int // 0: nothing
	bytes   [maxKnown]byte
	request request
}

// place is where a block is remembered.
func place(block []byte) uint64 {
	sum := uint64(len(block))
	for ; len(block) >= 8; block = block[8:] {
		sum = (sum ^ binary.LittleEndian.Uint64(block)) * 0x9e3779b97f4a7c15
		sum ^= sum >> 32
	}
	for _, c := range block {
		sum = (sum ^ uint64(c)) * 0x9e3779b97f4a7c15
	}
	return sum >> 32 % knownCount
}

// find returns what a block says; nil if it is not known.
func (k *knownBlocks) find(block []byte) *request {
	if len(block) == 0 || len(block) > maxKnown {
		return nil
	}
	if known := &k[place(block)]; secret.Equal(known.bytes[:known.length], block) {
		return &known.request
	}
	return nil
}

// note takes down what a block says, and forgets what the others said if it may have
// changed the table. What is remembered shares its fields with calls, which only read
// them.
func (k *knownBlocks) note(block []byte, r *request) {
	if !leavesTable(block) {
		for i := range k {
			k[i].length = 0
		}
		return
	}
	if len(block) > maxKnown {
		return
	}
	known := &k[place(block)]
	known.length = copy(known.bytes[:], block)
	known.request = *r
}

// leavesTable reports whether a block has nothing but fields of the table and literals
// that do not enter it.
func leavesTable(block []byte) bool {
	if len(block) == 0 {
		return false
	}
	for len(block) > 0 {
		bits, strings := uint(7), 0
		switch c := block[0]; {
		case c&indexedField != 0:
		case c&(enteringField|newTableSize) != 0:
			return false
		default:
			bits, strings = 4, 2
		}
		index, size := prefixed(block, bits)
		if size <= 0 {
			return false
		}
		if strings > 0 && index > 0 {
			strings-- // its name is in a table
		}
		for ; strings > 0; strings-- {
			length, n := prefixed(block[size:], 7)
			if size += n + length; n <= 0 || size > len(block) {
				return false
			}
		}
		block = block[size:]
	}
	return true
}
