package authz

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// StrictJSON decodes one JSON value of at most 10,000 keys and values. It fails if an object has two keys that are the same but for letter case:
// encoding/json takes the last of them, and other readers the first or only the
// exact one. It fails for what is not UTF-8: readers put different characters in
// its place. Numbers that go into an any are json.Number.
func StrictJSON(raw []byte, into any) error {
	if !UniqueJSON(raw) {
		return ErrJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// UniqueJSON reports whether StrictJSON would decode it.
func UniqueJSON(raw []byte) bool {
	scan := jsonScanner{data: raw, left: maxTokens}
	return utf8.Valid(raw) && scan.uniqueKeys(0) && scan.ended()
}

// maxTokens bounds the keys and values of a value that is decoded whole.
const maxTokens = 10_000

// maxDepth bounds the nesting of a value that is decoded whole.
const maxDepth = 64

func (s *jsonScanner) uniqueKeys(depth int) bool {
	if !s.step() || depth > maxDepth {
		return false
	}
	switch s.peek() {
	case '{':
		seen := map[string]bool{}
		return s.object(depth, func(quoted []byte) bool {
			key, ok := unquote(quoted)
			name := folded(key)
			if !ok || seen[name] || !s.step() {
				return false
			}
			seen[name] = true
			return s.uniqueKeys(depth + 1)
		})
	case '[':
		return s.list(depth, func() bool { return s.uniqueKeys(depth + 1) })
	default:
		return s.skip(depth)
	}
}

// folded is the one text of all that encoding/json takes for the same key.
func folded(key string) string {
	return strings.Map(lowestCase, key)
}
