package h2

// Envoy compresses the headers of its calls: after the first ones, a block is a
// dozen numbers of fields in the table, one byte each, and most blocks are the same.
const (
	// maxKnown bounds the length of a block that is remembered, and knownCount is how
	// many are.
	maxKnown   = 32
	knownCount = 16
)

// knownBlocks remembers what blocks of headers say that consist of such numbers
// alone. They change nothing in the table (RFC 7541, section 2.3.2), so that as long
// as nothing else does, the same bytes are the same fields. It is the reader's alone.
type knownBlocks [knownCount]knownBlock

type knownBlock struct {
	length  int // 0: nothing
	bytes   [maxKnown]byte
	request request
}

// indexed reports whether a block consists of fields of the table, one byte each
// (RFC 7541, section 6.1), and returns its place.
func indexed(block []byte) (place uint, ok bool) {
	if len(block) == 0 || len(block) > maxKnown {
		return 0, false
	}
	for _, c := range block {
		if c <= indexedField || c == 0xff { // another kind, no field, or a longer number
			return 0, false
		}
		place = place*31 + uint(c)
	}
	return place % knownCount, true
}

// find returns what a block says; nil if it is not known.
func (k *knownBlocks) find(block []byte) *request {
	place, ok := indexed(block)
	if known := &k[place]; ok && string(known.bytes[:known.length]) == string(block) {
		return &known.request
	}
	return nil
}

// note takes down what a block says, and forgets what the others said if it may have
// changed the table. What is remembered shares its fields with calls, which only read
// them.
func (k *knownBlocks) note(block []byte, r *request) {
	place, ok := indexed(block)
	if !ok {
		for i := range k {
			k[i].length = 0
		}
		return
	}
	k[place].length = copy(k[place].bytes[:], block)
	k[place].request = *r
}
