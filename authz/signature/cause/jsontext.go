package cause

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf16"
)

func sortedMembers(all []member) []member {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	return all
}

// short are the escapes of two characters.
var short = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

// text writes a JSON string.
func (w writing) text(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for _, r := range s {
		escape, escaped := short[r]
		switch {
		case escaped:
			b.WriteString(escape)
		case r == '/' && w.slashes:
			b.WriteString(`\/`)
		case r < ' ', w.html && (r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029'):
			fmt.Fprintf(b, `\u%04x`, r)
		case r >= 0x80 && w.ascii:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
