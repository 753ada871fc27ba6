package wire

import (
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz"
)

// more makes the next chunk that is not empty the current one. There is one if
// left is not 0.
func (r *reader) more() {
	for len(r.cur) == 0 {
		r.cur, r.next = r.next[0], r.next[1:]
	}
}

// varint reads a number of at most 64 bits and ten bytes.
func (r *reader) varint(end int) (uint64, bool) {
	if r.left > end && len(r.cur) > 0 && r.cur[0] < 0x80 {
		v := uint64(r.cur[0])
		r.cur = r.cur[1:]
		r.left--
		return v, true
	}
	return r.longVarint(end)
}

func (r *reader) longVarint(end int) (uint64, bool) {
	var v uint64
	for shift := 0; shift < 64 && r.left > end; shift += 7 {
		r.more()
		c := r.cur[0]
		r.cur = r.cur[1:]
		r.left--
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, shift < 63 || c <= 1
		}
	}
	return 0, false
}

// take returns the next n bytes, of which it makes a copy if they lie in more
// than one chunk. Whoever calls it has looked that they are there.
func (r *reader) take(n int) authz.View {
	if n == 0 {
		return nil
	}
	r.more()
	if n <= len(r.cur) {
		return r.cut(n)
	}
	a := r.check.arena
	start := len(a)
	for n > 0 {
		r.more()
		chunk := r.cut(min(n, len(r.cur)))
		a = append(a, chunk...)
		n -= len(chunk)
	}
	r.check.arena = a
	return a[start:len(a):len(a)]
}

// cut takes n bytes off the current chunk.
func (r *reader) cut(n int) []byte {
	chunk := r.cur[:n:n]
	r.cur = r.cur[n:]
	r.left -= n
	return chunk
}

// chunks appends the next n bytes to dst, in the chunks in which they lie.
func (r *reader) chunks(dst [][]byte, n int) [][]byte {
	for n > 0 {
		r.more()
		chunk := r.cut(min(n, len(r.cur)))
		dst = append(dst, chunk)
		n -= len(chunk)
	}
	return dst
}

// skip passes over n bytes.
func (r *reader) skip(n int) {
	for n > 0 {
		r.more()
		n -= len(r.cut(min(n, len(r.cur))))
	}
}

// skipText passes over n bytes and reports whether they are UTF-8.
func (r *reader) skipText(n int) bool {
	if n <= len(r.cur) {
		return utf8.Valid(r.cut(n))
	}
	var u runes
	valid := true
	for n > 0 {
		r.more()
		chunk := r.cut(min(n, len(r.cur)))
		valid = valid && u.add(chunk)
		n -= len(chunk)
	}
	return valid && u.held == 0
}

func validUTF8(chunks [][]byte) bool {
	var u runes
	for _, p := range chunks {
		if !u.add(p) {
			return false
		}
	}
	return u.held == 0
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// runes looks whether text that comes in chunks is UTF-8. A chunk may end
// within a character, which is held until the next chunk.
type runes struct {
	tail [utf8.UTFMax]byte
	held int
}

// add reports whether the text can still be UTF-8 with this chunk.
func (u *runes) add(chunk []byte) bool {
	for u.held > 0 && len(chunk) > 0 {
		u.tail[u.held] = chunk[0]
		u.held++
		chunk = chunk[1:]
		if utf8.FullRune(u.tail[:u.held]) {
			if _, size := utf8.DecodeRune(u.tail[:u.held]); size != u.held {
				return false
			}
			u.held = 0
		}
	}
	if u.held > 0 {
		return true // the chunk was short
	}
	whole := len(chunk)
	for i := len(chunk) - 1; i >= 0 && i >= len(chunk)-utf8.UTFMax; i-- {
		if utf8.RuneStart(chunk[i]) {
			if !utf8.FullRune(chunk[i:]) {
				whole = i
			}
			break
		}
	}
	u.held = copy(u.tail[:], chunk[whole:])
	return utf8.Valid(chunk[:whole])
}
