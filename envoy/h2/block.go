package h2

import (
	"errors"
	"slices"

	"golang.org/x/net/http2/hpack"
)

const (
	// maxString is the size of the longest name or value, as it is sent, that is
	// decoded. It is more than any call may have.
	maxString = maxHeaders
	// maxTable is the size of the table that the peer's headers are compressed
	// with; HTTP/2's default, which we do not change.
	maxTable = 4096
)

// The kinds of fields by the highest bit that is set in their first byte, but for
// literals that do not enter the table (RFC 7541, section 6).
const (
	indexedField  = 0x80 // name and value are in the table
	enteringField = 0x40 // a literal that enters the table
	newTableSize  = 0x20 // no field: the table has another size from here on
)

var errCompression = errors.New("bad header compression")

// headerBlock decodes the headers of one frame and those that continue it, chunk
// by chunk. What is too long is skipped as it comes, and only its effect on the
// table is kept (RFC 7541, section 4.4): a peer may copy headers of strangers,
// which must not end its connection. It is the reader's alone.
type headerBlock struct {
	decoder *hpack.Decoder
	take    func(hpack.HeaderField) // gets each field that is not skipped
	skipped bool                    // something was

	rest     []byte // the beginning of a field whose end has not come
	skip     int    // bytes of a string that is too long
	value    bool   // after them comes the length of a value
	indexed  bool   // the field would enter the table
	emptying bool
}

func newHeaderBlock(take func(hpack.HeaderField)) *headerBlock {
	b := &headerBlock{take: take}
	b.decoder = hpack.NewDecoder(maxTable, func(f hpack.HeaderField) {
		if !b.emptying {
			b.take(f)
		}
	})
	return b
}

// write takes a chunk of the block.
func (b *headerBlock) write(p []byte) error {
	for len(p) > 0 {
		if b.skip > 0 {
			n := min(b.skip, len(p))
			b.skip -= n
			p = p[n:]
			if b.skip > 0 || b.value {
				continue
			}
			if err := b.leaveOut(); err != nil {
				return err
			}
			continue
		}
		if len(b.rest) == 0 {
			n, err := b.fields(p)
			if err != nil {
				return err
			}
			if p = p[n:]; b.skip == 0 {
				b.rest, p = append(b.rest, p...), nil
			}
			continue
		}
		b.rest = append(b.rest, p...)
		n, err := b.fields(b.rest)
		switch {
		case err != nil:
			return err
		case b.skip > 0:
			p, b.rest = slices.Clone(b.rest[n:]), b.rest[:0]
		default:
			p, b.rest = nil, slices.Delete(b.rest, 0, n)
		}
	}
	return nil
}

// fields takes the whole fields at the beginning of p and returns how long they
// are; or it notes that something must be skipped.
func (b *headerBlock) fields(p []byte) (n int, err error) {
	for n < len(p) {
		if b.value {
			length, size := prefixed(p[n:], 7)
			if size == 0 {
				return n, nil
			}
			if size < 0 {
				return n, errCompression
			}
			n += size
			b.value = false
			if b.skip = length; length > 0 {
				return n, nil
			}
			if err := b.leaveOut(); err != nil {
				return n, err
			}
			continue
		}
		size, err := b.field(p[n:])
		switch {
		case err != nil:
			return n, err
		case b.skip > 0:
			return n + size, nil
		case size == 0:
			return n, nil
		}
		if _, err := b.decoder.Write(p[n : n+size]); err != nil {
			return n, errCompression
		}
		n += size
	}
	return n, nil
}

// field returns the length of the field at the beginning of p, and 0 if its end
// has not come. If it is too long, it notes what is to be skipped after what it
// returns.
func (b *headerBlock) field(p []byte) (size int, err error) {
	bits, strings := uint(4), 2 // a literal that does not enter the table
	switch first := p[0]; {
	case first&indexedField != 0:
		bits, strings = 7, 0
	case first&enteringField != 0:
		bits = 6
	case first&newTableSize != 0:
		bits, strings = 5, 0
	}
	index, size := prefixed(p, bits)
	if size <= 0 {
		return 0, badNumber(size)
	}
	if strings > 0 && index > 0 {
		strings-- // its name is in a table
	}
	for ; strings > 0; strings-- {
		length, n := prefixed(p[size:], 7)
		if n <= 0 {
			return 0, badNumber(n)
		}
		size += n
		if length > maxString {
			b.skipped, b.indexed = true, bits == 6
			b.skip, b.value = length, strings == 2
			return size, nil
		}
		if size += length; size > len(p) {
			return 0, nil
		}
	}
	return size, nil
}

func badNumber(size int) error {
	if size < 0 {
		return errCompression
	}
	return nil
}

// leaveOut does to the table what a field did that was skipped: one that is larger
// than the table empties it.
func (b *headerBlock) leaveOut() error {
	if !b.indexed {
		return nil
	}
	b.emptying = true
	_, err := b.decoder.Write(tooLarge)
	b.emptying = false
	return err
}

// tooLarge is a field that no table can hold.
var tooLarge = func() []byte {
	field := []byte{enteringField, 1, 'x', 0x7f}
	n := maxTable - 0x7f
	for ; n >= 0x80; n >>= 7 {
		field = append(field, 0x80|byte(n))
	}
	return append(append(field, byte(n)), make([]byte, maxTable)...)
}()

// close ends the block.
func (b *headerBlock) close() error {
	whole := len(b.rest) == 0 && b.skip == 0 && !b.value
	if cap(b.rest) > maxFrame {
		b.rest = nil
	}
	if !whole || b.decoder.Close() != nil {
		return errCompression
	}
	return nil
}

// prefixed reads a number with a prefix of that many bits (RFC 7541, section 5.1).
// Its size is 0 if its end has not come, and -1 if it is too large.
func prefixed(p []byte, bits uint) (n, size int) {
	if len(p) == 0 {
		return 0, 0
	}
	most := 1<<bits - 1
	if n = int(p[0]) & most; n < most {
		return n, 1
	}
	for i, shift := 1, uint(0); i < len(p); i, shift = i+1, shift+7 {
		if shift > 28 {
			return 0, -1
		}
		if n += int(p[i]&0x7f) << shift; n > maxID {
			return 0, -1
		}
		if p[i]&0x80 == 0 {
			return n, i + 1
		}
	}
	return 0, 0
}
