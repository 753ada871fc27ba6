package telemetry

import (
	"strconv"
	"unicode/utf8"
)

// maxText is how many bytes of a stranger's text a record or a span holds.
const maxText = 512

// plain returns a copy of a stranger's text for a span or a log record: cut,
// valid UTF-8, and with everything that a terminal or a page would not print as
// a character of its own written as in Go: "\n", "\u202e", "\xff". So are quotes
// and backslashes, so that what is escaped can be told from what was sent.
func plain[T ~string | ~[]byte](text T) string {
	s := string(text) // a copy: exporters keep it
	if len(s) > maxText {
		end := maxText
		for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted := strconv.Quote(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}
