package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// errJSON is everything that is wrong with a body in which a time is looked for.
var errJSON = errors.New("not one JSON object, or a key twice")

// jsonText returns the text or number at the path, keys with dots between,
// of a JSON object. It is read only after the signature over the body held.
// Keys must fit exactly and stand there once on each level of the path: with
// two, one reader takes the first and another the last. "" means it is absent.
func jsonText(body *authz.Body, path string) (string, error) {
	readers := make([]io.Reader, len(body.Segments))
	for i, segment := range body.Segments {
		readers[i] = bytes.NewReader(segment)
	}
	decoder := json.NewDecoder(io.MultiReader(readers...))
	decoder.UseNumber()
	found, err := jsonAt(decoder, strings.Split(path, "."))
	if err != nil {
		return "", err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errJSON // something behind the object
	}
	return found, nil
}

// jsonAt reads one value and returns the text at the path in it.
func jsonAt(decoder *json.Decoder, path []string) (string, error) {
	token, err := decoder.Token()
	if err != nil {
		return "", errJSON
	}
	if len(path) == 0 {
		return jsonScalar(token)
	}
	if token != json.Delim('{') {
		return "", errJSON
	}
	found, seen := "", map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		key, ok := token.(string)
		if err != nil || !ok || seen[key] {
			return "", errJSON
		}
		seen[key] = true
		if key == path[0] {
			if found, err = jsonAt(decoder, path[1:]); err != nil {
				return "", err
			}
		} else if err := skipJSON(decoder); err != nil {
			return "", err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return "", errJSON
	}
	return found, nil
}

func jsonScalar(token json.Token) (string, error) {
	switch token := token.(type) {
	case string:
		return token, nil
	case json.Number:
		return token.String(), nil
	default:
		return "", errJSON
	}
}

// skipJSON reads one value of any kind.
func skipJSON(decoder *json.Decoder) error {
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return errJSON
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
