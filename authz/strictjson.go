package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// StrictJSON decodes one JSON value. It fails if an object has two keys that
// are the same but for letter case: encoding/json takes the last of them, and
// other readers the first or only the exact one. It fails for what is not UTF-8:
// readers put different characters in its place. Numbers that go into an any
// are json.Number.
func StrictJSON(raw []byte, into any) error {
	if !utf8.Valid(raw) {
		return ErrJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := uniqueKeys(decoder, 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return ErrJSON
	}
	decoder = json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// maxDepth bounds the nesting of a value.
const maxDepth = 64

func uniqueKeys(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil || depth > maxDepth {
		return ErrJSON
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		if open == '{' {
			token, err := decoder.Token()
			key, isText := token.(string)
			if name := folded(key); err != nil || !isText || seen[name] {
				return ErrJSON
			} else {
				seen[name] = true
			}
		}
		if err := uniqueKeys(decoder, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return ErrJSON
	}
	return nil
}

// folded is the one text of all that encoding/json takes for the same key.
func folded(key string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, key)
}
