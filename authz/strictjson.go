package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// StrictJSON decodes one JSON value. It fails if an object has two keys that
// are the same but for letter case: encoding/json takes the last of them, and
// other readers the first or only the exact one. Numbers that go into an any
// are json.Number.
func StrictJSON(raw []byte, into any) error {
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
			if folded := strings.ToLower(key); err != nil || !isText || seen[folded] {
				return ErrJSON
			} else {
				seen[folded] = true
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
