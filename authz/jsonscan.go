package authz

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// jsonScanner reads JSON (RFC 8259) byte by byte and builds nothing but what it
// is asked for. It accepts what encoding/json accepts, up to maxNesting.
type jsonScanner struct {
	data []byte
	pos  int
	left int // how many keys and items may still be looked at
}

// maxNesting bounds the nesting of a value that is read.
const maxNesting = 500

// peek returns the next byte that is no white space, or 0 at the end.
func (s *jsonScanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take reads the byte if it is the next one.
func (s *jsonScanner) take(c byte) bool {
	if s.peek() != c || s.pos == len(s.data) {
		return false
	}
	s.pos++
	return true
}

// step counts a key or an item, and reports whether there may be one more.
func (s *jsonScanner) step() bool {
	s.left--
	return s.left >= 0
}

// ended reports whether nothing follows.
func (s *jsonScanner) ended() bool { return s.peek() == 0 && s.pos == len(s.data) }

// text reads a string and returns it with its quotes, escapes as they are.
func (s *jsonScanner) text() (quoted []byte, ok bool) {
	if !s.take('"') {
		return nil, false
	}
	begin := s.pos - 1
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		s.pos++
		switch {
		case c == '"':
			return s.data[begin:s.pos], true
		case c == '\\':
			if !s.escape() {
				return nil, false
			}
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// escape reads what follows a backslash.
func (s *jsonScanner) escape() bool {
	if s.pos == len(s.data) {
		return false
	}
	c := s.data[s.pos]
	s.pos++
	if c != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), c) >= 0
	}
	for range 4 {
		if s.pos == len(s.data) || bytes.IndexByte([]byte("0123456789abcdefABCDEF"), s.data[s.pos]) < 0 {
			return false
		}
		s.pos++
	}
	return true
}

// number reads a number and returns it as it stands there.
func (s *jsonScanner) number() (text []byte, ok bool) {
	s.peek()
	begin := s.pos
	s.optional('-', '-')
	if !s.optional('0', '0') && s.digits() == 0 {
		return nil, false
	}
	if s.optional('.', '.') && s.digits() == 0 {
		return nil, false
	}
	if s.optional('e', 'E') {
		s.optional('+', '-')
		if s.digits() == 0 {
			return nil, false
		}
	}
	return s.data[begin:s.pos], true
}

// optional reads one of the two characters, if it is next.
func (s *jsonScanner) optional(a, b byte) bool {
	if s.pos == len(s.data) || s.data[s.pos] != a && s.data[s.pos] != b {
		return false
	}
	s.pos++
	return true
}

func (s *jsonScanner) digits() (n int) {
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// skip reads one value of any kind.
func (s *jsonScanner) skip(depth int) bool {
	switch c := s.peek(); c {
	case '{':
		return s.object(depth, func([]byte) bool { return s.skip(depth + 1) })
	case '[':
		return s.list(depth, func() bool { return s.skip(depth + 1) })
	case '"':
		_, ok := s.text()
		return ok
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		_, ok := s.number()
		return ok
	}
}

func (s *jsonScanner) word(word string) bool {
	ok := bytes.HasPrefix(s.data[s.pos:], []byte(word))
	s.pos += len(word)
	return ok
}

// object reads an object and calls value for each value, with the key before it
// in its quotes. It ends when value returns false.
func (s *jsonScanner) object(depth int, value func(quoted []byte) bool) bool {
	if depth >= maxNesting || !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		key, ok := s.text()
		if !ok || !s.take(':') || !value(key) {
			return false
		}
		if !s.take(',') {
			return s.take('}')
		}
	}
}

// list reads a list and calls item for each of its items.
func (s *jsonScanner) list(depth int, item func() bool) bool {
	if depth >= maxNesting || !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		if !item() {
			return false
		}
		if !s.take(',') {
			return s.take(']')
		}
	}
}

// unquote returns the text of a string. What is not UTF-8 has none: readers put
// different characters in its place.
func unquote(quoted []byte) (text string, ok bool) {
	inner := quoted[1 : len(quoted)-1]
	if !utf8.Valid(inner) {
		return "", false
	}
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	err := json.Unmarshal(quoted, &text)
	return text, err == nil
}
