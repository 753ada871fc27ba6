package authz

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// tree is the paths of one host.
type tree struct {
	written node // as the policy writes them
	folded  node // as the most generous router would read them; see foldPath
}

// node is one segment in the tree of paths of a host. An exact segment comes
// before {x}, that before /**.
type node struct {
	literal map[string]*node
	param   *node
	below   *node
	routes  []*route // of the path that ends here
	exact   bool     // the path that ends here has neither {x} nor /**
}

const below = "**"

// insert returns the node at which the path ends.
func (n *node) insert(path string) *node {
	rest := strings.TrimPrefix(path, "/")
	for more := true; more; {
		var seg string
		seg, rest, more = strings.Cut(rest, "/")
		n = n.child(seg, !more)
	}
	return n
}

func (n *node) child(seg string, last bool) *node {
	switch {
	case seg == below && last:
		if n.below == nil {
			n.below = &node{}
		}
		return n.below
	case isParameter(seg):
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[seg] == nil {
		n.literal[seg] = &node{}
	}
	return n.literal[seg]
}

// match returns the most specific node whose path is that of the request, or
// nil. The path is compared byte for byte. What two parsers could read
// differently is matched only by a segment that the policy writes so.
func (n *node) match(path []byte) *node {
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	return n.matchRest(path[1:])
}

func (n *node) matchRest(rest []byte) *node {
	seg, tail, more := bytes.Cut(rest, []byte{'/'})
	if child := n.literal[string(seg)]; child != nil {
		if end := child.matchTail(tail, more); end != nil {
			return end
		}
	}
	if n.param != nil && isSafeName(seg) {
		if end := n.param.matchTail(tail, more); end != nil {
			return end
		}
	}
	if n.below != nil && isPlainPath(rest) {
		return n.below
	}
	return nil
}

func (n *node) matchTail(tail []byte, more bool) *node {
	if more {
		return n.matchRest(tail)
	}
	if len(n.routes) > 0 {
		return n
	}
	return nil
}

func (n *node) methods() string {
	var all []string
	for _, r := range n.routes {
		all = append(all, r.methods...)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// patternMatches reports whether one policy path matches, by the rules of the
// tree.
func patternMatches(pattern string, path []byte) bool {
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	want, rest := strings.TrimPrefix(pattern, "/"), path[1:]
	for {
		if want == below {
			return isPlainPath(rest)
		}
		wantSeg, wantTail, wantMore := strings.Cut(want, "/")
		seg, tail, more := bytes.Cut(rest, []byte{'/'})
		if string(seg) != wantSeg && !(isParameter(wantSeg) && isSafeName(seg)) || more != wantMore {
			return false
		}
		if !more {
			return true
		}
		want, rest = wantTail, tail
	}
}

// isLiteral reports whether a policy's path is exact.
func isLiteral(path string) bool {
	segments := strings.Split(path, "/")
	return segments[len(segments)-1] != below && !slices.ContainsFunc(segments, isParameter)
}

// isParameter reports whether a segment of a policy's path is {x}.
func isParameter(seg string) bool {
	return len(seg) > 2 && seg[0] == '{' && seg[len(seg)-1] == '}'
}

// isSafeName reports whether a segment of a request may stand for {x}: 1 to
// 128 of A-Z a-z 0-9 _ -, so that it can name a file.
func isSafeName(seg []byte) bool {
	if len(seg) == 0 || len(seg) > 128 {
		return false
	}
	for _, c := range seg {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// isPlainPath reports whether every parser reads the same segments: no empty
// ones except after a final slash, none of dots and spaces alone, no backslash,
// no path parameters, no escape that stands for one of these, no malformed
// escape, and nothing that is UTF-8 to one reader only.
func isPlainPath(rest []byte) bool {
	if len(rest) == 0 {
		return false
	}
	for {
		seg, tail, more := bytes.Cut(rest, []byte{'/'})
		if !isPlainSegment(seg) {
			return false
		}
		if !more || len(tail) == 0 {
			return true
		}
		rest = tail
	}
}

func isPlainSegment(seg []byte) bool {
	plain, empty := true, true // ASCII, or dots and spaces, so far
	for i := 0; i < len(seg); i++ {
		c := seg[i]
		if c == '%' {
			if i+2 >= len(seg) {
				return false
			}
			hi, lo := unhex(seg[i+1]), unhex(seg[i+2])
			if hi > 15 || lo > 15 {
				return false
			}
			i += 2
			if c = hi<<4 | lo; c == '.' || c == '/' || c == '%' || c == '?' {
				return false
			}
		}
		if c < ' ' || c == 0x7f || c == '\\' || c == ';' || c == '#' {
			return false
		}
		plain, empty = plain && c < utf8.RuneSelf, empty && (c == '.' || c == ' ')
	}
	return !empty && (plain || isPlainText(seg))
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// TenantSegment returns the number of the segment {tenant}, from 0, or -1.
func TenantSegment(path string) int {
	return slices.Index(strings.Split(strings.TrimPrefix(path, "/"), "/"), "{tenant}")
}

// segment returns segment i of a path, from 0.
func segment(path View, i int) View {
	rest := []byte(path[1:])
	for ; i > 0; i-- {
		_, rest, _ = bytes.Cut(rest, []byte{'/'})
	}
	seg, _, _ := bytes.Cut(rest, []byte{'/'})
	return seg
}
