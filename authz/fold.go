package authz

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// foldPath appends to dst the path as the most generous router would read it,
// so that two paths which any router takes for one are equal afterwards:
// escapes decoded until none is left, compatibility forms and all cases of a
// letter made one, characters that nobody sees left out, + and \ read as space
// and slash, empty segments dropped, and dots and spaces at the end of a
// segment too. It is for comparisons only; nothing is forwarded or signed so.
func foldPath(dst, path []byte) []byte {
	begin := len(dst)
	dst = unescape(dst, path)
	if !isASCII(dst[begin:]) {
		dst = append(dst[:begin], foldRunes(bytes.Clone(dst[begin:]))...)
	}
	rest := dst[begin:]
	for i, c := range rest {
		switch {
		case 'A' <= c && c <= 'Z':
			rest[i] = c + 'a' - 'A'
		case c == '\\':
			rest[i] = '/'
		case c == '+':
			rest[i] = ' '
		}
	}
	// What is written is never longer than what was read of the same memory.
	dst = append(dst[:begin], '/')
	for more := true; more; {
		var seg []byte
		seg, rest, more = bytes.Cut(rest, []byte{'/'})
		if seg = bytes.TrimRight(bytes.TrimLeft(seg, " "), ". "); len(seg) == 0 {
			continue
		}
		if len(dst) > begin+1 {
			dst = append(dst, '/')
		}
		dst = append(dst, seg...)
	}
	return dst
}

// FoldPath returns a path as the most generous router would read it: two paths that any
// router takes for one are equal afterwards. It is for comparisons only.
func FoldPath(path string) string { return string(foldPath(nil, []byte(path))) }

// isFolded reports whether a path is one of those, by far the most, that folding
// leaves as they are. Some others it leaves, too.
func isFolded(path []byte) bool {
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	before := byte('/')
	for _, c := range path[1:] {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-', c == '~', c == ':', c == '.':
		case c == '/' && before != '/' && before != '.':
		default:
			return false
		}
		before = c
	}
	return len(path) == 1 || before != '/' && before != '.'
}

// unescape appends text without any escape: where decoding one makes another,
// as in %2573, that one is decoded too.
func unescape(dst, text []byte) []byte {
	begin := len(dst)
	for _, c := range text {
		dst = append(dst, c)
		for n := len(dst); n-begin >= 3 && dst[n-3] == '%'; n = len(dst) {
			hi, lo := unhex(dst[n-2]), unhex(dst[n-1])
			if hi > 15 || lo > 15 {
				break
			}
			dst = append(dst[:n-3], hi<<4|lo)
		}
	}
	return dst
}

// foldRunes folds text that has other characters than ASCII.
func foldRunes(text []byte) []byte {
	var folded []byte
	for _, r := range string(norm.NFKC.Bytes(text)) {
		if r == 'ß' || r == 'ẞ' {
			folded = append(folded, "ss"...) // as in STRASSE
		} else if !unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
			folded = utf8.AppendRune(folded, foldRune(r))
		}
	}
	return folded
}

// foldRune returns one rune for all cases of a letter; ASCII where one of them
// is, by any language's rules: ı and İ are cases of i, ſ of s.
func foldRune(r rune) rune {
	for _, other := range []rune{r, unicode.ToLower(r), unicode.ToUpper(r)} {
		if other < utf8.RuneSelf {
			return other
		}
	}
	return lowestCase(r)
}

// lowestCase returns one rune for all that Unicode folds to the same.
func lowestCase(r rune) rune {
	lowest := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		lowest = min(lowest, other)
	}
	return lowest
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isPlainText reports whether a segment with other characters than ASCII is
// read in one way: it is UTF-8, also where it is escaped (%c0%af is a slash to
// a careless reader), and none of its characters has a compatibility form that
// divides paths, such as U+FF0F and U+2025.
func isPlainText(seg []byte) bool {
	text := unescape(nil, seg)
	if !utf8.Valid(text) {
		return false
	}
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			continue
		}
		for _, c := range norm.NFKC.Bytes(utf8.AppendRune(nil, r)) {
			if c < ' ' || c == 0x7f || bytes.IndexByte([]byte(`/\.;?#%`), c) >= 0 {
				return false
			}
		}
	}
	return true
}

// read returns the node of the path as the most generous router would read it.
// The path is folded, as are those of the tree.
func (n *node) read(path []byte) *node { return n.readRest(path[1:]) }

func (n *node) readRest(rest []byte) *node {
	seg, tail, more := bytes.Cut(rest, []byte{'/'})
	if child := n.literal[string(seg)]; child != nil {
		if end := child.readTail(tail, more); end != nil {
			return end
		}
	}
	if !more {
		// Some routers take what follows a dot for the format of the answer.
		for _, dot := range []int{bytes.IndexByte(seg, '.'), bytes.LastIndexByte(seg, '.')} {
			if dot < 0 {
				continue
			}
			if child := n.literal[string(seg[:dot])]; child != nil && len(child.routes) > 0 {
				return child
			}
		}
	}
	if n.param != nil && isSafeName(seg) {
		if end := n.param.readTail(tail, more); end != nil {
			return end
		}
	}
	if n.below != nil && len(rest) > 0 {
		return n.below
	}
	return nil
}

func (n *node) readTail(tail []byte, more bool) *node {
	if more {
		return n.readRest(tail)
	}
	if len(n.routes) > 0 {
		return n
	}
	return nil
}
