package model

import (
	"regexp/syntax"
	"strings"
)

// sample is a short text that an expression matches as a whole, as far as its anchors
// and word boundaries allow.
func sample(expression string) string {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return ""
	}
	var b strings.Builder
	write(&b, tree, 0)
	return b.String()
}

const deepest = 100

func write(b *strings.Builder, tree *syntax.Regexp, depth int) {
	if depth > deepest {
		return
	}
	switch tree.Op {
	case syntax.OpLiteral:
		b.WriteString(string(tree.Rune))
	case syntax.OpCharClass:
		b.WriteRune(member(tree.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('a')
	case syntax.OpConcat, syntax.OpCapture:
		for _, part := range tree.Sub {
			write(b, part, depth+1)
		}
	case syntax.OpAlternate, syntax.OpPlus:
		write(b, tree.Sub[0], depth+1)
	case syntax.OpRepeat:
		for range max(tree.Min, 0) {
			write(b, tree.Sub[0], depth+1)
		}
	default: // what may be left out, and what takes no text
	}
}

// member is one of a class, a letter of ASCII if there is one.
func member(ranges []rune) rune {
	for _, want := range "a1-_/" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	if len(ranges) == 0 {
		return 'a'
	}
	return ranges[0]
}
