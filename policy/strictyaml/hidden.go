package strictyaml

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// hidden are characters that make a text look to people as it is not: YAML begins a
// new line at some where editors and review tools show none, so that a line of the
// policy looks like the end of a comment; others turn around how text is shown
// (CVE-2021-42574).
var hidden = map[rune]string{
	'\r':     "a line break for YAML and for few editors; end lines with a line feed",
	'\u0085': "a line break for YAML that editors do not show",
	'\u2028': "a line break for YAML that editors do not show",
	'\u2029': "a line break for YAML that editors do not show",
	'\ufeff': "a byte order mark, which no editor shows",
	'\u202a': turnsText, '\u202b': turnsText, '\u202c': turnsText, '\u202d': turnsText, '\u202e': turnsText,
	'\u2066': turnsText, '\u2067': turnsText, '\u2068': turnsText, '\u2069': turnsText,
}

const turnsText = "a character that turns around how text is shown"

// readable reports whether the text can be read as it is shown, and an error for each
// place where it cannot.
func (d *decoder) readable(data []byte) bool {
	if bytes.HasPrefix(data, []byte{0xfe, 0xff}) || bytes.HasPrefix(data, []byte{0xff, 0xfe}) {
		d.doc.addAt(1, 1, nil, "the file is UTF-16; save it as UTF-8")
		return false
	}
	good := true
	place := cursor{data: data, line: 1, column: 1}
	for at := 0; at < len(data) && !d.doc.full(); {
		if c := data[at]; c != '\r' && c < utf8.RuneSelf {
			at++
			continue
		}
		r, size := utf8.DecodeRune(data[at:])
		if hidden[r] == "" {
			at += size
			continue
		}
		crlf := r == '\r' && at+1 < len(data) && data[at+1] == '\n'
		if first := at == 0 && r == '\ufeff'; !crlf && !first {
			place.advance(at)
			d.doc.addAt(place.line, place.column, nil, fmt.Sprintf("%U is %s", r, hidden[r]))
			good = false
		}
		at += size
	}
	return good
}
