package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// ErrJSON is everything that is wrong with a body in which a text is looked for.
var ErrJSON = errors.New("not one JSON value, a key twice, or a value that is no text")

// JSON returns the texts or numbers at a path of the JSON object in the body:
// keys with dots between, and [] behind a key for every item of its list. What
// is absent has no text; an item that lacks the rest of the path is an error,
// for it would go unseen.
//
// Keys must fit exactly and stand there once on each level of the path: with
// two, one reader takes the first and another the last.
func (b *Body) JSON(path string) ([]string, error) {
	decoder := json.NewDecoder(b.Reader())
	decoder.UseNumber()
	found, err := jsonAt(decoder, strings.Split(path, "."))
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrJSON // something behind the object
	}
	return found, nil
}

// Reader reads the body's segments one after the other.
func (b *Body) Reader() io.Reader {
	readers := make([]io.Reader, len(b.Segments))
	for i, segment := range b.Segments {
		readers[i] = bytes.NewReader(segment)
	}
	return io.MultiReader(readers...)
}

// jsonAt reads one value and returns the texts at the path in it.
func jsonAt(decoder *json.Decoder, path []string) ([]string, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, ErrJSON
	}
	if len(path) == 0 {
		return jsonScalar(token)
	}
	if token != json.Delim('{') {
		return nil, ErrJSON
	}
	want, list := strings.CutSuffix(path[0], "[]")
	var found []string
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		key, ok := token.(string)
		if err != nil || !ok || seen[key] {
			return nil, ErrJSON
		}
		seen[key] = true
		switch {
		case key != want:
			err = skipJSON(decoder)
		case list:
			found, err = jsonItems(decoder, path[1:])
		default:
			found, err = jsonAt(decoder, path[1:])
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, ErrJSON
	}
	return found, nil
}

// jsonItems reads a list and returns the texts at the path in its items, of
// which each must have one.
func jsonItems(decoder *json.Decoder, path []string) ([]string, error) {
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
		return nil, ErrJSON
	}
	var found []string
	for decoder.More() {
		item, err := jsonAt(decoder, path)
		if err != nil || len(item) == 0 {
			return nil, ErrJSON
		}
		found = append(found, item...)
	}
	if _, err := decoder.Token(); err != nil { // the closing bracket
		return nil, ErrJSON
	}
	return found, nil
}

func jsonScalar(token json.Token) ([]string, error) {
	switch token := token.(type) {
	case string:
		return []string{token}, nil
	case json.Number:
		return []string{token.String()}, nil
	default:
		return nil, ErrJSON
	}
}

// skipJSON reads one value of any kind.
func skipJSON(decoder *json.Decoder) error {
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return ErrJSON
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
