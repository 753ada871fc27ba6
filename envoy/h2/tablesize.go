package h2

// defaultTable is HTTP/2's own size of the table that compresses headers.
const defaultTable = 4096

// tableSize is the size of the table that our headers are compressed with. They
// never use it, but a peer that wants a smaller one must be told that it is
// smaller, and else takes all that follows for an error (RFC 7541, section 4.2).
// The zero value is the default. It is used with conn.mu held.
type tableSize struct {
	// Each is what is less than the default: as the peer was told; as it wants it;
	// and the least that it has wanted since it was told.
	told, wanted, least uint32
}

// want notes what the peer wants. More than the default is of no use.
func (t *tableSize) want(size uint32) {
	t.wanted = defaultTable - min(size, defaultTable)
	t.least = max(t.least, t.wanted)
}

// append appends what must stand at the beginning of the next headers: nothing,
// or the least size that was wanted since, and the one that is wanted now.
func (t *tableSize) append(b []byte) []byte {
	if t.least > t.told {
		b = appendTableSize(b, defaultTable-t.least)
		if t.wanted != t.least {
			b = appendTableSize(b, defaultTable-t.wanted)
		}
		t.told = t.wanted
	}
	t.least = t.wanted
	return b
}

// appendTableSize appends a size (RFC 7541, sections 6.3 and 5.1).
func appendTableSize(b []byte, size uint32) []byte {
	const most = newTableSize - 1
	if size < most {
		return append(b, newTableSize|byte(size))
	}
	b = append(b, newTableSize|most)
	for size -= most; size >= 0x80; size >>= 7 {
		b = append(b, 0x80|byte(size))
	}
	return append(b, byte(size))
}
