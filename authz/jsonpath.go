package authz

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// ErrJSON is everything that is wrong with a body in which a text is looked for.
var ErrJSON = errors.New("not one JSON value, a key twice, a value that is no text, or too many keys or items")

// maxSteps is how many keys and items of a body are looked at on the way along
// a path: those of the objects and lists that the path leads through.
const maxSteps = 20_000

// JSON returns the texts or numbers at a path of the JSON object in the body:
// keys with dots between, and [] behind a key for every item of its list. What
// is absent has no text; an item that lacks the rest of the path is an error,
// for it would go unseen.
//
// A key of the path must stand there once on its level, and no other that
// differs from it in letter case only: of two, one reader takes the first and
// another the last. What is off the path is read over, so that a walk takes a
// few milliseconds for a MiB. More than 20,000 keys and items on the path's levels
// are an error.
func (b *Body) JSON(path string) ([]string, error) {
	walk := jsonWalk{jsonScanner{data: b.Joined(), left: maxSteps}}
	found, ok := walk.at(strings.Split(path, "."), 0)
	if !ok || !walk.ended() {
		return nil, ErrJSON
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

type jsonWalk struct{ jsonScanner }

// at reads one value and returns the texts at the path in it.
func (w *jsonWalk) at(path []string, depth int) (found []string, ok bool) {
	if len(path) == 0 {
		return w.scalar()
	}
	want, isList := strings.CutSuffix(path[0], "[]")
	seen := false
	ok = w.object(depth, func(quoted []byte) bool {
		if !w.step() {
			return false
		}
		key := quoted[1 : len(quoted)-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			text, _ := unquote(quoted) // what is not UTF-8 is no key of a path
			key = []byte(text)
		}
		if !strings.EqualFold(string(key), want) {
			return w.skip(depth + 1)
		}
		if string(key) != want || seen {
			return false
		}
		seen = true
		var good bool
		if isList {
			found, good = w.items(path[1:], depth+1)
		} else {
			found, good = w.at(path[1:], depth+1)
		}
		return good
	})
	return found, ok
}

// items reads a list and returns the texts at the path in its items, of which
// each must have one.
func (w *jsonWalk) items(path []string, depth int) (found []string, ok bool) {
	ok = w.list(depth, func() bool {
		if !w.step() {
			return false
		}
		texts, good := w.at(path, depth+1)
		found = append(found, texts...)
		return good && len(texts) > 0
	})
	return found, ok
}

func (w *jsonWalk) scalar() ([]string, bool) {
	var text string
	if w.peek() == '"' {
		quoted, ok := w.text()
		if !ok {
			return nil, false
		}
		text, ok = unquote(quoted)
		return []string{text}, ok
	}
	number, ok := w.number()
	return []string{string(number)}, ok
}
